//! Apache's mod_authnz_ldap: who may see a page, by search, bind and compare.

use crate::site::Site;
use crate::support::program::Program;
use crate::support::wait::wait_until;

fn start(site: &Site) -> Program {
    site.configure("/srv/httpd/httpd.conf", include_str!("httpd.conf"), 0o644);
    for page in ["group", "attribute", "filter", "user"] {
        site.write(&format!("/srv/httpd/docs/{page}/index.html"), &format!("welcome to {page}\n"), 0o644);
    }
    // In a session of its own: it ends its whole process group.
    let httpd = site.serve(&["setsid", "apache2", "-f", "/srv/httpd/httpd.conf", "-DFOREGROUND"]);
    wait_until("Apache to listen", || std::net::TcpStream::connect(("127.0.0.1", site.port)).is_ok());
    httpd
}

#[test]
fn apache_shows_pages_to_whom_the_directory_allows_them() {
    let site = Site::start();
    let httpd = start(&site);
    let see = |user: &str, password: &str, page: &str| {
        let url = format!("http://127.0.0.1:{}/{page}/", site.port);
        let login = format!("{user}:{password}");
        let finished = site.run(&["curl", "-s", "-w", "%{http_code}", "-u", &login, &url]);
        finished.expect_success()
    };
    for (page, may, may_not) in [
        // Compares `member` of the group.
        ("group", ["ann", "bob"].as_slice(), ["carol", "dave"].as_slice()),
        // Compares `title` of the person.
        ("attribute", &["bob", "carol"], &["ann", "dave"]),
        // Searches with both filters.
        ("filter", &["carol"], &["ann", "bob"]),
        // Compares `uid`.
        ("user", &["ann", "bob"], &["carol"]),
    ] {
        for user in may {
            let said = see(user, &format!("{user}-secret"), page);
            assert_eq!(said, format!("welcome to {page}\n200"), "{user} {}", httpd.said());
        }
        for user in may_not {
            let said = see(user, &format!("{user}-secret"), page);
            assert!(said.ends_with("401"), "{user} {page}: {said}\n{}", httpd.said());
        }
    }
    // RFC 4513 5.1.2: a name without a password proves nothing.
    for (user, password) in [("ann", "wrong"), ("ann", ""), ("nobody", "nobody-secret"), ("a*", "ann-secret"), ("", "")]
    {
        let said = see(user, password, "group");
        assert!(said.ends_with("401"), "{user} {password}: {said}\n{}", httpd.said());
    }
}
