//! nslcd with libnss-ldapd and libpam-ldapd: names, groups, logging in and new passwords of Unix machines.

use crate::site::{Site, pam, pamtester, policy_below_unix, sorted};
use crate::support::code;
use crate::support::program::Program;
use crate::support::request::REPLACE;
use crate::support::server::SUFFIX;
use crate::support::wait::{wait_for, wait_until};

fn start(site: &Site) -> Program {
    site.configure("/etc/nslcd.conf", include_str!("nslcd.conf"), 0o600);
    site.write("/etc/pam.d/test", &pam("pam_ldap.so"), 0o644);
    // Otherwise the package's script of the init system makes it.
    site.run(&["install", "-d", "-o", "nslcd", "/run/nslcd"]).expect_success();
    let nslcd = site.serve(&["nslcd", "-d"]);
    wait_until("nslcd's socket", || site.path("/run/nslcd/socket").exists());
    nslcd
}

#[track_caller]
fn getent(site: &Site, words: &[&str]) -> String {
    let finished = site.run(&[&["getent", "-s", "ldap"], words].concat());
    finished.stdout
}

#[test]
fn nslcd_names_people_and_groups_over_tls() {
    let site = Site::start();
    let nslcd = start(&site);
    let grace = "grace:*:20001:20100:Grace Hopper:/home/grace:/bin/bash";
    assert_eq!(getent(&site, &["passwd", "grace"]), format!("{grace}\n"), "{}", nslcd.said());
    assert_eq!(getent(&site, &["passwd", "20001"]), format!("{grace}\n"));
    assert_eq!(getent(&site, &["passwd", "nobody-here"]), "");
    let everybody = getent(&site, &["passwd"]);
    assert_eq!(
        sorted(&everybody),
        [
            "bob:*:1001:500:Bob Builder:/home/bob:/bin/bash",
            "carol:*:1002:500:Carol Smith:/home/carol:/bin/sh",
            grace,
            "linus:*:20002:20100:Linus Example:/home/linus:/bin/sh"
        ]
    );
    let members = |name: &str| {
        let line = getent(&site, &["group", name]);
        let mut members: Vec<String> = line.trim().rsplit(':').next().unwrap().split(',').map(str::to_owned).collect();
        members.sort_unstable();
        members
    };
    // Names and DNs, whose uid comes with the dereference control.
    assert_eq!(members("crew"), ["grace", "linus"]);
    assert_eq!(members("captains"), ["grace"]);
    assert_eq!(members("unix"), ["bob", "carol"]);
    assert!(nslcd.said().contains("deref"), "{}", nslcd.said());
    let groups = getent(&site, &["initgroups", "grace"]);
    let groups: Vec<&str> = groups.split_whitespace().collect();
    assert_eq!(groups, ["grace", "20100", "20101"]);
}

#[test]
fn nslcd_logs_in_and_changes_passwords() {
    let site = Site::start();
    let nslcd = start(&site);
    let login = |password: &str| pamtester(&site, "grace", &["authenticate", "acct_mgmt"], &[password]);
    let said = login("grace-secret").unwrap_or_else(|said| panic!("{said}\n{}", nslcd.said()));
    assert!(said.contains("account management done"), "{said}");
    login("wrong").unwrap_err();
    login("").unwrap_err();
    let change = pamtester(&site, "grace", &["chauthtok"], &["grace-secret", "grace-secret-2", "grace-secret-2"]);
    change.unwrap_or_else(|said| panic!("{said}\n{}", nslcd.said()));
    login("grace-secret").unwrap_err();
    login("grace-secret-2").unwrap_or_else(|said| panic!("{said}\n{}", nslcd.said()));
    pamtester(&site, "grace", &["chauthtok"], &["wrong", "grace-secret-3", "grace-secret-3"]).unwrap_err();
    login("grace-secret-2").unwrap_or_else(|said| panic!("{said}\n{}", nslcd.said()));
}

/// draft-behera-ldap-password-policy 7.3, 8.2.5: what the control of the bind's response says reaches the person.
#[test]
fn nslcd_tells_of_an_expired_password_and_why_a_new_one_is_refused() {
    let policy = "pwdMaxAge: 1\npwdGraceAuthNLimit: 200\npwdMinLength: 10\npwdCheckQuality: 2\n";
    let site = Site::start_with(&policy_below_unix(policy));
    let nslcd = start(&site);
    site.server
        .admin()
        .modify(&format!("uid=grace,ou=unix,{SUFFIX}"), &[(REPLACE, "userPassword", &["grace-secret-2"])])
        .expect(code::SUCCESS);
    wait_for("PAM to tell of graces", || {
        let said = pamtester(&site, "grace", &["authenticate", "acct_mgmt"], &["grace-secret-2"]);
        let said = said.unwrap_or_else(|said| said);
        said.contains("grace login").then_some(said)
    });
    let said = pamtester(&site, "grace", &["chauthtok"], &["grace-secret-2", "short", "short"]).unwrap_err();
    assert!(said.contains("the password needs at least 10 characters"), "{said}\n{}", nslcd.said());
}
