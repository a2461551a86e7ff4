//! Net_LDAP3, Roundcube's library, with PHP's own: the search box, lists by sort and window in the server, logging in, an
//! address book that is written to, groups, effective rights.

use crate::script::run_script;
use crate::support::server::{SUFFIX, Server, Setup};

#[test]
fn net_ldap3_does_its_work() {
    let server = Server::start(Setup::default().with_tls());
    let said = run_script(&server, "php", "net_ldap3/net_ldap3.php").expect_success();
    let people = format!("ou=people,{SUFFIX}");
    let groups = format!("ou=groups,{SUFFIX}");
    let wanted = format!(
        "wrong password: false\n\
         all: 6 false\n\
         (|(cn=*caro*)(mail=caro*)): carol\n\
         page 1: bob ann of 6 true\n\
         page 2: juergen dave of 6 true\n\
         page 3: star carol of 6 true\n\
         login: 'uid=carol,{people}' carol@example.com\n\
         no login: NULL\n\
         changed: Müller eve@example.com mueller@example.com\n\
         groups of ann: cn=staff,{groups} cn=unique,{groups}\n\
         members: cn=staff,{groups} uid=ann,{people} uid=bob,{people} uid=carol,{people}\n\
         attributes: mail\n\
         gone: NULL\n\
         rights: read add delete modrdn; read search compare write delete\n"
    );
    assert_eq!(said, wanted);
}
