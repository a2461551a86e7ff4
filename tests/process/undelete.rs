//! `entente undelete` and `entente replica conflicts` against a node that serves.

use crate::support::program::{entente, run};
use crate::support::server::{Server, Setup};

const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";

#[test]
fn a_deleted_entry_is_listed_and_comes_back_by_name_or_identity() {
    let server = Server::start(Setup::default());
    let command = |words: &[&str]| {
        let mut program = entente();
        program.args(words).arg("--data").arg(server.data());
        program
    };
    let mut client = server.admin();
    let uuid = client.read_attributes(ANN, &["entryUUID"]).value("entryUUID");
    client.delete(ANN).expect(0);
    let list = run(&mut command(&["undelete", "--list"])).expect_success();
    assert!(list.contains(&uuid) && list.contains(ANN) && list.contains(" by "), "{list}");
    let said = run(&mut command(&["undelete", ANN])).expect_success();
    assert_eq!(said.trim(), format!("{ANN} is back"));
    assert_eq!(client.read_attributes(ANN, &["entryUUID"]).value("entryUUID"), uuid);
    run(&mut command(&["undelete", ANN])).expect_status(1);

    client.delete(ANN).expect(0);
    let other = "uid=anna,ou=people,dc=example,dc=com";
    let line = run(&mut command(&["--json", "undelete", &uuid, "--to", other])).expect_success();
    let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((value["dn"].as_str(), value["entryUUID"].as_str()), (Some(other), Some(uuid.as_str())));
    assert_eq!(client.read_attributes(other, &["entryUUID"]).value("entryUUID"), uuid);
}

#[test]
fn without_conflicts_the_list_says_so() {
    let server = Server::start(Setup::default());
    for words in [&["replica", "conflicts"][..], &["replica", "conflicts", "list"]] {
        let said = run(entente().args(words).arg("--data").arg(server.data())).expect_success();
        assert_eq!(said.trim(), "no conflict waits for a decision");
    }
    let shown = entente().args(["replica", "conflicts", "show", "0-0", "--data"]).arg(server.data()).status();
    assert!(!shown.expect("runs").success());
}
