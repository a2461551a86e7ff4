//! From slapd and back: `slapcat` imported, `export` taken by `slapadd` and by `ldapadd`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::code;
use crate::support::ldif::{self, Attributes};
use crate::support::program::{run, run_with_input};
use crate::support::request::{self, ADD, REPLACE};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject, check, export, import, init};
use crate::support::slapd::Slapd;

/// What a server keeps for itself and another one computes or has no use for.
const PRIVATE: [&str; 4] = ["contextcsn", "entrycsn", "memberof", "structuralobjectclass"];

/// A slapd with the usual data by slapadd and some more written over LDAP; its slapcat.
#[track_caller]
fn slapcat(folder: &Path) -> String {
    let setup = Setup::default();
    let slapd = Slapd::make(folder, &setup, None);
    let (mut program, address) = slapd.start();
    let mut client = crate::support::client::Client::connect(address);
    client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
    let people = format!("ou=people,{SUFFIX}");
    let names: [(&str, &str); 4] = [
        ("cn=Smith\\, John+uid=john", "a comma and two values in the name"),
        ("cn=Лев Толстой", "another script"),
        ("cn=\\20blank\\20", "blanks at the ends"),
        ("cn=quote\\22 and \\\\", "escapes"),
    ];
    for (rdn, description) in names {
        let attributes: [(&str, &[&str]); 4] = [
            ("objectClass", &["inetOrgPerson"]),
            ("sn", &["Über ﬁne"]),
            ("description", &[description, "line\nbreak", " leading blank", ":colon", "<less"]),
            ("userPassword", &["in-clear"]),
        ];
        client.add(&format!("{rdn},{people}"), &attributes).expect(code::SUCCESS);
    }
    let ann = format!("uid=ann,{people}");
    client.perform(&request::password_modify(Some(&ann), None, Some("changed-1"))).expect(code::SUCCESS);
    client.modify(&ann, &[(REPLACE, "title", &["Chair"]), (ADD, "cn;lang-fr", &["Anne"])]).expect(code::SUCCESS);
    client.modify_dn(&format!("uid=dave,{people}"), "uid=david", false, None).expect(code::SUCCESS);
    let group: [(&str, &[&str]); 2] = [("objectClass", &["groupOfNames"]), ("member", &[&ann])];
    client.add(&format!("cn=written,ou=groups,{SUFFIX}"), &group).expect(code::SUCCESS);
    drop(client);
    // What it answered is on disk; slapd 2.5 crashes at its end now and then.
    program.terminate();
    slapd.slapcat()
}

/// Fails unless every value of `theirs` is in `ours`, the private attributes apart; says entry and attribute.
#[track_caller]
fn assert_kept(theirs: &str, ours: &str) {
    let ours = ldif::by_dn(ours);
    let theirs = ldif::by_dn(theirs);
    for (dn, attributes) in &theirs {
        let found = ours.get(dn).unwrap_or_else(|| panic!("{dn} is missing"));
        for (name, values) in attributes.iter().filter(|(name, _)| !PRIVATE.contains(&name.as_str())) {
            if name == "userpassword" && values.iter().any(|value| !value.starts_with(b"{")) {
                // What slapd kept in clear is kept as a hash.
                assert!(found[name].iter().all(|value| value.starts_with(b"{")), "{name} of {dn}");
                continue;
            }
            assert_eq!(found.get(name).map(lower_if_dn), Some(lower_if_dn(values)), "{name} of {dn}");
        }
    }
    let extra: Vec<_> = ours.keys().filter(|dn| !theirs.contains_key(*dn)).collect();
    assert!(extra.is_empty(), "entries that were not there: {extra:?}");
}

/// DN values may come back in the spelling of the entry that they name.
fn lower_if_dn(values: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let lower = |value: &Vec<u8>| match std::str::from_utf8(value) {
        Ok(text) if text.contains("dc=example") => ldif::plain_dn(text).into_bytes(),
        _ => value.clone(),
    };
    values.iter().map(lower).collect()
}

#[test]
fn slapcat_export_is_taken_over_entry_by_entry() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let exported = slapcat(folder.path());
    let data = folder.path().join("data");
    init(&data, folder.path());
    import(&data, &exported, folder.path());
    check(&data);
    assert_kept(&exported, &export(&data));
}

/// Identity, times and passwords come along, and groups are known from the first moment.
#[test]
fn people_of_a_slapcat_export_bind_with_their_passwords() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let exported = slapcat(folder.path());
    let server = Server::start_subject(Subject::Entente, Setup { ldif: exported.clone(), ..Setup::default() });
    let ann = format!("uid=ann,ou=people,{SUFFIX}");
    server.bound(&ann, "changed-1");
    server.person("bob");
    server.bound(&format!("cn=Лев Толстой,ou=people,{SUFFIX}"), "in-clear");
    let entry = server.admin().read_attributes(&ann, &["*", "+"]);
    let theirs = &ldif::by_dn(&exported)[&ann];
    for name in ["entryUUID", "createTimestamp", "modifyTimestamp", "creatorsName", "modifiersName"] {
        let expected: Vec<_> = theirs[&name.to_lowercase()].iter().cloned().collect();
        assert_eq!(entry.bytes(name), expected, "{name}");
    }
    let groups = entry.values("memberOf");
    assert!(groups.contains(&format!("cn=written,ou=groups,{SUFFIX}")), "{groups:?}");
    assert!(groups.contains(&format!("cn=staff,ou=groups,{SUFFIX}")), "{groups:?}");
}

/// Entente's data for the way back, without access rules: slapd does not know them.
#[track_caller]
fn our_export(folder: &Path, arguments: &[&str]) -> String {
    let data = folder.join("data");
    init(&data, folder);
    import(&data, crate::support::server::DATA, folder);
    let mut command = crate::support::program::entente();
    run(command.arg("export").arg("--data").arg(data).args(arguments)).expect_success()
}

#[test]
fn slapadd_takes_our_export() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let exported = our_export(folder.path(), &["--for", "slapadd"]);
    let peer = folder.path().join("slapd");
    let slapd = Slapd::make(&peer, &Setup { ldif: exported.clone(), ..Setup::default() }, None);
    let back = ldif::by_dn(&slapd.slapcat());
    for (dn, attributes) in ldif::by_dn(&exported) {
        let found = back.get(&dn).unwrap_or_else(|| panic!("{dn} is missing"));
        for (name, values) in attributes {
            assert_eq!(found.get(&name), Some(&values), "{name} of {dn}");
        }
    }
    let (_program, address) = slapd.start();
    let mut client = crate::support::client::Client::connect(address);
    client.bind(&format!("uid=ann,ou=people,{SUFFIX}"), "ann-secret").expect(code::SUCCESS);
}

/// ldapadd may not write what a server keeps; the export without operational attributes is for that.
#[test]
fn ldapadd_takes_our_export_of_user_attributes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let exported = our_export(folder.path(), &["--for", "ldapadd"]);
    let peer = Server::start_subject(Subject::Slapd, Setup { ldif: String::new(), ..Setup::default() });
    let mut command = Command::new("ldapadd");
    command.env("LDAPCONF", "/dev/null").args(["-x", "-M", "-H", &peer.url(), "-D", ADMIN, "-w", ADMIN_PASSWORD]);
    run_with_input(&mut command, exported.as_bytes()).expect_success();
    let mut client = peer.admin();
    for (dn, attributes) in ldif::by_dn(&exported) {
        let read = request::Search::base(&dn).attributes(&["*", "ref"]);
        let entry = client.with(request::Control::manage_dsa_it()).search(&read).single();
        assert_eq!(attributes_of(&entry), attributes, "{dn}");
    }
}

fn attributes_of(entry: &crate::support::client::Entry) -> Attributes {
    entry.attributes.iter().map(|(name, values)| (name.to_lowercase(), values.iter().cloned().collect())).collect()
}
