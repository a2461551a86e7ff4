//! JNDI, Java's own library: writing, pages and sorting by critical controls, references ignored, thrown and followed to another
//! server, the schema as a tree, StartTLS.

use crate::script::run_script;
use crate::support::server::{SUFFIX, Server, Setup};

/// What the other server has.
const TARGET: &str = "dn: ou=target,dc=example,dc=com\nobjectClass: organizationalUnit\nou: target\ndescription: there\n\n\
    dn: cn=there,ou=target,dc=example,dc=com\nobjectClass: device\ncn: there\ndescription: below";

#[test]
fn jndi_does_its_work() {
    let other = Server::start(Setup::default().with_entries(TARGET));
    let followed = format!(
        "dn: ou=followed,{SUFFIX}\nobjectClass: organizationalUnit\nou: followed\ndescription: here\n\n\
         dn: ou=there,ou=followed,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: there\n\
         ref: {}/ou=target,{SUFFIX}",
        other.url()
    );
    let server = Server::start(Setup::default().with_tls().with_entries(&followed));
    let said = run_script(&server, "java", "jndi/Jndi.java").expect_success();
    let wanted = format!(
        "wrong password: AuthenticationException 49\n\
         star: uid=star uid=star,ou=people,{SUFFIX} Star * (Odd) \\ Name\n\
         photo: 22 bytes\n\
         again: NameAlreadyBoundException 68\n\
         no such class: SchemaViolationException 65\n\
         moved: evelyn Müller\n\
         gone: NameNotFoundException 32\n\
         pages: carol star dave juergen | ann bob\n\
         ignore: [referrals, away]\n\
         throw: 1 then ldap://other.example.net/ou=away,dc=example,dc=net??sub\n\
         follow: [here, there, below]\n\
         follow by name: below\n\
         mail: 0.9.2342.19200300.100.1.3 1.3.6.1.4.1.1466.115.121.1.26{{256}}\n\
         person: MUST: sn, cn SUP: top\n\
         classes of ann: [inetOrgPerson]\n\
         root: supportedLDAPVersion: 3, namingContexts: {SUFFIX}\n\
         StartTLS: [Bob Builder]\n"
    );
    assert_eq!(said, wanted);
}
