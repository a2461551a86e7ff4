//! The other commands, against a node that serves and against data that nobody serves.

use std::process::Command;

use crate::support::code;
use crate::support::ldif;
use crate::support::program::{entente, run, run_with_input};
use crate::support::request::Search;
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, check, export};

const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";

/// `entente COMMAND --data DATA`.
fn on_data(server: &Server, command: &str) -> Command {
    let mut program = entente();
    program.arg(command).arg("--data").arg(server.data());
    program
}

/// `entente COMMAND -H URL`, bound as the administrator.
fn as_administrator(server: &Server, command: &str) -> Command {
    let file = server.folder().join("client-password");
    std::fs::write(&file, ADMIN_PASSWORD).expect("our folder");
    let mut program = entente();
    program.args([command, "-H", &server.url(), "-D", ADMIN, "-y"]).arg(file);
    program
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}

#[test]
fn search_prints_ldif_or_json_and_tells_a_refusal() {
    let server = Server::start(Setup::default());
    let url = server.url();
    let found = run(entente().args(["search", "-H", &url, "(uid=ann)", "mail", "jpegPhoto"])).expect_success();
    let entries = ldif::by_dn(&found);
    assert!(entries[ANN]["mail"].contains("ann@example.com".as_bytes()), "{found}");
    assert_eq!(entries[ANN].len(), 2, "only what was asked for: {found}");
    let mut command = entente();
    command.args([
        "--json",
        "search",
        "-H",
        &url,
        "-b",
        &format!("ou=people,{SUFFIX}"),
        "uid=ann",
        "mail",
        "jpegPhoto",
    ]);
    let line = run(&mut command).expect_success();
    let entry = json(&line);
    assert_eq!(entry["dn"], ANN);
    assert_eq!(entry["attributes"]["mail"][0], "ann@example.com");
    assert!(entry["attributes"]["jpegPhoto"][0]["base64"].is_string());
    let people = format!("ou=people,{SUFFIX}");
    let nothing = run(entente().args(["search", "-H", &url, "-b", &people, "(uid=nobody)"])).expect_success();
    assert_eq!(nothing, "");
    let absent = format!("ou=absent,{SUFFIX}");
    let finished = run(entente().args(["search", "-H", &url, "-b", &absent])).expect_status(1);
    assert!(finished.stderr.contains("noSuchObject (32)") && finished.stdout.is_empty(), "{finished:?}");
    let text = run(entente().args(["search", "-H", &url, "ann"])).expect_failure();
    assert!(text.contains("(cn=*ann*)"), "{text}");
}

#[test]
fn search_and_whoami_go_over_tls_with_the_certificate_named() {
    let server = Server::start(Setup::default().with_tls());
    let file = &server.certificate.as_ref().expect("asked for").certificate_file;
    for url in [server.url_of("ldaps").replace("127.0.0.1", "localhost"), server.url_of("ldaps")] {
        let text = run(entente().args(["whoami", "-H", &url, "--ca"]).arg(file)).expect_success();
        assert_eq!(text.trim(), "anonymous");
    }
    run(entente().args(["search", "-H", &server.url(), "--starttls", "(uid=ann)", "--ca"]).arg(file)).expect_success();
    let text = run(entente().args(["whoami", "-H", &server.url_of("ldaps")])).expect_failure();
    assert!(text.contains("--ca"), "{text}");
    let pin = "00".repeat(32);
    let text = run(entente().args(["whoami", "-H", &server.url_of("ldaps"), "--insecure-pin", &pin])).expect_failure();
    assert!(text.contains("fingerprint"), "{text}");
}

#[test]
fn the_owner_of_the_data_is_the_administrator_over_the_nodes_own_socket() {
    let server = Server::start(Setup::default());
    assert_eq!(run(&mut on_data(&server, "whoami")).expect_success().trim(), format!("dn:{ADMIN}"));
    assert_eq!(run(&mut as_administrator(&server, "whoami")).expect_success().trim(), format!("dn:{ADMIN}"));
    let text = run(entente().args(["whoami", "-H", &server.url(), "-D", ADMIN])).expect_failure();
    assert!(text.contains("--password-file"), "no terminal to ask at: {text}");
}

#[test]
fn modify_applies_every_kind_of_change_and_names_the_line_that_is_refused() {
    let server = Server::start(Setup::default());
    let changes = format!(
        "dn: {ANN}\nchangetype: modify\nreplace: title\ntitle: Chief\n\n\
        dn: uid=absent,{SUFFIX}\nchangetype: delete\n\n\
        dn: uid=bob,ou=people,{SUFFIX}\nchangetype: modrdn\nnewrdn: uid=robert\ndeleteoldrdn: 1\n\n\
        dn: uid=kim,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: kim\ncn: Kim\nsn: Kim\n"
    );
    let finished = run_with_input(on_data(&server, "modify").arg("--continue"), changes.as_bytes()).expect_status(1);
    assert!(finished.stderr.contains("line 6") && finished.stderr.contains("noSuchObject"), "{finished:?}");
    let after = ldif::by_dn(&export(&server.data()));
    assert!(after[ANN]["title"].contains("Chief".as_bytes()));
    assert!(after.contains_key(&format!("uid=robert,ou=people,{SUFFIX}")));
    assert!(after.contains_key(&format!("uid=kim,ou=people,{SUFFIX}")));
    let finished = run_with_input(&mut on_data(&server, "modify"), changes.as_bytes()).expect_status(1);
    assert!(finished.stderr.contains("1 records before it were done"), "{finished:?}");
}

#[test]
fn passwd_sets_the_given_password_or_prints_the_generated_one() {
    let server = Server::start(Setup::default());
    let file = server.folder().join("new-password");
    std::fs::write(&file, "a-new-secret\n").expect("our folder");
    run(on_data(&server, "passwd").arg("--new-password-file").arg(&file).arg(ANN)).expect_success();
    server.bound(ANN, "a-new-secret");
    let generated = run(on_data(&server, "passwd").args(["--generate", ANN])).expect_success();
    server.bound(ANN, generated.trim());
    let text = run(on_data(&server, "passwd").arg("--generate")).expect_failure();
    assert!(text.contains("whose password"), "{text}");
}

#[test]
fn reindex_is_done_by_the_node_that_serves_and_offline_by_the_command() {
    let mut server = Server::start(Setup::default());
    let report = json(&run(on_data(&server, "reindex").arg("--json")).expect_success());
    assert_eq!(report["online"], true);
    // Only the administrator may order it: the same as somebody else is refused.
    let before = export(&server.data());
    check(&server.data());
    assert!(server.stop().success());
    let report = json(&run(on_data(&server, "reindex").arg("--json")).expect_success());
    assert_eq!(report["online"], false);
    check(&server.data());
    assert_eq!(export(&server.data()), before);
}

#[test]
fn commands_that_replace_the_data_are_refused_while_a_node_serves() {
    let mut server = Server::start(Setup::default());
    let pid = server.process_id().expect("it runs").to_string();
    let text = run(&mut on_data(&server, "compact")).expect_failure();
    assert!(text.contains(&pid) && text.contains("serve"), "{text}");
    let file = server.folder().join("x.ldif");
    std::fs::write(&file, export(&server.data())).expect("our folder");
    let text = run(on_data(&server, "import").arg("--replace").arg(&file)).expect_failure();
    assert!(text.contains(&pid), "{text}");
    let text = run(on_data(&server, "serve").args(["--listen", "ldap://127.0.0.1:0"])).expect_failure();
    assert!(text.contains(&pid), "{text}");
    let before = export(&server.data());
    assert!(server.stop().success());
    run(&mut on_data(&server, "compact")).expect_success();
    check(&server.data());
    assert_eq!(export(&server.data()), before);
    server.restart();
    server.bound(ANN, "ann-secret");
}

#[test]
fn a_backup_of_a_serving_node_is_restored_under_a_new_origin() {
    let server = Server::start(Setup::default());
    let file = server.folder().join("saved.zst");
    run(on_data(&server, "backup").arg(&file)).expect_success();
    let text = run(on_data(&server, "backup").arg(&file)).expect_failure();
    assert!(text.contains("--force"), "{text}");
    run(entente().args(["restore", "--verify"]).arg(&file)).expect_success();
    let copy = server.folder().join("copy");
    let report = run(entente().args(["restore", "--json", "--data"]).arg(&copy).arg(&file)).expect_success();
    let report = json(&report);
    assert_eq!(report["node"], report["manifest"]["node"]);
    assert_ne!(report["origin"], report["manifest"]["origin"]);
    assert_eq!(export(&copy), export(&server.data()));
    check(&copy);
    let mut bytes = std::fs::read(&file).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&file, bytes).expect("our folder");
    let text = run(entente().args(["restore", "--replace", "--data"]).arg(&copy).arg(&file)).expect_failure();
    assert!(text.contains("damaged"), "{text}");
    check(&copy);
}

#[test]
fn config_check_tells_what_is_wrong_by_its_exit_status_and_in_words() {
    let server = Server::start(Setup::default());
    run(entente().args(["config", "check", "--data"]).arg(server.data())).expect_success();
    let absent = server.folder().join("absent");
    let text = run(entente().args(["config", "check", "--data"]).arg(&absent)).expect_failure();
    assert!(text.contains("absent"), "{text}");
    let shown = run(entente().args(["config", "show", "--set", "limits.size=7"])).expect_success();
    let file = server.folder().join("shown.toml");
    std::fs::write(&file, &shown).expect("our folder");
    let again = run(entente().args(["config", "show", "--config"]).arg(&file)).expect_success();
    assert_eq!(again, shown);
}

#[test]
fn completions_and_man_pages_name_every_command() {
    let script = run(entente().args(["completions", "bash"])).expect_success();
    assert!(script.contains("reindex") && script.contains("whoami"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(entente().arg("man").arg(folder.path())).expect_success();
    assert!(folder.path().join("entente-config-check.1").is_file());
}

/// Over the socket of the node that serves, and on the data when none does; what one adds the other shows.
#[test]
fn suffixes_come_and_go_online_and_offline() {
    let mut server = Server::start(Setup::default());
    let suffix = |server: &Server, words: &[&str]| {
        let mut command = entente();
        command.arg("suffix").args(words).arg("--data").arg(server.data());
        run(&mut command)
    };
    suffix(&server, &["add", "dc=example,dc=net"]).expect_success();
    let mut client = server.admin();
    let contexts = |client: &mut crate::support::client::Client| {
        client.search(&Search::base("").attributes(&["namingContexts"])).single().values("namingContexts")
    };
    assert_eq!(contexts(&mut client), [SUFFIX, "dc=example,dc=net"], "served at once");
    assert_eq!(suffix(&server, &["list"]).expect_success(), format!("{SUFFIX}\ndc=example,dc=net\n"));
    let twice = suffix(&server, &["add", "dc=example,dc=net"]).expect_failure();
    assert!(twice.contains("entryAlreadyExists"), "{twice}");
    // As after init, whoever has bound reads it.
    let unit: [(&str, &[&str]); 1] = [("objectClass", &["organizationalUnit"])];
    client.add("ou=x,dc=example,dc=net", &unit).expect(code::SUCCESS);
    assert_eq!(server.person("ann").names("dc=example,dc=net", "(ou=x)"), ["x"]);
    let full = suffix(&server, &["delete", "dc=example,dc=net"]).expect_failure();
    assert!(full.contains("notAllowedOnNonLeaf"), "{full}");
    let elsewhere = suffix(&server, &["delete", "ou=x,dc=example,dc=net"]).expect_failure();
    assert!(elsewhere.contains("no suffix") && elsewhere.contains(SUFFIX), "{elsewhere}");
    client.delete("ou=x,dc=example,dc=net").expect(code::SUCCESS);
    drop(client);
    server.stop();
    suffix(&server, &["add", "o=Partners"]).expect_success();
    suffix(&server, &["delete", "dc=example,dc=net"]).expect_success();
    assert_eq!(suffix(&server, &["list"]).expect_success(), format!("{SUFFIX}\no=Partners\n"));
    check(&server.data());
    assert!(export(&server.data()).contains("dn: o=Partners\n"));
    server.restart();
    assert_eq!(contexts(&mut server.admin()), [SUFFIX, "o=Partners"]);
}

/// OpenLDAP's own files, whose OIDs have names (`objectIdentifier`, slapd.conf(5)), in both of its forms.
#[test]
fn schema_files_of_openldap_with_names_for_oids_are_read() {
    for file in ["openldap.schema", "openldap.ldif", "duaconf.schema", "duaconf.ldif"] {
        let told = run(entente().args(["schema", "check"]).arg(format!("/etc/ldap/schema/{file}"))).expect_success();
        assert!(told.starts_with("sound: "), "{file}: {told}");
    }
}
