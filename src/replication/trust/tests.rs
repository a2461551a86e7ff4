use rustls::{ClientConnection, Connection, ServerConnection};

use super::*;
use crate::replication::identity::Authority;

const A: NodeId = NodeId([1; 16]);
const B: NodeId = NodeId([2; 16]);

fn now_s() -> i64 {
    (crate::clock::Clock::system().wall_ms() / 1000).try_into().unwrap()
}

fn certified(authority: &Authority, node: NodeId) -> Identity {
    let identity = Identity::create().unwrap();
    let certificate = authority.sign(node, identity.public_key(), now_s()).unwrap();
    identity.certified(certificate, authority.certificate().clone())
}

fn member(node: NodeId, identity: &Identity) -> Member {
    Member { node, fingerprint: identity.public_key().fingerprint(), ..Member::default() }
}

/// A cluster of two that know each other.
fn pair() -> (Arc<Trust>, Arc<Trust>, Authority) {
    let authority = Authority::create([9; 16], now_s()).unwrap();
    let (a, b) = (certified(&authority, A), certified(&authority, B));
    let members = [member(A, &a), member(B, &b)];
    let (a, b) = (Trust::new(A, a), Trust::new(B, b));
    a.set_members(&members);
    b.set_members(&members);
    (a, b, authority)
}

/// Runs a handshake without a network; each side's error if there is one.
fn shake(server: Arc<ServerConfig>, client: Arc<ClientConfig>, name: NodeId) -> Result<ServerConnection, TlsError> {
    let mut client = Connection::Client(ClientConnection::new(client, server_name(name).unwrap()).unwrap());
    let mut server = Connection::Server(ServerConnection::new(server).unwrap());
    let mut bytes = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        pass(&mut client, &mut server, &mut bytes)?;
        pass(&mut server, &mut client, &mut bytes)?;
    }
    match server {
        Connection::Server(server) => Ok(server),
        Connection::Client(_) => Err(TlsError::General("not a server".to_owned())),
    }
}

fn pass(from: &mut Connection, to: &mut Connection, bytes: &mut Vec<u8>) -> Result<(), TlsError> {
    while from.wants_write() {
        bytes.clear();
        from.write_tls(bytes).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            to.read_tls(&mut rest).unwrap();
            to.process_new_packets()?;
        }
    }
    Ok(())
}

#[test]
fn members_believe_each_other_and_know_whom_they_talk_to() {
    let (a, b, _) = pair();
    let server = shake(a.server_config().unwrap(), b.client_config(A).unwrap(), A).unwrap();
    assert_eq!(a.peer(server.peer_certificates()), Some(B));
    assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(server.alpn_protocol(), Some(REPLICATION_PROTOCOL));
}

#[test]
fn a_member_that_was_retired_is_known_as_such_and_one_with_another_key_is_refused() {
    let (a, b, authority) = pair();
    let mut retired = member(B, &b.identity());
    retired.state = MemberState::Retired;
    a.set_members(&[member(A, &a.identity()), retired.clone()]);
    // It comes as far as to be told so; nobody dials it.
    let server = shake(a.server_config().unwrap(), b.client_config(A).unwrap(), A).unwrap();
    assert_eq!((a.peer(server.peer_certificates()), a.retired_peer(server.peer_certificates())), (None, Some(B)));
    assert!(shake(b.server_config().unwrap(), a.client_config(B).unwrap(), B).is_err());
    retired.state = MemberState::Suspended;
    a.set_members(&[retired]);
    assert!(shake(a.server_config().unwrap(), b.client_config(A).unwrap(), A).is_ok());
    // The authority's key alone makes nobody a member.
    b.set_identity(B, certified(&authority, B));
    assert!(shake(a.server_config().unwrap(), b.client_config(A).unwrap(), A).is_err());
}

#[test]
fn another_cluster_is_refused_on_both_sides() {
    let (a, b, _) = pair();
    let (other_a, other_b, _) = pair();
    assert!(shake(a.server_config().unwrap(), other_b.client_config(A).unwrap(), A).is_err());
    assert!(shake(other_a.server_config().unwrap(), b.client_config(A).unwrap(), A).is_err());
}

/// T-52.
#[test]
fn a_node_does_not_talk_to_itself() {
    let (a, b, _) = pair();
    // It knows whom it has met: itself, or a copy of itself; who that is the replicator finds out.
    let server = shake(a.server_config().unwrap(), a.client_config(A).unwrap(), A).unwrap();
    assert_eq!((a.peer(server.peer_certificates()), a.is_own(server.peer_certificates())), (None, true));
    let server = shake(a.server_config().unwrap(), b.client_config(A).unwrap(), A).unwrap();
    assert!(!a.is_own(server.peer_certificates()));
    // Somebody else answers than the one who was dialled.
    assert!(shake(a.server_config().unwrap(), b.client_config(B).unwrap(), B).is_err());
}

/// T-53.
#[test]
fn a_certificate_of_the_authority_that_is_no_members_is_refused() {
    let (a, b, authority) = pair();
    let key = Identity::create().unwrap();
    let made = key.clone().certified(authority.certificate().clone(), authority.certificate().clone());
    b.set_identity(B, made);
    let config = b.client_config(A);
    assert!(config.is_err() || shake(a.server_config().unwrap(), config.unwrap(), A).is_err());
    assert_eq!(a.peer(Some(&[authority.certificate().clone()])), None);
    assert_eq!(a.peer(None), None);
}

#[test]
fn a_joiner_believes_the_authority_of_its_token_alone() {
    let (a, _, authority) = pair();
    let fingerprint: [u8; 32] = Sha256::digest(authority.certificate()).into();
    let server = shake(a.join_server_config().unwrap(), join_client_config(fingerprint, None).unwrap(), A).unwrap();
    assert_eq!(server.alpn_protocol(), Some(JOIN_PROTOCOL));
    assert!(shake(a.join_server_config().unwrap(), join_client_config([0; 32], None).unwrap(), A).is_err());
    // Without a certificate nobody gets to where members talk.
    assert!(shake(a.server_config().unwrap(), join_client_config(fingerprint, None).unwrap(), A).is_err());
}
