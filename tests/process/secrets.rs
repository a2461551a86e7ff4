//! A password typed by anybody is nowhere to be found afterwards: not in the data, not in the log, not in an answer.

use std::path::Path;

use crate::support::request::{self, REPLACE, Search};
use crate::support::server::{Server, Setup};
use crate::support::{code, oid};

const CANARY: &str = "canary-Zw3kq9-in-clear-text";

pub(crate) fn holds(folder: &Path, needle: &[u8]) -> Option<String> {
    for file in std::fs::read_dir(folder).expect("our folder").filter_map(Result::ok) {
        let path = file.path();
        if path.is_dir() {
            if let Some(found) = holds(&path, needle) {
                return Some(found);
            }
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.windows(needle.len()).any(|window| window == needle)
        {
            return Some(path.display().to_string());
        }
    }
    None
}

/// hostile.md T-32.
#[test]
fn clear_text_password_is_written_nowhere() {
    let settings = Setup::default().with_setting("log.operations=true").with_setting("log.level=debug");
    let mut server = Server::start(settings);
    let ann = "uid=ann,ou=people,dc=example,dc=com";
    {
        let mut client = server.person("ann");
        let change = request::password_modify(None, Some("ann-secret"), Some(CANARY));
        client.perform(&change).expect(code::SUCCESS);
        client.bind(ann, CANARY).expect(code::SUCCESS);
        client.bind(ann, &format!("{CANARY}-wrong")).expect(code::INVALID_CREDENTIALS);
        let mut admin = server.admin();
        admin.modify(ann, &[(REPLACE, "userPassword", &[CANARY])]).expect(code::SUCCESS);
        let add: [(&str, &[&str]); 4] =
            [("objectClass", &["person"]), ("cn", &["x"]), ("sn", &["x"]), ("userPassword", &[CANARY])];
        admin.add("cn=x,ou=people,dc=example,dc=com", &add).expect(code::SUCCESS);
        admin.search(&Search::subtree("dc=example,dc=com", &format!("(userPassword={CANARY})")));
        admin.compare(ann, "userPassword", CANARY);
        admin.perform(&request::extended(oid::WHO_AM_I, None)).expect(code::SUCCESS);
        let everything = admin.search(&Search::subtree("dc=example,dc=com", "(objectClass=*)").attributes(&["*", "+"]));
        assert!(!format!("{everything:?}").contains(CANARY));
    }
    let said = server.said();
    assert!(!said.contains(CANARY), "the log has it");
    assert!(server.stop().success());
    assert_eq!(holds(&server.data(), CANARY.as_bytes()), None);
}
