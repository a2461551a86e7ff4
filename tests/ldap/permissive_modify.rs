//! Permissive modify (MS-ADTS 3.1.1.3.4.1.8): a change that is there already is no error.

use crate::add_person;
use crate::support::request::{ADD, Control, DELETE, REPLACE};
use crate::support::server::{Server, Subject};
use crate::support::{code, oid};

fn permissive() -> Control {
    Control::plain(oid::PERMISSIVE_MODIFY)
}

#[test]
fn what_is_there_is_added_and_what_is_not_is_deleted() {
    let (mut client, branch) = Server::shared().branch("permissive");
    let dn = add_person(&mut client, &branch, "p");
    client.modify(&dn, &[(ADD, "title", &["Cook"])]).expect(code::SUCCESS);
    for refused in [
        &[(ADD, "title", &["cook"] as &[&str])],
        &[(DELETE, "title", &["Baker"] as &[&str])],
        &[(DELETE, "mobile", &[] as &[&str])],
        &[(DELETE, "mobile", &["1"] as &[&str])],
    ] {
        assert_ne!(client.modify(&dn, refused).code, code::SUCCESS);
        // slapd minds a value that is not there even so.
        if Subject::current().is_slapd() && refused[0].0 == DELETE {
            continue;
        }
        client.with(permissive()).modify(&dn, refused).expect(code::SUCCESS);
    }
    assert_eq!(client.read(&dn).values("title"), ["Cook"]);
    only_entente_from_here!(Lax);
    let list: [(i64, &str, &[&str]); 4] = [
        (ADD, "title", &["Cook", "Baker"]),
        (DELETE, "mobile", &["1"]),
        (REPLACE, "sn", &["New"]),
        (DELETE, "title", &["Cook"]),
    ];
    client.with(permissive()).modify(&dn, &list).expect(code::SUCCESS);
    let entry = client.read(&dn);
    assert_eq!((entry.values("title"), entry.values("sn")), (vec!["Baker".to_owned()], vec!["New".to_owned()]));
}

/// It forgives nothing else: schema, RDN, unknown attributes.
#[test]
fn other_faults_stay_faults() {
    let (mut client, branch) = Server::shared().branch("permissive-not");
    let dn = add_person(&mut client, &branch, "p");
    client.with(permissive()).modify(&dn, &[(DELETE, "sn", &[])]).expect(code::OBJECT_CLASS_VIOLATION);
    client
        .with(permissive())
        .modify(&dn, &[(DELETE, "uid", &["p"])])
        .expect_one_of(&[code::NOT_ALLOWED_ON_RDN, code::NAMING_VIOLATION]);
    client.with(permissive()).modify(&dn, &[(ADD, "noSuchAttribute", &["x"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    client
        .with(permissive())
        .modify(&format!("uid=q,{branch}"), &[(DELETE, "mobile", &[])])
        .expect(code::NO_SUCH_OBJECT);
}
