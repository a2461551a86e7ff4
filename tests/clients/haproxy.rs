//! haproxy in front of a node: it says for whom it connects by the PROXY protocol, and looks whether the node is well.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::process::Command;

use rustix::net::{AddressFamily, SocketType};

use crate::support::client::Client;
use crate::support::code;
use crate::support::program::Program;
use crate::support::request::Search;
use crate::support::server::{SUFFIX, Server, Setup};
use crate::support::wait::{PATIENCE, wait_for};

const FRIEND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);

/// haproxy, and where it listens: plain, plain with version 1, TLS handed on.
struct Balancer {
    _program: Program,
    ports: [u16; 3],
}

impl Balancer {
    #[track_caller]
    fn start(server: &Server) -> Self {
        // Ports that are free now; nobody else on this machine asks for one by number.
        let listeners = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let ports = listeners.each_ref().map(|listener| listener.local_addr().expect("bound").port());
        drop(listeners);
        let secure = server.url_of("ldaps");
        let secure = secure.trim_start_matches("ldaps://").trim_end_matches('/');
        let plain = server.address();
        let part = |name: &str, port: u16, node: &str, how: &str| {
            format!(
                "listen {name}\n  bind 127.0.0.1:{port}\n  server one {node} source 127.0.0.1 {how} check inter 100ms fall 1000\n"
            )
        };
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n{}{}{}",
            part("plain", ports[0], &plain.to_string(), "send-proxy-v2"),
            part("old", ports[1], &plain.to_string(), "send-proxy"),
            part("secure", ports[2], secure, "send-proxy-v2 proxy-v2-options ssl,unique-id,crc32c"),
        );
        let file = server.folder().join("haproxy.cfg");
        std::fs::write(&file, text).expect("folder is writable");
        let program = Program::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file));
        for port in ports {
            wait_for("haproxy", || TcpStream::connect(("127.0.0.1", port)).ok());
        }
        Self { _program: program, ports }
    }

    /// A connection to one of its ports from an address of this machine.
    #[track_caller]
    fn connect(&self, port: usize, from: Ipv4Addr) -> TcpStream {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&socket, &SocketAddrV4::new(from, 0)).expect("an address of loopback");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[port]));
        rustix::net::connect(&socket, &to).expect("haproxy listens");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream
    }
}

#[test]
fn behind_haproxy_rules_go_by_the_address_of_the_client() {
    let rule = r#"(targetattr = "cn || objectClass")(version 3.0; acl "a"; allow (read, search) ip = "127.0.0.9";)"#;
    let setup = Setup::default().with_tls().with_access(&[rule], "");
    let server = Server::start(setup.with_setting("server.proxy_protocol_from=127.0.0.1"));
    let certificate = server.certificate.as_ref().expect("with TLS");
    let balancer = Balancer::start(&server);
    let ann = format!("uid=ann,ou=people,{SUFFIX}");
    for port in 0..3 {
        for (from, sees) in [(FRIEND, 1), (STRANGER, 0)] {
            let socket = balancer.connect(port, from);
            let mut client = match port {
                2 => Client::over(certificate.connect(socket)),
                _ => Client::over(socket),
            };
            assert_eq!(client.search(&Search::base(&ann)).entries.len(), sees, "port {port} from {from}");
            client.bind(&ann, "ann-secret").expect(code::SUCCESS);
            assert_eq!(client.who_am_i(), format!("dn:{ann}"));
        }
    }
    // Looking whether the node is well is not taken for a balancer that sends no header.
    assert!(!server.said().contains("proxy_protocol_from"), "{}", server.said());
}
