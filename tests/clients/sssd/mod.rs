//! SSSD: names, groups of groups, logging in and new passwords of Unix machines.

use crate::site::{Site, pam, pamtester, policy_below_unix, sorted};
use crate::support::code;
use crate::support::program::Program;
use crate::support::request::REPLACE;
use crate::support::wait::{wait_for, wait_until};

const GRACE: &str = "uid=grace,ou=unix,dc=example,dc=com";

fn start(site: &Site) -> Program {
    site.configure("/etc/sssd/sssd.conf", include_str!("sssd.conf"), 0o600);
    site.write("/etc/pam.d/test", &pam("pam_sss.so"), 0o644);
    let sssd = site.serve(&["sssd", "-i", "--logger=stderr"]);
    wait_until("SSSD to answer", || !getent(site, &["passwd", "carol@bis"]).is_empty());
    sssd
}

#[track_caller]
fn getent(site: &Site, words: &[&str]) -> String {
    let finished = site.run(&[&["getent", "-s", "sss"], words].concat());
    finished.stdout
}

/// The names of a group's members; SSSD names one twice that it learned of in two ways.
#[track_caller]
fn members(site: &Site, group: &str) -> Vec<String> {
    let line = getent(site, &["group", group]);
    let mut members: Vec<String> = line.trim().rsplit(':').next().unwrap().split(',').map(str::to_owned).collect();
    members.sort_unstable();
    members.dedup();
    members
}

/// The numbers of all groups that somebody is in.
#[track_caller]
fn groups(site: &Site, user: &str) -> Vec<String> {
    let said = site.run(&["id", "-G", user]).expect_success();
    let mut groups: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
    groups.sort_unstable();
    groups
}

#[test]
fn sssd_names_people_and_groups_in_both_schemas() {
    let site = Site::start();
    let sssd = start(&site);
    // draft-masarati-ldap-deref: members that it has not seen yet come with their group.
    assert_eq!(members(&site, "crew@bis"), ["grace@bis", "linus@bis"], "{}", sssd.said());
    assert!(sssd.said().contains("using OpenLDAP deref"), "{}", sssd.said());
    let home = "20001:20100:Grace Hopper:/home/grace:/bin/bash";
    assert_eq!(getent(&site, &["passwd", "grace@bis"]), format!("grace@bis:*:{home}\n"), "{}", sssd.said());
    assert_eq!(getent(&site, &["passwd", "grace@plain"]), format!("grace@plain:*:{home}\n"));
    assert_eq!(getent(&site, &["passwd", "nobody-here@bis"]), "");
    assert_eq!(getent(&site, &["passwd", "ann@bis"]), "", "no posixAccount");
    // Members of a group within it; names alone in the older schema.
    assert_eq!(members(&site, "ship@bis"), ["grace@bis", "linus@bis"]);
    assert_eq!(members(&site, "crew@plain"), ["grace@plain"]);
    assert_eq!(groups(&site, "grace@bis"), ["20100", "20101", "20102"]);
    assert_eq!(groups(&site, "linus@bis"), ["20100", "20102"]);
    assert_eq!(groups(&site, "linus@plain"), ["20100", "20102"]);
    let everybody = wait_for("SSSD to have read all accounts", || {
        let all = getent(&site, &["passwd"]);
        (all.lines().filter(|line| line.contains("@listed:")).count() == 4).then_some(all)
    });
    assert_eq!(sorted(&everybody)[2], format!("grace@listed:*:{home}"));
    let all = wait_for("SSSD to have read all groups", || {
        let all = getent(&site, &["group"]);
        (all.lines().count() == 4).then_some(all)
    });
    assert_eq!(sorted(&all)[0], "captains@listed:*:20101:grace@listed");
}

#[test]
fn sssd_logs_in_and_changes_passwords() {
    let site = Site::start();
    let sssd = start(&site);
    for domain in ["bis", "plain"] {
        let user = format!("grace@{domain}");
        let login = |password: &str| pamtester(&site, &user, &["authenticate", "acct_mgmt"], &[password]);
        let said = login("grace-secret").unwrap_or_else(|said| panic!("{said}\n{}", sssd.said()));
        assert!(said.contains("account management done"), "{said}");
        login("wrong").unwrap_err();
        login("").unwrap_err();
        let change = |old: &str, new: &str| pamtester(&site, &user, &["chauthtok"], &[old, new, new]);
        change("grace-secret", "grace-secret-2").unwrap_or_else(|said| panic!("{said}\n{}", sssd.said()));
        login("grace-secret").unwrap_err();
        login("grace-secret-2").unwrap_or_else(|said| panic!("{said}\n{}", sssd.said()));
        change("wrong", "grace-secret-3").unwrap_err();
        change("grace-secret-2", "grace-secret").unwrap_or_else(|said| panic!("{said}\n{}", sssd.said()));
    }
}

/// draft-behera-ldap-password-policy 7.3, 8.2.5: what the control of the bind's response says reaches the person.
#[test]
fn sssd_tells_of_an_expired_password_and_why_a_new_one_is_refused() {
    let policy = "pwdMaxAge: 1\npwdGraceAuthNLimit: 200\npwdMinLength: 10\npwdCheckQuality: 2\n";
    let site = Site::start_with(&policy_below_unix(policy));
    let sssd = start(&site);
    site.server.admin().modify(GRACE, &[(REPLACE, "userPassword", &["grace-secret-2"])]).expect(code::SUCCESS);
    wait_for("PAM to tell of graces", || {
        let said = pamtester(&site, "grace@bis", &["authenticate", "acct_mgmt"], &["grace-secret-2"]);
        said.unwrap_or_else(|said| said).contains("grace login(s) remaining").then_some(())
    });
    let said = pamtester(&site, "grace@bis", &["chauthtok"], &["grace-secret-2", "short", "short"]).unwrap_err();
    assert!(said.contains("the password needs at least 10 characters"), "{said}\n{}", sssd.said());
}

/// draft-behera-ldap-password-policy 7.4 (changeAfterReset): a password that somebody else has set is for one login.
#[test]
fn sssd_asks_for_a_new_password_after_a_reset() {
    let site = Site::start_with(&policy_below_unix("pwdMustChange: TRUE\n"));
    let sssd = start(&site);
    site.server.admin().modify(GRACE, &[(REPLACE, "userPassword", &["grace-secret-2"])]).expect(code::SUCCESS);
    let login = |password: &str| pamtester(&site, "grace@bis", &["authenticate", "acct_mgmt"], &[password]);
    let said = login("grace-secret-2").unwrap_err();
    assert!(said.contains("new one required"), "{said}\n{}", sssd.said());
    let change = pamtester(&site, "grace@bis", &["chauthtok"], &["grace-secret-2", "grace-secret-3", "grace-secret-3"]);
    change.unwrap_or_else(|said| panic!("{said}\n{}", sssd.said()));
    login("grace-secret-3").unwrap_or_else(|said| panic!("{said}\n{}", sssd.said()));
}
