//! ldapvi: the directory in an editor. The editor is a script, the terminal is made by `script`.

use crate::script::{command, file};
use crate::support::program::run;
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup};

/// `ldapvi ARGUMENTS` before a terminal; what it says, without what it wipes out again.
#[track_caller]
fn edit(server: &Server, editor: &str, arguments: &str) -> Vec<String> {
    let login = format!("-h {} -D {ADMIN} -w {ADMIN_PASSWORD}", server.url());
    let line = format!("ldapvi --noquestions --verbose {login} {arguments}");
    let said = run(command(server, "timeout", &["60", "script", "-qec", &line, "/dev/null"]).env("EDITOR", editor))
        .expect_success();
    said.lines().map(|line| line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default().to_owned()).collect()
}

#[test]
fn ldapvi_writes_back_what_was_edited() {
    let server = Server::start(Setup::default().with_tls());
    let people = format!("ou=people,{SUFFIX}");
    let said = edit(&server, &file("ldapvi/editor"), &format!("-b {people} '(|(uid=bob)(uid=dave))'"));
    assert_eq!(
        said[said.len() - 5..],
        [
            "add: 1, rename: 1, modify: 1, delete: 0".to_owned(),
            format!("(modify) uid=bob,{people}"),
            format!("(rename) uid=dave,{people} to uid=david,{people}"),
            format!("(add) uid=eve,{people}"),
            "Done.".to_owned(),
        ],
        "{said:#?}"
    );
    let mut admin = server.admin();
    assert_eq!(admin.read(&format!("uid=bob,{people}")).values("title"), ["Chief Engineer"]);
    assert_eq!(admin.read(&format!("uid=eve,{people}")).values("sn"), ["Müller"]);
    let said = edit(&server, "true", &format!("--delete uid=eve,{people}"));
    assert_eq!(said.last().map(String::as_str), Some("Done."), "{said:#?}");
}

#[test]
fn ldapvi_finds_the_suffixes_and_prints_in_order() {
    let server = Server::start(Setup::default().with_tls());
    let url = server.url();
    let print = |arguments: &[&str]| {
        let mut command = command(&server, "timeout", &["60", "ldapvi", "--out", "-h", &url]);
        run(command.args(arguments)).expect_success()
    };
    let found = print(&["--discover", "(uid=juergen)", "cn"]);
    assert!(found.contains(&format!("\ndn: uid=juergen,ou=people,{SUFFIX}\ncn:: SsO8cmdlbiBHcm/Dnw==\n")), "{found}");
    let sorted = print(&["-S", "sn", "-b", &format!("ou=people,{SUFFIX}"), "(uid=*)", "uid"]);
    let uids: Vec<&str> = sorted.lines().filter_map(|line| line.strip_prefix("uid: ")).collect();
    assert_eq!(uids, ["bob", "ann", "juergen", "dave", "star", "carol"]);
}
