//! Who may act as whom, as one table over every way in which a client can ask for it: SASL PLAIN (RFC 4616), SASL EXTERNAL
//! by certificate and by socket (RFC 4422 appendix A), SCRAM (RFC 5802), OAUTHBEARER (RFC 7628), proxied authorization
//! (RFC 4370). hostile.md T-17, T-19.
//!
//! What is right is worked out here from four sentences ([`expected`]); each way must come to it for each pair. A way that
//! decided by itself would show as a row that differs.

use std::os::unix::net::UnixStream;

use crate::sasl_oauthbearer::{Issuer, bear, trusting};
use crate::support::client::Client;
use crate::support::request::{self, ADD, Control, REPLACE};
use crate::support::scram::Scram;
use crate::support::server::{ADMIN, ADMIN_PASSWORD, Server, Setup};
use crate::support::tls::{Authority, Identity};
use crate::support::wait::PATIENCE;
use crate::support::{code, oid};
use crate::{ANN, BOB, PEOPLE};

/// Another suffix of the same server.
const OTHER: &str = "c=aq";
const READ: &str = r#"(targetattr = "*")(version 3.0; acl "read"; allow (read, search) userdn = "ldap:///anyone";)"#;
/// Ann may act as bob.
const NARROW: &str = r#"(target = "ldap:///uid=bob,ou=people,dc=example,dc=com")(version 3.0; acl "one"; allow (proxy) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;
/// Carol may do everything and act as everybody, by the rules.
const WIDE: &str = r#"(targetattr = "* || +")(version 3.0; acl "everybody"; allow (all, proxy) userdn = "ldap:///uid=carol,ou=people,dc=example,dc=com";)"#;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Nobody,
    Person(&'static str),
    Administrator,
}

/// A way to ask for another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    External,
    Scram,
    Bearer,
    Proxied,
}

/// Whom an authorization identity means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    /// What was authenticated as; for proxied authorization nobody.
    Empty,
    Nobody,
    Person(&'static str),
    /// An entry of the other suffix.
    Stranger,
    Administrator,
    /// Nothing that is there.
    Nothing,
}

fn dn(uid: &str) -> String {
    format!("uid={uid},{PEOPLE}")
}

/// Every spelling that is tried, and whom it means. Dave is locked.
fn wanted() -> Vec<(String, Meant)> {
    let mut list = vec![
        (String::new(), Meant::Empty),
        ("dn:".to_owned(), Meant::Nobody),
        (format!("dn:{ADMIN}"), Meant::Administrator),
        ("dn:CN=Admin, DC=Example,DC=COM".to_owned(), Meant::Administrator),
        (r"DN:cn=\61dmin,dc=example,dc=com".to_owned(), Meant::Administrator),
        ("dn:2.5.4.3=admin,dc=example,dc=com".to_owned(), Meant::Administrator),
        (format!("dn:uid=eve,{OTHER}"), Meant::Stranger),
    ];
    for person in ["ann", "bob", "carol", "dave"] {
        list.push((format!("dn:{}", dn(person)), Meant::Person(person)));
        list.push((format!("u:{person}"), Meant::Person(person)));
        list.push((format!("DN:UID={}, OU=People,dc=Example,dc=com", person.to_uppercase()), Meant::Person(person)));
    }
    for nothing in ["u:admin", "u:", "u:nobody", "u:*", "u:(uid=bob)", "dn:uid=nobody,ou=people,dc=example,dc=com"] {
        list.push((nothing.to_owned(), Meant::Nothing));
    }
    for nothing in ["bob", "dn:x", "x:bob", ADMIN, "dn:uid=bob", "dn:cn=Subschema", "dn:cn=config", "u:bob\u{0}"] {
        list.push((nothing.to_owned(), Meant::Nothing));
    }
    list
}

/// Who one is then, as WhoAmI tells it; `None`: authorizationDenied.
///
/// Everybody may be nobody and stay who one is. Nobody becomes the administrator. The administrator may be every entry. Else
/// it takes the right `proxy`, on an entry of one's own suffix whose account is open.
fn expected(way: Way, asker: Asker, meant: Meant) -> Option<String> {
    let own = match asker {
        Asker::Nobody => String::new(),
        Asker::Person(uid) => format!("dn:{}", dn(uid)),
        Asker::Administrator => format!("dn:{ADMIN}"),
    };
    match (asker, meant) {
        (_, Meant::Empty) if way == Way::Proxied => Some(String::new()),
        (_, Meant::Empty) => Some(own),
        (_, Meant::Nobody) => Some(String::new()),
        (_, Meant::Nothing) => None,
        (Asker::Administrator, Meant::Administrator) => Some(own),
        (_, Meant::Administrator) | (Asker::Nobody, _) => None,
        (Asker::Administrator, Meant::Person(uid)) => Some(format!("dn:{}", dn(uid))),
        (Asker::Administrator, Meant::Stranger) => Some(format!("dn:uid=eve,{OTHER}")),
        (Asker::Person(_), Meant::Stranger) => None,
        (Asker::Person(one), Meant::Person(other)) => {
            let may = one == other || (other != "dave" && (one == "carol" || (one, other) == ("ann", "bob")));
            may.then(|| format!("dn:{}", dn(other)))
        }
    }
}

struct Stage {
    server: Server,
    authority: Authority,
    issuer: Issuer,
}

impl Stage {
    fn secure(&self, identity: Option<&Identity>) -> Client {
        let address = self.server.url_of("ldaps").trim_start_matches("ldaps://").trim_end_matches('/').parse().unwrap();
        let certificate = self.server.certificate.clone().unwrap();
        Client::over(certificate.connect_as(Client::socket(address), identity))
    }

    /// A connection over which the asker can ask in this way; `None` where there is none.
    fn client(&self, way: Way, asker: Asker) -> Option<Client> {
        match (way, asker) {
            (Way::Plain | Way::External | Way::Scram | Way::Bearer, Asker::Nobody) => None,
            // The administrator has neither a verifier nor an entry that a token could name.
            (Way::Scram | Way::Bearer, Asker::Administrator) => None,
            (Way::Plain | Way::Scram | Way::Bearer, _) => Some(self.secure(None)),
            (Way::External, Asker::Administrator) => {
                let socket = UnixStream::connect(self.server.data().join("ldapi")).expect("it listens");
                socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
                Some(Client::over(socket))
            }
            (Way::External, Asker::Person(uid)) => {
                let parts = [("2.5.4.6", "GB"), ("0.9.2342.19200300.100.1.1", uid)];
                Some(self.secure(Some(&self.authority.identity(&parts, &[]))))
            }
            (Way::Proxied, Asker::Nobody) => Some(self.server.anonymous()),
            (Way::Proxied, Asker::Person(uid)) => Some(self.server.person(uid)),
            (Way::Proxied, Asker::Administrator) => Some(self.server.admin()),
        }
    }
}

/// Asks, and says who one is then; the refusal's code where it is refused.
fn ask(stage: &Stage, client: &mut Client, (way, asker): (Way, Asker), wanted: &str) -> Result<String, u32> {
    let (name, password) = match asker {
        Asker::Person(uid) => (dn(uid), format!("{uid}-secret")),
        _ => (ADMIN.to_owned(), ADMIN_PASSWORD.to_owned()),
    };
    let outcome = match way {
        Way::Plain => {
            let message = format!("{wanted}\0{name}\0{password}");
            client.perform(&request::bind_sasl("", "PLAIN", Some(message.as_bytes())))
        }
        Way::Scram => Scram { authorization_id: wanted, ..Scram::new("SCRAM-SHA-256", &name, &password) }.bind(client),
        Way::Bearer => {
            let Asker::Person(uid) = asker else { panic!("a token is of somebody") };
            let escaped = wanted.replace('=', "=3D").replace(',', "=2C");
            let authorization = if wanted.is_empty() { String::new() } else { format!("a={escaped}") };
            bear(client, &authorization, &stage.issuer.token(uid, 600))
        }
        Way::External => client.perform(&request::bind_sasl("", "EXTERNAL", Some(wanted.as_bytes()))),
        Way::Proxied => client.with(Control::proxied(wanted)).perform(&request::extended(oid::WHO_AM_I, None)),
    };
    match (outcome.code, way) {
        (code::SUCCESS, Way::Proxied) => Ok(String::from_utf8_lossy(&outcome.value.unwrap_or_default()).into_owned()),
        (code::SUCCESS, _) => Ok(client.who_am_i()),
        (refused, _) => Err(refused),
    }
}

#[test]
fn every_way_to_act_as_somebody_comes_to_the_same() {
    only_entente!(Access);
    let authority = Authority::make(tempfile::tempdir().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (issuer, keys) = (Issuer::new(), folder.path().join("keys.json"));
    std::fs::write(&keys, issuer.keys()).unwrap();
    let setup = trusting(Setup::default().with_tls(), &keys.display().to_string())
        .with_setting(r#"password.scram=["SCRAM-SHA-256"]"#)
        .with_setting("password.scram_iterations=4096")
        .with_access(&[READ, NARROW, WIDE], "")
        .with_setting(&format!("tls.client_ca={}", authority.file().display()))
        .with_setting(r#"sasl.certificate_map=["subject:UID=uid"]"#);
    let stage = Stage { server: Server::start(setup), authority, issuer };
    let mut admin = stage.server.admin();
    // An entry of the administrator's name is not it, and must not stand in for it.
    let names: [(&str, &[&str]); 3] = [("objectClass", &["person"]), ("cn", &["admin"]), ("sn", &["admin"])];
    admin.add(ADMIN, &names).expect(code::SUCCESS);
    let suffix: [(&str, &[&str]); 2] = [("objectClass", &["country"]), ("aci", &[WIDE])];
    admin.with(Control::plain(oid::RELAX_RULES)).add(OTHER, &suffix).expect(code::SUCCESS);
    crate::add_person(&mut admin, OTHER, "eve");
    admin.modify(&dn("dave"), &[(REPLACE, "pwdAccountLockedTime", &["000001010000Z"])]).expect(code::SUCCESS);
    admin.modify(ANN, &[(ADD, "title", &["x"])]).expect(code::SUCCESS);
    for uid in ["ann", "bob", "carol"] {
        // Verifiers are made of a password when it is set.
        admin.modify(&dn(uid), &[(REPLACE, "userPassword", &[&format!("{uid}-secret")])]).expect(code::SUCCESS);
    }
    let mut asked = 0;
    for way in [Way::Plain, Way::External, Way::Scram, Way::Bearer, Way::Proxied] {
        for asker in
            [Asker::Nobody, Asker::Person("ann"), Asker::Person("bob"), Asker::Person("carol"), Asker::Administrator]
        {
            let Some(mut client) = stage.client(way, asker) else { continue };
            let own = client.who_am_i();
            for (text, meant) in wanted() {
                if way == Way::Plain && text.contains('\0') {
                    continue;
                }
                let is = ask(&stage, &mut client, (way, asker), &text);
                if text.contains('\0') && matches!(way, Way::Scram | Way::Bearer) {
                    // No such name can be said there (saslname, RFC 5801 4): the message is none. It is the last one.
                    assert!(is.is_err(), "{way:?}: {asker:?} as {text:?}");
                    continue;
                }
                let right = expected(way, asker, meant).ok_or(code::AUTHORIZATION_DENIED);
                assert_eq!(is, right, "{way:?}: {asker:?} as {text:?}");
                if is.is_err() {
                    // T-18: a bind that failed leaves nobody; a request that was refused leaves who one was.
                    let left = if way == Way::Proxied { own.as_str() } else { "" };
                    assert_eq!(client.who_am_i(), left, "{way:?}: {asker:?} after {text:?}");
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 450, "{asked} cases");
    // Rights are those of whom one acts as, not one's own: carol may do everything, bob nothing.
    let mut carol = stage.client(Way::Plain, Asker::Person("carol")).expect("it listens");
    carol.bind(&dn("carol"), "carol-secret").expect(code::SUCCESS);
    carol.modify(BOB, &[(REPLACE, "title", &["by carol"])]).expect(code::SUCCESS);
    assert_eq!(ask(&stage, &mut carol, (Way::Plain, Asker::Person("carol")), "u:bob"), Ok(format!("dn:{BOB}")));
    carol.modify(BOB, &[(REPLACE, "title", &["as bob"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}
