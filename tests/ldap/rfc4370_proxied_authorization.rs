//! Proxied authorization: RFC 4370.

use crate::support::request::{self, ADD, Control, REPLACE, Search};
use crate::support::server::{ADMIN, SUFFIX, Server, Setup, Subject};
use crate::support::slapd::SASL;
use crate::support::{code, oid};
use crate::{ANN, BOB, PEOPLE};

const SELF_WRITES: &str =
    r#"(targetattr = "title")(version 3.0; acl "own title"; allow (write) userdn = "ldap:///self";)"#;
const READS: &str =
    r#"(targetattr != "userPassword")(version 3.0; acl "read"; allow (read, search, compare) userdn = "ldap:///all";)"#;
const PROXY: &str = r#"(target = "ldap:///uid=bob,ou=people,dc=example,dc=com")(version 3.0; acl "proxy"; allow (proxy) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;
/// Everything to everybody, acting as the administrator too.
const EVERYTHING: &str = r#"(targetattr = "*")(version 3.0; acl "all"; allow (all, proxy) userdn = "ldap:///all";)"#;

/// The right of [`PROXY`] in slapd: a value of the entry that acts.
fn let_proxy(server: &Server, to: &str) {
    if Subject::current().is_slapd() {
        server.admin().modify(ANN, &[(ADD, "authzTo", &[to])]).expect(code::SUCCESS);
    }
}

fn who(client: &mut crate::support::client::Client, as_whom: &str) -> (u32, String) {
    let outcome = client.with(Control::proxied(as_whom)).perform(&request::extended(oid::WHO_AM_I, None));
    (outcome.code, String::from_utf8_lossy(&outcome.value.unwrap_or_default()).into_owned())
}

/// RFC 4370 3: the operation is made as the identity given, by its rights alone.
#[test]
fn the_operation_is_made_as_somebody_else() {
    let mut admin = Server::shared().admin();
    assert_eq!(who(&mut admin, &format!("dn:{BOB}")), (0, format!("dn:{BOB}")));
    assert_eq!(who(&mut admin, ""), (0, String::new()));
    assert_eq!(who(&mut admin, "dn:"), (0, String::new()));
    // The connection is still the administrator's.
    assert_eq!(admin.who_am_i(), format!("dn:{ADMIN}"));
    let proxied = || Control::proxied(&format!("dn:{BOB}"));
    let outcome = admin.with(proxied()).modify(ANN, &[(ADD, "title", &["x"])]);
    outcome.expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let found = admin.with(proxied()).search(&Search::base(ANN).attributes(&["userPassword", "cn"])).single();
    assert!(found.has("cn") && !found.has("userPassword"));
    admin.with(proxied()).compare(ANN, "cn", "Ann Example").expect(code::COMPARE_TRUE);
    admin.with(proxied()).delete(ANN).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}

/// The right `proxy` is on the entry that is acted as.
#[test]
fn the_right_proxy_lets_act_as_an_entry() {
    let slapd = "access to attrs=userPassword by anonymous auth\naccess to attrs=title by self write by * read\naccess to * by * read\n";
    let setup = Setup::default().with_access(&[SELF_WRITES, READS, PROXY], slapd);
    let global = "authz-policy to\nallow proxy_authz_anon\n";
    let server = Server::start(setup.with_slapd_global(SASL).with_slapd_global(global));
    let_proxy(&server, &format!("dn.exact:{BOB}"));
    let mut ann = server.person("ann");
    let as_bob = || Control::proxied(&format!("dn:{BOB}"));
    ann.modify(BOB, &[(REPLACE, "title", &["x"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let names = Control::read_entry(oid::POST_READ, &["modifiersName", "title"]);
    let outcome = ann.with(as_bob()).with(names).modify(BOB, &[(REPLACE, "title", &["x"])]).expect(code::SUCCESS);
    assert!(String::from_utf8_lossy(&outcome.control(oid::POST_READ)).contains(BOB));
    ann.with(as_bob()).modify(ANN, &[(REPLACE, "title", &["x"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    ann.modify(ANN, &[(REPLACE, "title", &["y"])]).expect(code::SUCCESS);
    assert_eq!(who(&mut ann, "u:bob"), (0, format!("dn:{BOB}")));
    assert_eq!(who(&mut ann, &format!("dn:{ANN}")), (0, format!("dn:{ANN}")));
    // Not the other way round, not anybody else, and not by whom nobody knows.
    assert_eq!(who(&mut server.person("bob"), &format!("dn:{ANN}")).0, code::AUTHORIZATION_DENIED);
    for denied in
        ["dn:uid=carol,ou=people,dc=example,dc=com", "u:carol", "u:", "dn:uid=nobody,dc=example,dc=com", "dn:x", "bob"]
    {
        assert_eq!(who(&mut ann, denied).0, code::AUTHORIZATION_DENIED, "{denied}");
    }
    assert_eq!(who(&mut server.anonymous(), &format!("dn:{BOB}")).0, code::AUTHORIZATION_DENIED);
    assert_eq!(who(&mut server.anonymous(), "").0, code::SUCCESS);
}

/// Whatever rules say: nobody becomes the administrator.
#[test]
fn nobody_acts_as_the_administrator() {
    let slapd = "access to attrs=userPassword by anonymous auth\naccess to * by * write\n";
    let setup = Setup::default().with_access(&[EVERYTHING], slapd);
    let server = Server::start(setup.with_slapd_global(SASL).with_slapd_global("authz-policy to\n"));
    let_proxy(&server, "dn.regex:^uid=(ann|bob),.*");
    let mut ann = server.person("ann");
    assert_eq!(who(&mut ann, &format!("dn:{BOB}")).0, code::SUCCESS);
    for name in [format!("dn:{ADMIN}"), format!("DN:CN=Admin, {SUFFIX}"), "u:admin".to_owned()] {
        assert_eq!(who(&mut ann, &name).0, code::AUTHORIZATION_DENIED, "{name}");
    }
    let mut admin = server.admin();
    assert_eq!(who(&mut admin, &format!("dn:{ADMIN}")), (0, format!("dn:{ADMIN}")));
    // An entry of the administrator's name is not it.
    let entry: [(&str, &[&str]); 3] = [("objectClass", &["person"]), ("cn", &["admin"]), ("sn", &["admin"])];
    admin.add(ADMIN, &entry).expect(code::SUCCESS);
    assert_eq!(who(&mut ann, &format!("dn:{ADMIN}")).0, code::AUTHORIZATION_DENIED);
}

/// RFC 4370 3: a client must make it critical; a server that passed over it would act as the wrong one.
#[test]
fn a_control_that_is_not_critical_is_a_protocol_error() {
    let server = Server::start(Setup::default().with_slapd_global("disallow proxy_authz_non_critical\n"));
    let mut admin = server.admin();
    let control = Control::proxied(&format!("dn:{BOB}")).optional();
    let found = admin.with(control).search(&Search::base(ANN));
    found.expect(code::PROTOCOL_ERROR);
}

/// RFC 4370 3: it is no way to bind.
#[test]
fn a_bind_takes_no_proxied_authorization() {
    let mut client = Server::shared().anonymous();
    let outcome = client.with(Control::proxied(&format!("dn:{BOB}"))).bind(ADMIN, "admin-secret");
    assert_ne!(outcome.code, code::SUCCESS);
    if !Subject::current().is_slapd() {
        outcome.expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
    }
}

/// Orders for the administrator are not for whom it acts as; pages belong to whom they were begun as.
#[test]
fn nothing_forgets_whom_it_is_made_as() {
    only_entente!(Own);
    let mut admin = Server::shared().admin();
    let proxied = || Control::proxied(&format!("dn:{BOB}"));
    let reindex = request::extended("2.25.226734431000227364254570923804739913085.4.101", None);
    admin.with(proxied()).perform(&reindex).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let relax = Control::plain(oid::RELAX_RULES);
    let outcome = admin.with(proxied()).with(relax).modify(BOB, &[(REPLACE, "createTimestamp", &["20010203040506Z"])]);
    outcome.expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let people = Search::subtree(PEOPLE, "(uid=*)");
    let first = admin.with(Control::paged(2, b"")).search(&people).expect(code::SUCCESS);
    let (at, _) = crate::rfc2696_paged::cookie(&first);
    let found = admin.with(proxied()).with(Control::paged(2, &at)).search(&people);
    assert_eq!((found.outcome.code, found.entries.len()), (code::UNWILLING_TO_PERFORM, 0));
    let password = request::password_modify(Some(ANN), None, Some("new-secret"));
    assert_ne!(admin.with(proxied()).perform(&password).code, code::SUCCESS);
    Server::shared().person("ann");
}
