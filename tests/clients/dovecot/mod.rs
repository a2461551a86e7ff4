//! Dovecot: passwords by binding, accounts by searching, and the list of all accounts.

use crate::site::{Site, sorted};
use crate::support::wait::wait_until;

#[test]
fn dovecot_proves_passwords_and_finds_accounts_over_tls() {
    let site = Site::start();
    site.configure("/etc/dovecot-own/dovecot.conf", include_str!("dovecot.conf"), 0o644);
    site.configure("/etc/dovecot-own/dovecot-ldap.conf", include_str!("dovecot-ldap.conf"), 0o600);
    let dovecot = site.serve(&["dovecot", "-F", "-c", "/etc/dovecot-own/dovecot.conf"]);
    wait_until("dovecot's socket", || site.path("/run/dovecot-own/auth-userdb").exists());
    let doveadm = |words: &[&str]| {
        let all = [&["doveadm", "-c", "/etc/dovecot-own/dovecot.conf"], words].concat();
        let finished = site.run(&all);
        (finished.status.code(), finished.stdout + &finished.stderr)
    };
    let (status, said) = doveadm(&["auth", "test", "grace", "grace-secret"]);
    assert!(status == Some(0) && said.contains("grace auth succeeded"), "{said}\n{}", dovecot.said());
    // One bound as grace on the connection that the next search is asked on.
    let (_, said) = doveadm(&["user", "grace"]);
    assert!(said.contains("uid\t20001\n") && said.contains("gid\t20100\n"), "{said}");
    assert!(said.contains("home\t/home/grace\n"), "{said}");
    let (_, said) = doveadm(&["user", "*"]);
    assert_eq!(sorted(&said), ["bob", "carol", "grace", "linus"], "{}", dovecot.said());
    for (user, password) in [("grace", "wrong"), ("nobody", "nobody-secret"), ("*", "grace-secret")] {
        let (status, said) = doveadm(&["auth", "test", user, password]);
        assert!(status == Some(77) && said.contains("auth failed"), "{user}: {said}\n{}", dovecot.said());
    }
    let (status, said) = doveadm(&["auth", "test", "linus", "linus-secret"]);
    assert!(status == Some(0) && said.contains("linus auth succeeded"), "{said}\n{}", dovecot.said());
}
