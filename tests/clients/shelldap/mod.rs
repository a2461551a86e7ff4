//! shelldap: the directory as folders and files, by orders on its standard input.

use crate::script::command;
use crate::support::program::run_with_input;
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup};

#[test]
fn shelldap_walks_lists_copies_moves_and_removes() {
    let server = Server::start(Setup::default().with_tls());
    let settings = server.folder().join("shelldap.yml");
    let login = format!("binddn: {ADMIN}\nbindpass: {ADMIN_PASSWORD}\n");
    let text = format!("server: {}\nbasedn: {SUFFIX}\n{login}attributes: [uid, cn]\n", server.url());
    std::fs::write(&settings, text).expect("folder is writable");
    let settings = settings.display().to_string();
    let mut command = command(&server, "timeout", &["60", "shelldap", "--configfile", &settings]);
    let finished = run_with_input(command.env("HOME", server.folder()), include_bytes!("orders"));
    let said = finished.expect_success();
    let people = format!("ou=people,{SUFFIX}");
    let wanted = [
        // pwd, ls with hasSubordinates, whoami
        format!("{SUFFIX}\nd ou=aliases/\nd ou=groups/\nd ou=people/\nd ou=referrals/\n"),
        format!("{ADMIN} ({})\n", server.url()),
        // inspect person, by the schema
        "    person (structural) --> top\n".to_owned(),
        "    telephoneNumber (optional, multivalue)\n    userPassword (optional, multivalue)\n".to_owned(),
        // search, cat
        format!("uid=bob,{people}\n\ndn: uid=ann,{people}\ncn: Ann Example\ncn;lang-de: Anna Beispiel\nuid: ann\n"),
        // mkdir, copy, grep, move, ls
        format!(
            "Success\nSuccess\nuid=carola,{people}\nSuccess\n- ou=made\n- uid=ann\n- uid=bob\n- uid=caro\n- uid=carol\n"
        ),
        // rm
        format!("uid=caro,{people}: Success"),
    ];
    let mut rest = said.as_str();
    for part in &wanted {
        let at = rest.find(part.as_str()).unwrap_or_else(|| panic!("no {part:?} in {rest}; all of it:\n{said}"));
        rest = &rest[at + part.len()..];
    }
}
