//! Encrypted attributes as an operator meets them: switched on, used, replicated, backed up, and the key changed or lost (T-32).

use std::path::{Path, PathBuf};

use crate::cluster::node::{Node, person};
use crate::secrets::holds;
use crate::support::code;
use crate::support::program::{entente, run};
use crate::support::request::{ADD, Control, DELETE, REPLACE, Search};
use crate::support::server::{DATA, SUFFIX, Server, Setup, check, export};
use crate::support::wait::wait_until;

const CANARY: &str = "canary-Qm4xv7-encrypted";
/// What is encrypted: text, numbers in order, telephones, names that are also looked for by sound.
const ENCRYPTED: [&str; 5] = ["employeeNumber", "description", "telephoneNumber", "uidNumber", "givenName"];
const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";
const BOB: &str = "uid=bob,ou=people,dc=example,dc=com";

/// A new key, told by `entente encryption create-key`.
#[track_caller]
fn new_key(file: &Path) -> String {
    let text = run(entente().args(["--json", "encryption", "create-key"]).arg(file)).expect_success();
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value["key"].as_str().expect("its number").to_owned()
}

/// Settings in the data directory itself, where every command finds them.
fn settings(data: &Path, attributes: &[&str], key_file: Option<&Path>) {
    let key_file = key_file.map(|file| format!("encryption_key_file = {file:?}\n")).unwrap_or_default();
    std::fs::create_dir_all(data).expect("our folder");
    std::fs::write(data.join("entente.toml"), format!("[storage]\nencrypted_attributes = {attributes:?}\n{key_file}"))
        .expect("our folder");
}

fn command(words: &[&str], data: &Path) -> std::process::Command {
    let mut command = entente();
    command.args(words).arg("--data").arg(data);
    command
}

/// What each of these filters finds.
fn answers(server: &Server) -> Vec<Vec<String>> {
    let number = CANARY;
    let filters = [
        format!("(employeeNumber={number}-ann)"),
        format!("(employeeNumber={}-ANN)", number.to_uppercase()),
        "(employeeNumber=*)".to_owned(),
        "(!(employeeNumber=*))".to_owned(),
        format!("(employeeNumber={number}*)"),
        "(employeeNumber=*xv7*)".to_owned(),
        "(employeeNumber=*-bob)".to_owned(),
        format!("(employeeNumber>={number}-b)"),
        format!("(employeeNumber<={number}-b)"),
        format!("(employeeNumber~={number}-ann)"),
        format!("(&(objectClass=inetOrgPerson)(|(employeeNumber={number}-bob)(description=*{number}*)))"),
        format!("(description={number} 7)"),
        format!("(description={number} 99)"),
        "(employeeNumber:caseExactMatch:=nobody)".to_owned(),
        "(telephoneNumber=+1 555 0100)".to_owned(),
        "(telephoneNumber=5550100)".to_owned(),
        "(telephoneNumber=*0100)".to_owned(),
        "(uidNumber=1001)".to_owned(),
        "(uidNumber>=1002)".to_owned(),
        "(uidNumber<=1001)".to_owned(),
        "(givenName~=Jurgen)".to_owned(),
        "(&(givenName=*)(!(givenName=ann)))".to_owned(),
    ];
    let mut admin = server.admin();
    filters
        .iter()
        .map(|filter| {
            let found = admin.search(&Search::subtree(SUFFIX, filter).attributes(&["uid"])).expect(code::SUCCESS);
            let mut names = found.dns();
            names.sort();
            names
        })
        .collect()
}

/// The lines of a text, sorted.
fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn people() -> String {
    let described: String = (0..80).map(|number| format!("description: {CANARY} {number}\n")).collect();
    let with = |uid: &str, lines: &str, text: &str| {
        let dn = format!("dn: uid={uid},ou=people,{SUFFIX}\n");
        assert!(text.contains(&dn), "{text}");
        text.replace(&dn, &format!("{dn}{lines}"))
    };
    let data: String =
        DATA.lines().filter(|line| !line.starts_with("employeeNumber:")).flat_map(|line| [line, "\n"]).collect();
    let text = with("ann", &format!("employeeNumber: {CANARY}-ann\n{described}"), &data);
    with("bob", &format!("employeeNumber: {CANARY}-bob\n"), &text)
}

/// hostile.md T-32.
#[test]
fn what_is_encrypted_is_found_and_shown_as_before_and_is_nowhere_in_clear() {
    let mut server = Server::start(Setup { ldif: people(), ..Setup::default() });
    let before = answers(&server);
    assert!(before.iter().filter(|found| !found.is_empty()).count() > 9, "{before:?}");
    let data = server.data();
    assert!(server.stop().success());
    let clear = export(&data);
    assert!(holds(&data, CANARY.as_bytes()).is_some(), "the test can see it");

    // Settings alone encrypt nothing, and nothing is served as if they did.
    let key = server.folder().join("one.key");
    let number = new_key(&key);
    settings(&data, &ENCRYPTED, Some(&key));
    let said = run(&mut command(&["serve"], &data)).expect_failure();
    assert!(said.contains("entente encryption apply"), "{said}");
    // What a node kept of the data before, which nothing but its owner can judge.
    let kept = data.join("kept");
    std::fs::create_dir(&kept).expect("our folder");
    std::fs::copy(data.join("data.mdb"), kept.join("data.mdb")).expect("our folder");
    let said = run(&mut command(&["encryption", "apply"], &data)).expect_success();
    assert!(said.contains("employeeNumber") && said.contains("description"), "{said}");
    assert!(said.contains(&format!("{} holds data as it was before", kept.display())), "{said}");
    std::fs::remove_dir_all(&kept).expect("our folder");
    assert_eq!(holds(&data, CANARY.as_bytes()), None);
    check(&data);
    // Many values stand in another order now, as they were written.
    assert!(lines(&export(&data)) == lines(&clear), "LDIF is in clear");

    server.restart();
    assert_eq!(answers(&server), before);
    let mut admin = server.admin();
    let ann = admin.read_attributes(ANN, &ENCRYPTED);
    assert_eq!((ann.value("employeeNumber"), ann.values("description").len()), (format!("{CANARY}-ann"), 81));
    admin.compare(ANN, "employeeNumber", &format!("{CANARY}-ann")).expect(code::COMPARE_TRUE);
    admin.compare(ANN, "employeeNumber", "other").expect(code::COMPARE_FALSE);

    // Written, changed, deleted, brought back.
    let cid = format!("uid=cid,ou=people,{SUFFIX}");
    let second = format!("{CANARY}-cid");
    let attributes: [(&str, &[&str]); 5] = [
        ("objectClass", &["inetOrgPerson"]),
        ("uid", &["cid"]),
        ("cn", &["Cid"]),
        ("sn", &["Cid"]),
        ("employeeNumber", &[&second]),
    ];
    admin.add(&cid, &attributes).expect(code::SUCCESS);
    admin.modify(&cid, &[(REPLACE, "employeeNumber", &[&format!("{CANARY}-new")])]).expect(code::SUCCESS);
    admin.modify(ANN, &[(DELETE, "description", &[&format!("{CANARY} 7")])]).expect(code::SUCCESS);
    admin.modify(ANN, &[(ADD, "description", &[&format!("{CANARY} 99")])]).expect(code::SUCCESS);
    assert_eq!(admin.names(SUFFIX, &format!("(description={CANARY} 99)")), ["ann"]);
    assert!(admin.names(SUFFIX, &format!("(description={CANARY} 7)")).is_empty());
    admin.delete(&cid).expect(code::SUCCESS);
    run(&mut command(&["undelete", &cid], &data)).expect_success();
    assert_eq!(admin.names(SUFFIX, &format!("(employeeNumber={CANARY}-new)")), ["cid"]);
    admin.delete(&cid).expect(code::SUCCESS);

    // Unique values are found by the index.
    admin.modify(SUFFIX, &[(ADD, "uniqueAttribute", &["employeeNumber"])]).expect(code::SUCCESS);
    admin.modify(BOB, &[(REPLACE, "employeeNumber", &[&format!("{CANARY}-ANN")])]).expect(code::CONSTRAINT_VIOLATION);
    // Sorted by values that no index has in order.
    admin.with(Control::sort(&["-employeeNumber"]));
    let sorted =
        admin.search(&Search::subtree(SUFFIX, "(employeeNumber=*)").attributes(&["uid"])).expect(code::SUCCESS);
    assert_eq!(sorted.entries.iter().map(|entry| entry.dn.as_str()).collect::<Vec<_>>(), [BOB, ANN]);

    // A name would show it.
    let refused = admin.modify_dn(BOB, &format!("employeeNumber={CANARY}-bob"), false, None);
    assert_eq!(refused.code, code::CONSTRAINT_VIOLATION);
    assert!(refused.diagnostic.contains("encrypted"), "{}", refused.diagnostic);

    let backup = server.folder().join("backup.zst");
    run(command(&["backup"], &data).arg(&backup)).expect_success();
    drop(admin);
    server.kill();
    assert_eq!(holds(&data, CANARY.as_bytes()), None, "after a crash");
    check(&data);
    let restored = server.folder().join("restored");
    let said = run(command(&["restore"], &restored).arg(&backup)).expect_success();
    assert!(said.contains(&number), "{said}");
    assert_eq!(holds(&restored, CANARY.as_bytes()), None);
    let said = run(&mut command(&["export"], &restored)).expect_failure();
    assert!(said.contains(&number) && said.contains("encryption_key_file"), "{said}");
    settings(&restored, &ENCRYPTED, Some(&key));
    assert!(export(&restored) == export(&data), "the backup has it all");
    // What is imported in its place is encrypted from its first byte.
    let ldif = server.folder().join("again.ldif");
    std::fs::write(&ldif, people()).expect("our folder");
    run(command(&["import", "--replace"], &restored).arg(&ldif)).expect_success();
    assert_eq!(holds(&restored, CANARY.as_bytes()), None);
    assert!(export(&restored).contains(CANARY));

    // Another key, behind it the old one until all is encrypted anew; then the old one opens nothing.
    let (other, both) = (server.folder().join("two.key"), server.folder().join("both.key"));
    new_key(&other);
    let text = [&other, &key].map(|file| std::fs::read_to_string(file).expect("a key file")).concat();
    std::fs::copy(&other, &both).expect("our folder");
    std::fs::write(&both, text).expect("our folder");
    settings(&data, &ENCRYPTED, Some(&other));
    let said = run(&mut command(&["serve"], &data)).expect_failure();
    assert!(said.contains("without the right key"), "{said}");
    settings(&data, &ENCRYPTED, Some(&both));
    run(&mut command(&["encryption", "apply"], &data)).expect_success();
    settings(&data, &ENCRYPTED, Some(&other));
    check(&data);
    server.restart();
    assert_eq!(server.admin().names(SUFFIX, &format!("(employeeNumber={CANARY}-ann)")), ["ann"]);
    assert!(server.stop().success());

    // Off again.
    settings(&data, &[], Some(&other));
    run(&mut command(&["encryption", "apply"], &data)).expect_success();
    settings(&data, &[], None);
    check(&data);
    assert!(holds(&data, CANARY.as_bytes()).is_some());
}

/// An encrypting member's data directory, before it joins.
fn encrypting(folder: &Path, name: &str) -> (Node, PathBuf) {
    let node = Node::at(folder, name);
    let key = folder.join(format!("{name}.key"));
    new_key(&key);
    settings(&node.data(), &["employeeNumber", "description"], Some(&key));
    (node, key)
}

#[test]
fn members_with_keys_of_their_own_agree_and_neither_has_it_in_clear() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut a, key) = encrypting(folder.path(), "a");
    std::fs::remove_file(a.data().join("entente.toml")).expect("our folder");
    drop(std::mem::replace(&mut a, Node::found(folder.path(), "a")));
    settings(&a.data(), &["employeeNumber", "description"], Some(&key));
    run(&mut a.command(&["encryption", "apply"])).expect_success();
    a.serve();
    let (b, _) = encrypting(folder.path(), "b");
    let mut b = b.joining(&a);
    let first = format!("{CANARY}-first");
    a.client().modify(&person("ann"), &[(REPLACE, "employeeNumber", &[&first])]).expect(code::SUCCESS);
    wait_until("ann's number on b", || b.client().names(SUFFIX, &format!("(employeeNumber={first})")) == ["ann"]);

    // Both write while neither hears the other: one is lost, and written down.
    b.stop();
    a.describe("bob", &format!("{CANARY} on a"));
    a.client().modify(&person("bob"), &[(REPLACE, "employeeNumber", &[&format!("{CANARY}-a")])]).expect(code::SUCCESS);
    a.stop();
    b.serve();
    b.describe("bob", &format!("{CANARY} on b"));
    b.client().modify(&person("bob"), &[(REPLACE, "employeeNumber", &[&format!("{CANARY}-b")])]).expect(code::SUCCESS);
    a.serve();
    a.wait_until_equal();
    b.wait_until_equal();
    let conflicts = a.replica(&["conflicts"]).expect_success();
    assert!(conflicts.contains("uid=bob"), "{conflicts}");
    a.client().delete(&person("ann")).expect(code::SUCCESS);
    wait_until("ann to go on b", || b.client().names(SUFFIX, "(uid=ann)").is_empty());
    a.stop();
    b.stop();
    for node in [&a, &b] {
        assert_eq!(holds(&node.data(), CANARY.as_bytes()), None);
        check(&node.data());
    }
    assert!(export(&a.data()) == export(&b.data()), "both have the same");
    assert!(export(&a.data()).contains(CANARY));
}
