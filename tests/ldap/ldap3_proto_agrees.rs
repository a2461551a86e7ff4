//! Another implementation reads what the server writes: ldap3_proto, the crate that many Rust clients speak LDAP with.

use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapFilter, LdapMsg, LdapOp, LdapSearchRequest, LdapSearchScope,
};
use std::io::{Read, Write};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use crate::support::client::Client;
use crate::support::server::Server;
use crate::{ANN, PEOPLE};

/// A connection by ldap3_proto's own codec.
struct Other {
    socket: std::net::TcpStream,
    codec: LdapCodec,
    unread: BytesMut,
}

impl Other {
    fn connect(server: &Server) -> Self {
        let codec = LdapCodec::new(Some(1 << 20), None);
        Self { socket: Client::socket(server.address()), codec, unread: BytesMut::new() }
    }

    fn ask(&mut self, id: i32, operation: LdapOp) -> Vec<LdapMsg> {
        let mut bytes = BytesMut::new();
        self.codec.encode(LdapMsg::new(id, operation), &mut bytes).expect("a request can be written");
        self.socket.write_all(&bytes).expect("server takes the bytes");
        let mut answers = Vec::new();
        loop {
            while let Some(message) = self.codec.decode(&mut self.unread).expect("ldap3_proto reads the answer") {
                assert_eq!(message.msgid, id);
                let last = !matches!(message.op, LdapOp::SearchResultEntry(_) | LdapOp::SearchResultReference(_));
                answers.push(message);
                if last {
                    return answers;
                }
            }
            let mut chunk = [0; 4096];
            let count = self.socket.read(&mut chunk).expect("server answers");
            assert_ne!(count, 0, "connection closed");
            self.unread.extend_from_slice(&chunk[..count]);
        }
    }
}

#[test]
fn ldap3_proto_binds_and_searches() {
    let server = Server::shared();
    let mut other = Other::connect(&server);
    let bind = LdapBindRequest { version: 3, dn: ANN.to_owned(), cred: LdapBindCred::Simple("ann-secret".to_owned()) };
    let answers = other.ask(1, LdapOp::BindRequest(bind));
    assert!(
        matches!(&answers[..], [LdapMsg { op: LdapOp::BindResponse(response), .. }] if response.res.code == ldap3_proto::LdapResultCode::Success)
    );
    let search = LdapSearchRequest {
        base: PEOPLE.to_owned(),
        scope: LdapSearchScope::Subtree,
        aliases: LdapDerefAliases::Never,
        sizelimit: 0,
        timelimit: 0,
        typesonly: false,
        filter: LdapFilter::Equality("uid".to_owned(), "bob".to_owned()),
        attrs: vec!["cn".to_owned(), "mail".to_owned()],
    };
    let answers = other.ask(2, LdapOp::SearchRequest(search));
    let [LdapMsg { op: LdapOp::SearchResultEntry(entry), .. }, LdapMsg { op: LdapOp::SearchResultDone(done), .. }] =
        &answers[..]
    else {
        panic!("{answers:?}")
    };
    assert_eq!(entry.dn, "uid=bob,ou=people,dc=example,dc=com");
    assert_eq!(entry.attributes.len(), 2);
    assert_eq!(done.code, ldap3_proto::LdapResultCode::Success);
}
