//! ldapts and ldapjs, the libraries of Node.js. `tests/all clients` gets them by npm; `NODE_MODULES` says where they are.

use std::path::PathBuf;

use crate::script::{command, file};
use crate::support::program::run;
use crate::support::server::{SUFFIX, Server, Setup};

/// What a script of this folder says.
#[track_caller]
fn node(script: &str) -> String {
    let server = Server::start(Setup::default().with_tls());
    let modules = std::env::var_os("NODE_MODULES")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients-npm")), PathBuf::from);
    assert!(modules.join("node_modules/ldapts").exists(), "no ldapts in {}; run: tests/all clients", modules.display());
    let mut command = command(&server, "timeout", &["60", "node", &file(&format!("node/{script}"))]);
    run(command.env("NODE_MODULES", modules)).expect_success()
}

#[test]
fn ldapts_does_its_work() {
    let wanted = format!(
        "wrong password: InvalidCredentialsError 49\n\
         ann: dn UID mail jpegPhoto memberOf 2 2 true\n\
         escaped: star\n\
         references: ldap://other.example.net/ou=away,dc=example,dc=net??sub\n\
         pages: 4 2\n\
         all pages: 6\n\
         compare: true false\n\
         moved: evelyn Müller e@example.com\n\
         gone: NoSuchObjectError 32\n\
         who am I: dn:cn=admin,{SUFFIX}\n\
         PLAIN: dn:uid=bob,ou=people,{SUFFIX}\n"
    );
    assert_eq!(node("ldapts.mjs"), wanted);
}

#[test]
fn ldapjs_does_its_work() {
    let wanted = format!(
        "wrong password: InvalidCredentialsError 49\n\
         bob: uid=bob,ou=people,{SUFFIX} UID mail memberOf bob\n\
         paged: 6 in 3\n\
         sorted: carol star dave juergen ann bob\n\
         references: ldap://other.example.net/ou=away,dc=example,dc=net??sub\n\
         compare: true false\n\
         gone: NoSuchObjectError 32\n\
         who am I: dn:cn=admin,{SUFFIX}\n\
         StartTLS: dn:uid=ann,ou=people,{SUFFIX}\n"
    );
    assert_eq!(node("ldapjs.cjs"), wanted);
}
