//! From 389 Directory Server: a real `db2ldif` export imported and compared entry by entry.

use crate::dirsrv::Dirsrv;
use crate::support::client::Client;
use crate::support::code;
use crate::support::ldif::{self, Attributes};
use crate::support::request::{self, ADD, REPLACE};
use crate::support::server::{DATA, SUFFIX, Server, Setup, Subject, check, export, import, init};

/// What 389 keeps for itself; nsUniqueId is compared on its own.
const PRIVATE: [&str; 9] = [
    "nsuniqueid",
    "entryid",
    "parentid",
    "entrydn",
    "entryusn",
    "dsentrydn",
    "nsds50ruv",
    "memberof",
    "structuralobjectclass",
];

/// The usual content over LDAP by a real client's hand.
#[track_caller]
pub(crate) fn fill(client: &mut Client) {
    for (dn, attributes) in ldif::records(DATA) {
        // 389 has no aliases to nothing and no loops, and hashes passwords itself.
        if attributes["objectclass"].contains(&b"alias"[..]) {
            continue;
        }
        let mut list: Vec<(&str, Vec<Vec<u8>>)> = Vec::new();
        for (name, values) in &attributes {
            if name != "userpassword" {
                list.push((name, values.iter().cloned().collect()));
            }
        }
        let uid = attributes.get("uid").and_then(|values| values.first()).map(|uid| String::from_utf8_lossy(uid));
        list.extend(uid.map(|uid| ("userPassword", vec![format!("{uid}-secret").into_bytes()])));
        client.perform(&request::add_bytes(&dn, &list)).expect_one_of(&[code::SUCCESS, code::ENTRY_ALREADY_EXISTS]);
    }
}

/// A 389 filled over LDAP: adds, hashed passwords, a rename; its db2ldif.
#[track_caller]
fn db2ldif(folder: &std::path::Path) -> String {
    let server = Dirsrv::make(folder);
    let mut program = server.start();
    let mut client = server.manager();
    fill(&mut client);
    let ann = format!("uid=ann,ou=people,{SUFFIX}");
    client
        .modify(&ann, &[(REPLACE, "title", &["Chair"]), (ADD, "description", &["Grüße\nzwei"])])
        .expect(code::SUCCESS);
    client.modify_dn(&format!("uid=dave,ou=people,{SUFFIX}"), "uid=david", true, None).expect(code::SUCCESS);
    let gone = format!("uid=gone,ou=people,{SUFFIX}");
    client.add(&gone, &[("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["x"])]).expect(code::SUCCESS);
    client.delete(&gone).expect(code::SUCCESS);
    drop(client);
    program.terminate();
    server.db2ldif()
}

/// `12345678-12345678-12345678-12345678` as an entryUUID.
fn uuid_of(unique_id: &[u8]) -> Vec<u8> {
    let hex: String = String::from_utf8_lossy(unique_id).to_lowercase().replace('-', "");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-").into_bytes()
}

#[track_caller]
fn assert_kept(dn: &str, theirs: &Attributes, ours: &Attributes) {
    for (name, values) in theirs.iter().filter(|(name, _)| !PRIVATE.contains(&name.as_str())) {
        assert_eq!(ours.get(name), Some(values), "{name} of {dn}");
    }
    if !theirs.contains_key("entryuuid")
        && let Some(unique_id) = theirs.get("nsuniqueid").and_then(|values| values.first())
    {
        assert!(ours["entryuuid"].contains(&uuid_of(unique_id)), "entryUUID of {dn}");
    }
}

#[test]
fn db2ldif_export_is_taken_over_entry_by_entry() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let exported = db2ldif(folder.path());
    let data = folder.path().join("data");
    init(&data, folder.path());
    import(&data, &exported, folder.path());
    check(&data);
    let ours = ldif::by_dn(&export(&data));
    let theirs = ldif::by_dn(&exported);
    for (dn, attributes) in &theirs {
        // The root of a suffix may have a replication entry beside it that is no entry of the tree.
        if attributes.get("objectclass").is_some_and(|classes| classes.contains(&b"nsTombstone"[..])) {
            continue;
        }
        assert_kept(dn, attributes, ours.get(dn).unwrap_or_else(|| panic!("{dn} is missing")));
    }
    assert!(ours.contains_key(&format!("uid=david,ou=people,{SUFFIX}")));

    let server = Server::start_subject(Subject::Entente, Setup { ldif: exported, ..Setup::default() });
    server.person("ann");
    server.person("bob");
    let groups =
        server.admin().read_attributes(&format!("uid=bob,ou=people,{SUFFIX}"), &["memberOf"]).values("memberOf");
    assert!(groups.contains(&format!("cn=staff,ou=groups,{SUFFIX}")), "{groups:?}");
}
