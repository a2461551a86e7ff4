use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::super::{AdmissionLimits, PeerAddress};
use super::*;

fn admission(connections_per_address: usize) -> Admission {
    Admission::new(AdmissionLimits { connections: 10, connections_per_address })
}

async fn bind_one(url: &str) -> Listener {
    let listeners = Listener::bind(&url.parse().unwrap(), ListenOptions::default()).await.unwrap();
    listeners.into_iter().next().unwrap()
}

async fn bind_fault(url: &str) -> String {
    Listener::bind(&url.parse().unwrap(), ListenOptions::default()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_connection_is_accepted_with_its_address() {
    let listener = bind_one("ldap://127.0.0.1:0").await;
    let address = listener.local_address().unwrap();
    assert_eq!(listener.url().to_string(), format!("ldap://127.0.0.1:{}", address.port()));
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut accepted = listener.accept(&admission(10)).await;
    assert!(!accepted.tls_first);
    assert!(accepted.stream.peer().is_local() && accepted.stream.can_start_tls());
    assert_eq!(accepted.stream.peer().address, PeerAddress::Tcp(client.local_addr().unwrap()));
    assert_eq!(accepted.stream.peer().ssf(), 0);
    client.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    accepted.stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
}

#[tokio::test]
async fn every_address_means_both_families() {
    let listener = bind_one("ldap://*:0").await;
    let port = listener.local_address().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let accepted = listener.accept(&admission(10)).await;
    assert_eq!(accepted.stream.peer().address, PeerAddress::Tcp(client.local_addr().unwrap()));
    assert!(accepted.stream.peer().is_local());
}

#[tokio::test]
async fn a_busy_port_names_the_port_and_the_setting() {
    let listener = bind_one("ldap://127.0.0.1:0").await;
    let port = listener.local_address().unwrap().port();
    let text = bind_fault(&format!("ldap://127.0.0.1:{port}")).await;
    assert!(text.contains(&format!("port {port} is in use")), "{text}");
    assert!(text.contains("server.listen"), "{text}");
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused_in_words() {
    let text = bind_fault("ldap://192.0.2.1:3389").await;
    assert!(text.contains("192.0.2.1 is no address of this machine"), "{text}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_the_next_one_is_served() {
    let listener = bind_one("ldap://127.0.0.1:0").await;
    let address = listener.local_address().unwrap();
    let admission = admission(1);
    let first = TcpStream::connect(address).await.unwrap();
    let accepted = listener.accept(&admission).await;
    let mut refused = TcpStream::connect(address).await.unwrap();
    let waiting = tokio::spawn(async move {
        let accepted = listener.accept(&admission).await;
        (accepted, admission.refused_total())
    });
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or(0), 0);
    drop((first, accepted));
    let _third = TcpStream::connect(address).await.unwrap();
    let (_accepted, refused_total) = waiting.await.unwrap();
    assert_eq!(refused_total, 1);
}

#[tokio::test]
async fn unix_peers_are_known_by_their_user() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ldapi");
    let url = ListenUrl::Unix { path: path.clone() };
    let listener = bind_one(&url.to_string()).await;
    let client = UnixStream::connect(&path).await.unwrap();
    let accepted = listener.accept(&admission(10)).await;
    let peer = accepted.stream.peer();
    assert_eq!(peer.unix().unwrap().uid, rustix::process::geteuid().as_raw());
    assert!(peer.is_local() && !accepted.stream.can_start_tls());
    assert_eq!(peer.ssf(), 71);
    drop(client);
    let text = bind_fault(&url.to_string()).await;
    assert!(text.contains("another program listens there"), "{text}");
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_file_left_behind_is_replaced_and_any_other_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ldapi");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let url = ListenUrl::Unix { path: path.clone() }.to_string();
    drop(bind_one(&url).await);
    fs::write(&path, "a letter").unwrap();
    let text = bind_fault(&url).await;
    assert!(text.contains("there is a file of that name"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), b"a letter");
}

#[tokio::test]
async fn a_socket_path_too_long_for_the_system_is_refused_in_words() {
    let text = bind_fault(&format!("ldapi:///{}", "x".repeat(200))).await;
    assert!(text.contains("a socket's path may have 107"), "{text}");
}
