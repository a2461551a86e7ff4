//! FreeRADIUS: who may into the network, by a bind; and what groups they are in, by memberOf and by a search.

use crate::site::Site;

#[test]
fn freeradius_accepts_by_a_bind_and_knows_groups() {
    let site = Site::start();
    site.configure("/etc/radius/radiusd.conf", include_str!("radiusd.conf"), 0o600);
    let mut radius = site.serve(&["freeradius", "-X", "-d", "/etc/radius", "-n", "radiusd"]);
    radius.wait_for_line("Ready to process requests");
    let server = format!("127.0.0.1:{}", site.port);
    let ask = |user: &str, password: &str| {
        let finished = site.run(&["radtest", user, password, &server, "0", "testing123"]);
        finished.stdout
    };
    for user in ["ann", "bob"] {
        let said = ask(user, &format!("{user}-secret"));
        assert!(said.contains("Received Access-Accept"), "{said}\n{}", radius.said());
        assert!(said.contains("Filter-Id = \"staff\"") && !said.contains("captain"), "{said}\n{}", radius.said());
    }
    let said = ask("grace", "grace-secret");
    assert!(said.contains("Received Access-Accept"), "{said}\n{}", radius.said());
    assert!(said.contains("Reply-Message = \"captain\"") && !said.contains("staff"), "{said}\n{}", radius.said());
    let said = ask("dave", "dave-secret");
    assert!(said.contains("Received Access-Accept"), "{said}\n{}", radius.said());
    assert!(!said.contains("staff") && !said.contains("captain"), "{said}\n{}", radius.said());
    for (user, password) in [("ann", "wrong"), ("nobody", "nobody-secret"), ("a*", "ann-secret")] {
        let said = ask(user, password);
        assert!(said.contains("Received Access-Reject"), "{user}: {said}\n{}", radius.said());
    }
}
