//! Net::LDAP: StartTLS, schema, writing, pages, sorting, windows, controls, password policy, and searches that go on.

use crate::script::run_script;
use crate::support::server::{SUFFIX, Server, Setup};

const POLICY: &str = "dn: cn=policy,dc=example,dc=com\nobjectClass: subentry\nobjectClass: pwdPolicy\n\
    subtreeSpecification: {}\ncn: policy\npwdAttribute: userPassword\npwdMinLength: 8\npwdCheckQuality: 2\n\
    pwdMustChange: TRUE\npwdMaxAge: 86400\npwdExpireWarning: 86400";

#[test]
fn net_ldap_does_its_work() {
    let server = Server::start(Setup::default().with_tls().with_entries(POLICY));
    let said = run_script(&server, "perl", "net_ldap/net_ldap.pl").expect_success();
    let (version, said) = said.split_once('\n').expect("lines");
    assert!(version.starts_with("Net::LDAP 0."), "{version}");
    let people = format!("ou=people,{SUFFIX}");
    let wanted = format!(
        "StartTLS: yes\n\
         mail: caseIgnoreIA5Match\n\
         inetOrgPerson below organizationalPerson\n\
         person must cn objectClass sn\n\
         I am dn:cn=admin,{SUFFIX}\n\
         after: baker@example.com new\n\
         pages: 2 2 2\n\
         by sn (0): bob ann juergen dave star carol\n\
         by -sn (0): carol star dave juergen ann bob\n\
         by -employeeNumber (0): star juergen dave carol bob ann\n\
         first: ann bob from 1 of 6\n\
         next page: carol dave from 3 of 6\n\
         end: juergen star from 6 of 6\n\
         from Da: carol dave from 4 of 6\n\
         matched: ann.example@example.com\n\
         references: ldap://other.example.net/ou=away,dc=example,dc=net??sub\n\
         managed: ldap://other.example.net/ou=away,dc=example,dc=net\n\
         as bob: dn:uid=bob,{people}\n\
         password policy: to be changed\n\
         short: too short\n\
         expires: soon\n\
         followed: 1:uid=mallory,{people} 4:uid=mallory,{people} 8:uid=mall,{people} 2:uid=mall,{people}\n\
         copy: 1:ann 1:bob 1:carol 1:dave 1:juergen 1:star\n\
         since: 2:carol\n\
         LDIF:\n  \n  dn: uid=juergen,{people}\n  cn:: SsO8cmdlbiBHcm/Dnw==\n  mail: juergen@example.com\n"
    );
    assert_eq!(said, wanted);
}
