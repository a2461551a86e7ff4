//! A password that is stored in a weaker way is stored anew when somebody binds with it.

use crate::support::code;
use crate::support::request::REPLACE;
use crate::support::server::{Server, Setup};
use crate::support::wait::wait_for;
use crate::{ANN, BOB};

/// {SHA} of `ann-old`.
const OLD: &str = "{SHA}";

fn sha(password: &str) -> String {
    use base64::Engine;
    use sha1::{Digest, Sha1};
    format!("{OLD}{}", base64::engine::general_purpose::STANDARD.encode(Sha1::digest(password.as_bytes())))
}

fn stored(server: &Server, name: &str) -> Vec<String> {
    server.admin().read_attributes(name, &["userPassword"]).values("userPassword")
}

#[test]
fn a_right_password_is_stored_anew_and_a_wrong_one_is_not() {
    only_entente!(Setting);
    let server = Server::start(Setup::default().with_setting("password.upgrade=true"));
    let mut admin = server.admin();
    for name in [ANN, BOB] {
        admin.modify(name, &[(REPLACE, "userPassword", &[&sha("the old one")])]).expect(code::SUCCESS);
    }
    server.anonymous().bind(BOB, "wrong").expect(code::INVALID_CREDENTIALS);
    server.bound(ANN, "the old one");
    wait_for("the password to be stored anew", || {
        let stored = stored(&server, ANN);
        (stored.len() == 1 && stored[0].starts_with("{ARGON2}$argon2id$")).then_some(())
    });
    server.bound(ANN, "the old one");
    server.anonymous().bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    assert_eq!(stored(&server, BOB), [sha("the old one")]);
}

#[test]
fn it_stays_as_it_is_unless_the_settings_say_so() {
    only_entente!(Setting);
    let server = Server::start(Setup::default());
    server.admin().modify(ANN, &[(REPLACE, "userPassword", &[&sha("the old one")])]).expect(code::SUCCESS);
    server.bound(ANN, "the old one");
    server.bound(ANN, "the old one");
    assert_eq!(stored(&server, ANN), [sha("the old one")]);
}
