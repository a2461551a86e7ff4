//! Controls that have no value: with one, each is refused on every operation that it belongs to, critical or not, so that
//! what a client means by it is never passed over.

use crate::control_pairs::{Operation, belongs, controls};
use crate::support::client::Client;
use crate::support::request::{self, Control, REPLACE, Search};
use crate::support::server::{Server, Subject};
use crate::support::{code, oid};
use crate::{ANN, add_person};

use Operation::{Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, PasswordModify};

const OPERATIONS: [Operation; 9] =
    [Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, PasswordModify, Operation::Search];

/// Whether slapd has the control for the operation.
fn is_on_slapd(oid: &str, operation: Operation) -> bool {
    match oid {
        oid::PASSWORD_POLICY => matches!(operation, Add | Bind | Modify),
        oid::MANAGE_DSA_IT | oid::PERMISSIVE_MODIFY | oid::RELAX_RULES | oid::DONT_USE_COPY => true,
        _ => false,
    }
}

/// The code of one request about `dn` with the control.
fn asked(client: &mut Client, operation: Operation, dn: &str, control: Control) -> u32 {
    client.with(control);
    match operation {
        Add => client.add(&format!("cn=below,{dn}"), &[("objectClass", &["device"])]).code,
        Bind => client.bind(ANN, "ann-secret").code,
        Compare => client.compare(dn, "uid", "valued").code,
        Delete => client.delete(dn).code,
        Extended => client.perform(&request::extended(oid::WHO_AM_I, None)).code,
        Modify => client.modify(dn, &[(REPLACE, "title", &["Director"])]).code,
        ModifyDn => client.modify_dn(dn, "uid=renamed", true, None).code,
        PasswordModify => client.perform(&request::password_modify(Some(dn), None, Some("valued-secret"))).code,
        _ => client.search(&Search::base(dn)).outcome.code,
    }
}

/// RFC 3296 3, RFC 3829 3, RFC 6171 2, draft-behera-ldap-password-policy-10 6.1: the value is absent.
#[test]
fn a_value_where_there_must_be_none_is_a_protocol_error() {
    let (mut client, branch) = Server::shared().branch("valued");
    let dn = add_person(&mut client, &branch, "valued");
    // A session token may come without a value and with one.
    let without = controls().into_iter().filter(|control| control.value.is_none());
    let without = without.filter(|control| ![oid::SESSION_TOKEN, oid::UNKNOWN].contains(&control.oid.as_str()));
    let mut wrong = Vec::new();
    let mut tried = 0;
    for Control { oid, .. } in without {
        for operation in OPERATIONS.into_iter().filter(|operation| belongs(&oid, *operation)) {
            if Subject::current().is_slapd() && !is_on_slapd(&oid, operation) {
                continue;
            }
            for critical in [true, false] {
                let control = Control { oid: oid.clone(), critical, value: Some(b"junk".to_vec()) };
                // A failed bind ends who one was.
                let mut other = Server::shared().anonymous();
                let client = if operation == Bind { &mut other } else { &mut client };
                let is = asked(client, operation, &dn, control);
                tried += 1;
                if is != code::PROTOCOL_ERROR {
                    wrong.push(format!("{operation:?} with {oid}, critical {critical}: {is}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}: {wrong:#?}", wrong.len());
    assert!(tried >= Subject::current().pick(66, 20), "{tried}");
    assert_eq!(client.read(&dn).values("title"), [""; 0], "nothing was changed");
}
