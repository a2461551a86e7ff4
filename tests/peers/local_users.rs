//! Users of this machine over ldapi, with ldap-utils' SASL EXTERNAL: another user than the owner of the data is an entry.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::program::{Finished, run};
use crate::support::server::{SUFFIX, Server, Setup};

/// `ldapwhoami -Y EXTERNAL` as a user and group of this machine; whoever runs the tests must be root or may use sudo.
#[track_caller]
fn whoami_as(server: &Server, uid: u32, gid: u32) -> Finished {
    // The way to the socket is closed to others, as it should be; here they shall come through.
    for folder in [server.folder(), &server.data()] {
        std::fs::set_permissions::<&Path>(folder, std::fs::Permissions::from_mode(0o711)).expect("we own it");
    }
    let mut command = match rustix::process::geteuid().is_root() {
        true => Command::new("setpriv"),
        false => Command::new("sudo"),
    };
    if !rustix::process::geteuid().is_root() {
        command.args(["-n", "setpriv"]);
    }
    command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
    command.args(["env", "LDAPCONF=/dev/null", "ldapwhoami", "-Q", "-Y", "EXTERNAL", "-H", &server.url_of("ldapi")]);
    run(&mut command)
}

fn account(uid: &str, numbers: (u32, u32)) -> String {
    format!(
        "dn: uid={uid},ou=people,{SUFFIX}\nobjectClass: account\nobjectClass: posixAccount\nuid: {uid}\ncn: {uid}\n\
         uidNumber: {}\ngidNumber: {}\nhomeDirectory: /home/{uid}\n",
        numbers.0, numbers.1
    )
}

#[test]
fn a_user_of_this_machine_is_the_entry_that_has_its_numbers() {
    let entries =
        [account("kim", (41_001, 41_000)), account("twin", (41_002, 41_000)), account("twain", (41_002, 41_000))];
    let setup = || Setup::default().with_entries(&entries.join("\n"));
    let server = Server::start(setup().with_setting("ldapi.user_attribute=uidNumber"));
    let said = whoami_as(&server, 41_001, 41_000).expect_success();
    assert_eq!(said.trim(), format!("dn:uid=kim,ou=people,{SUFFIX}"));
    // Another group, a number that two have, one that nobody has: 49.
    for (uid, gid) in [(41_001, 41_001), (41_002, 41_000), (41_003, 41_000)] {
        let refused = whoami_as(&server, uid, gid).expect_status(49);
        assert!(refused.stderr.contains(&format!("user {uid} of this machine")), "{}", refused.stderr);
    }
    // Nobody but the administrator where the settings do not say so.
    whoami_as(&Server::start(setup()), 41_001, 41_000).expect_status(49);
}
