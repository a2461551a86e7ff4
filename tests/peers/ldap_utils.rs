//! The programs of ldap-utils over the wire: LDIF in the test, exit status and output out.

use std::process::Command;

use crate::support::program::{Finished, run, run_with_input};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject};
use crate::support::{code, ldif, oid};

const PEOPLE: &str = "ou=people,dc=example,dc=com";
const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";

/// A program of ldap-utils that asks `server` as the administrator.
fn as_admin(server: &Server, program: &str) -> Command {
    let mut command = plain(server, program);
    command.args(["-D", ADMIN, "-w", ADMIN_PASSWORD]);
    command
}

/// The same without binding.
fn plain(server: &Server, program: &str) -> Command {
    let mut command = Command::new(program);
    // No configuration of the machine, no other character set, no questions.
    command.env("LDAPCONF", "/dev/null").env("LC_ALL", "C.UTF-8").args(["-x", "-H", &server.url()]);
    command
}

fn search(server: &Server, arguments: &[&str]) -> Finished {
    let mut command = plain(server, "ldapsearch");
    command.args(["-LLL", "-o", "ldif-wrap=no"]);
    run(command.args(arguments))
}

#[track_caller]
fn add_branch(server: &Server, name: &str) -> String {
    let dn = format!("ou={name},{SUFFIX}");
    let text = format!("dn: {dn}\nobjectClass: organizationalUnit\nou: {name}\n");
    run_with_input(&mut as_admin(server, "ldapadd"), text.as_bytes()).expect_success();
    dn
}

fn person(uid: &str, base: &str) -> String {
    format!("dn: uid={uid},{base}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: Person {uid}\nsn: {uid}\n")
}

#[test]
fn ldapadd_adds_every_record_of_a_file() {
    let server = Server::shared();
    let base = add_branch(&server, "utils-add");
    let text = format!("version: 1\n\n{}\n{}userPassword: in-clear-1\n", person("a", &base), person("b", &base));
    run_with_input(&mut as_admin(&server, "ldapadd"), text.as_bytes()).expect_success();
    let found = search(&server, &["-b", &base, "(uid=*)", "uid", "sn"]).expect_success();
    assert_eq!(ldif::by_dn(&found).len(), 2);
    run(plain(&server, "ldapwhoami").args(["-D", &format!("uid=b,{base}"), "-w", "in-clear-1"])).expect_success();
}

/// `-c`: the bad record is told, the others are done, and the exit status is the bad one's.
#[test]
fn ldapadd_goes_on_after_an_error_when_told_to() {
    let server = Server::shared();
    let base = add_branch(&server, "utils-continue");
    let bad = format!("dn: uid=bad,{base}\nobjectClass: inetOrgPerson\nuid: bad\ncn: no sn\n");
    let text = [person("a", &base), bad, person("b", &base)].join("\n");
    let finished = run_with_input(as_admin(&server, "ldapadd").arg("-c"), text.as_bytes());
    let finished = finished.expect_status(i32::try_from(code::OBJECT_CLASS_VIOLATION).expect("small"));
    assert!(finished.stderr.contains("Object class violation"), "{finished:?}");
    assert_eq!(ldif::by_dn(&search(&server, &["-b", &base, "(uid=*)", "1.1"]).expect_success()).len(), 2);
    // Without it the rest is left.
    let text = [person("a", &base), person("c", &base)].join("\n");
    run_with_input(&mut as_admin(&server, "ldapadd"), text.as_bytes()).expect_status(68);
    assert_eq!(ldif::by_dn(&search(&server, &["-b", &base, "(uid=*)", "1.1"]).expect_success()).len(), 2);
}

#[test]
fn ldapmodify_does_every_kind_of_change_record() {
    let server = Server::shared();
    let base = add_branch(&server, "utils-modify");
    let text = format!(
        "dn: uid=a,{base}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: a\ncn: A\nsn: A\nmail: one@example.com\n\n\
         dn: uid=a,{base}\nchangetype: modify\nadd: mail\nmail: two@example.com\n-\nreplace: sn\nsn:: R3LDvMOfZQ==\n-\n\
         delete: mail\nmail: one@example.com\n-\n\n\
         dn: uid=a,{base}\nchangetype: modrdn\nnewrdn: uid=b\ndeleteoldrdn: 1\n\n\
         dn: ou=inner,{base}\nchangetype: add\nobjectClass: organizationalUnit\nou: inner\n\n\
         dn: uid=b,{base}\nchangetype: moddn\nnewrdn: uid=b\ndeleteoldrdn: 0\nnewsuperior: ou=inner,{base}\n\n\
         dn: uid=c,{base}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: c\ncn: C\nsn: C\n\n\
         dn: uid=c,{base}\nchangetype: delete\n"
    );
    run_with_input(&mut as_admin(&server, "ldapmodify"), text.as_bytes()).expect_success();
    let found = ldif::by_dn(&search(&server, &["-b", &base, "(uid=*)"]).expect_success());
    let entry = &found[&format!("uid=b,ou=inner,{base}")];
    assert_eq!(found.len(), 1);
    assert_eq!(entry["mail"], [b"two@example.com".to_vec()].into());
    assert_eq!(entry["sn"], ["Grüße".as_bytes().to_vec()].into());
}

#[test]
fn ldapmodify_goes_on_after_an_error_when_told_to() {
    let server = Server::shared();
    let base = add_branch(&server, "utils-modify-continue");
    run_with_input(&mut as_admin(&server, "ldapadd"), person("a", &base).as_bytes()).expect_success();
    let change = |lines: &str| format!("dn: uid=a,{base}\nchangetype: modify\n{lines}\n");
    let text = [
        change("add: title\ntitle: Cook\n"),
        change("delete: mail\nmail: never@example.com\n"),
        change("add: description\ndescription: done\n"),
    ]
    .join("\n");
    let finished = run_with_input(as_admin(&server, "ldapmodify").arg("-c"), text.as_bytes()).expect_status(16);
    assert!(finished.stderr.contains("No such attribute"), "{finished:?}");
    let found = search(&server, &["-b", &base, "(uid=a)", "title", "description"]).expect_success();
    assert!(found.contains("title: Cook") && found.contains("description: done"), "{found}");
}

#[test]
fn ldapdelete_deletes_entries_and_whole_trees() {
    let server = Server::shared();
    let base = add_branch(&server, "utils-delete");
    let text = [person("a", &base), person("b", &base), person("c", &base)].join("\n");
    run_with_input(&mut as_admin(&server, "ldapadd"), text.as_bytes()).expect_success();
    run(as_admin(&server, "ldapdelete").args([format!("uid=a,{base}"), format!("uid=b,{base}")])).expect_success();
    run(as_admin(&server, "ldapdelete").arg(format!("uid=a,{base}"))).expect_status(32);
    run(as_admin(&server, "ldapdelete").arg(&base)).expect_status(66);
    run(as_admin(&server, "ldapdelete").args(["-r", &base])).expect_success();
    search(&server, &["-b", &base, "-s", "base"]).expect_status(32);
}

#[test]
fn ldapmodrdn_renames_and_moves() {
    let server = Server::shared();
    let base = add_branch(&server, "utils-rename");
    let text = format!("{}\ndn: ou=b,{base}\nobjectClass: organizationalUnit\nou: b\n", person("a", &base));
    run_with_input(&mut as_admin(&server, "ldapadd"), text.as_bytes()).expect_success();
    run(as_admin(&server, "ldapmodrdn").args(["-r", &format!("uid=a,{base}"), "uid=z"])).expect_success();
    let superior = format!("ou=b,{base}");
    run(as_admin(&server, "ldapmodrdn").args(["-s", &superior, &format!("uid=z,{base}"), "uid=z"])).expect_success();
    let found = search(&server, &["-b", &base, "(uid=*)", "uid"]).expect_success();
    assert_eq!(found.trim(), format!("dn: uid=z,ou=b,{base}\nuid: z"));
}

#[test]
fn ldapcompare_says_true_and_false() {
    let server = Server::shared();
    let compare = |assertion: &str| run(as_admin(&server, "ldapcompare").args([ANN, assertion]));
    let yes = compare("sn:example").expect_status(6);
    assert!(yes.stdout.contains("TRUE"), "{yes:?}");
    let no = compare("sn:builder").expect_status(5);
    assert!(no.stdout.contains("FALSE"), "{no:?}");
    compare("sn::RXhhbXBsZQ==").expect_status(6);
    compare("uidNumber:1").expect_status(16);
}

#[test]
fn ldappasswd_sets_and_makes_passwords() {
    let server = Server::start(Setup::default());
    let who = |password: &str| run(plain(&server, "ldapwhoami").args(["-D", ANN, "-w", password]));
    run(as_admin(&server, "ldappasswd").args(["-s", "set-by-admin-1", ANN])).expect_success();
    assert_eq!(who("set-by-admin-1").expect_success().trim(), format!("dn:{ANN}"));
    let own = ["-D", ANN, "-w", "set-by-admin-1", "-a", "set-by-admin-1", "-s", "set-by-ann-22"];
    run(plain(&server, "ldappasswd").args(own)).expect_success();
    who("set-by-admin-1").expect_status(49);
    let made = run(plain(&server, "ldappasswd").args(["-D", ANN, "-w", "set-by-ann-22"])).expect_success();
    let password = made.trim().strip_prefix("New password: ").expect("a made password is printed").trim();
    who(password).expect_success();
}

#[test]
fn ldapwhoami_tells_the_identity() {
    let server = Server::shared();
    assert_eq!(run(&mut plain(&server, "ldapwhoami")).expect_success().trim(), "anonymous");
    assert_eq!(run(&mut as_admin(&server, "ldapwhoami")).expect_success().trim(), format!("dn:{ADMIN}"));
    run(plain(&server, "ldapwhoami").args(["-D", ANN, "-w", "wrong"])).expect_status(49);
    run(plain(&server, "ldapexop").arg("whoami")).expect_success();
}

/// RFC 5802, RFC 7677, with Cyrus SASL as it comes and our settings as they come.
#[test]
fn ldapwhoami_proves_a_password_by_scram() {
    // slapd's passwords for SASL are a data base of its own.
    if Subject::current().is_slapd() {
        return;
    }
    let scram = r#"password.scram=["SCRAM-SHA-256", "SCRAM-SHA-512"]"#;
    let server = Server::start(Setup::default().with_tls().with_setting(scram));
    run(as_admin(&server, "ldappasswd").args(["-s", "ann-scram-1", ANN])).expect_success();
    let who = |mechanism: &str, password: &str| {
        let mut command = Command::new("ldapwhoami");
        command.env("LDAPCONF", "/dev/null").env("LC_ALL", "C.UTF-8").args(["-Q", "-H", &server.url()]);
        run(command.args(["-Y", mechanism, "-U", "ann", "-w", password]))
    };
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        assert_eq!(who(mechanism, "ann-scram-1").expect_success().trim(), format!("dn:{ANN}"), "{mechanism}");
        who(mechanism, "wrong").expect_status(49);
    }
    // RFC 5929 4: bound to the channel, as the library names it.
    let certificate = server.certificate.as_ref().expect("started with TLS").certificate_file.clone();
    for (mechanism, password, status) in [
        ("SCRAM-SHA-256-PLUS", "ann-scram-1", 0),
        ("SCRAM-SHA-512-PLUS", "ann-scram-1", 0),
        ("SCRAM-SHA-256-PLUS", "x", 49),
    ] {
        let mut command = Command::new("ldapwhoami");
        command.env("LDAPCONF", "/dev/null").env("LDAPTLS_CACERT", &certificate).env("LC_ALL", "C.UTF-8");
        command.args(["-Q", "-H", &server.url_of("ldaps"), "-o", "SASL_CBINDING=tls-endpoint"]);
        run(command.args(["-Y", mechanism, "-U", "ann", "-w", password])).expect_status(status);
    }
}

#[test]
fn ldapsearch_pages() {
    let server = Server::shared();
    let mut command = as_admin(&server, "ldapsearch");
    command.args(["-LLL", "-E", "pr=2/noprompt", "-b", PEOPLE, "(uid=*)", "uid"]);
    let found = ldif::by_dn(&run(&mut command).expect_success());
    assert_eq!(found.len(), 6);
}

#[test]
fn ldapsearch_knows_limits_scopes_and_types() {
    let server = Server::shared();
    let two = search(&server, &["-b", PEOPLE, "-z", "2", "(uid=*)", "1.1"]).expect_status(4);
    assert_eq!(ldif::by_dn(&two.stdout).len(), 2);
    let one = search(&server, &["-b", PEOPLE, "-s", "one", "1.1"]).expect_success();
    assert_eq!(ldif::by_dn(&one).len(), 6);
    let children = search(&server, &["-b", PEOPLE, "-s", "children", "1.1"]).expect_success();
    assert_eq!(ldif::by_dn(&children).len(), 6);
    let types = search(&server, &["-b", ANN, "-s", "base", "-A", "mail"]).expect_success();
    assert!(types.contains("mail:") && !types.contains('@'), "{types}");
    search(&server, &["-b", "ou=nowhere,dc=example,dc=com"]).expect_status(32);
    search(&server, &["-b", PEOPLE, "-l", "10", "(uid=ann)"]).expect_success();
}

#[test]
fn ldapsearch_uses_controls() {
    let server = Server::shared();
    let asserted = |filter: &str| {
        let mut command = as_admin(&server, "ldapsearch");
        command.args(["-LLL", "-e", &format!("!assert={filter}"), "-b", ANN, "-s", "base", "uid"]);
        run(&mut command)
    };
    asserted("(sn=example)").expect_success();
    asserted("(sn=builder)").expect_status(122);
    let referrals = format!("ou=referrals,{SUFFIX}");
    let plain_search = search(&server, &["-b", &referrals]).expect_success();
    assert!(plain_search.contains("# refldap://other.example.net"), "{plain_search}");
    // `ref` is operational: a rule that opens all attributes does not open those.
    let mut command = as_admin(&server, "ldapsearch");
    command.args(["-LLL", "-o", "ldif-wrap=no", "-M", "-b", &referrals, "(ou=away)", "ref"]);
    let managed = run(&mut command).expect_success();
    assert!(managed.contains("ref: ldap://other.example.net"), "{managed}");
    let aliases = format!("ou=aliases,{SUFFIX}");
    let found =
        search(&server, &["-a", "find", "-b", &format!("cn=boss,{aliases}"), "-s", "base", "uid"]).expect_success();
    assert!(found.contains(&format!("dn: {ANN}")), "{found}");
    let mut unknown = as_admin(&server, "ldapsearch");
    unknown.args(["-e", &format!("!{}", oid::UNKNOWN), "-b", ANN, "-s", "base"]);
    run(&mut unknown).expect_status(12);
}

#[test]
fn ldapmodify_uses_read_entry_controls() {
    let server = Server::shared();
    let base = add_branch(&server, "utils-read-entry");
    run_with_input(&mut as_admin(&server, "ldapadd"), person("a", &base).as_bytes()).expect_success();
    let text = format!("dn: uid=a,{base}\nchangetype: modify\nreplace: sn\nsn: New\n");
    let mut command = as_admin(&server, "ldapmodify");
    command.args(["-e", "!preread=sn", "-e", "!postread=sn"]);
    let finished = run_with_input(&mut command, text.as_bytes());
    let output = finished.expect_success();
    assert!(output.contains("sn: a") && output.contains("sn: New"), "{output}");
}

#[test]
fn ldapsearch_starts_tls() {
    let server = Server::start(Setup::default().with_tls());
    let certificate = server.certificate.as_ref().expect("started with TLS").certificate_file.display().to_string();
    let mut command = plain(&server, "ldapsearch");
    command.env("LDAPTLS_CACERT", &certificate).args(["-ZZ", "-LLL", "-b", ANN, "-s", "base", "uid"]);
    assert!(run(&mut command).expect_success().contains("uid: ann"));
    if Subject::current() == Subject::Entente {
        let mut command = Command::new("ldapsearch");
        command.env("LDAPCONF", "/dev/null").env("LDAPTLS_CACERT", &certificate);
        command.args(["-x", "-LLL", "-H", &server.url_of("ldaps"), "-b", ANN, "-s", "base", "uid"]);
        assert!(run(&mut command).expect_success().contains("uid: ann"));
    }
}

#[test]
fn ldapsearch_reads_root_dse_and_subschema() {
    let server = Server::shared();
    let root = search(&server, &["-b", "", "-s", "base", "+"]).expect_success();
    assert!(root.contains(&format!("namingContexts: {SUFFIX}")), "{root}");
    let schema =
        search(&server, &["-b", "cn=Subschema", "-s", "base", "(objectClass=subschema)", "+"]).expect_success();
    assert!(schema.contains("'inetOrgPerson'"), "{schema}");
}
