//! Evolution Data Server: an LDAP address book over TLS, searched and written by the factory that Evolution uses.

use serde_json::{Value, json};

use crate::site::Site;
use crate::support::server::ADMIN_PASSWORD;

/// Runs `book.py` in a session of its own; what it told of each step.
#[track_caller]
fn book(site: &Site) -> Vec<(String, Value)> {
    site.configure("/root/config/evolution/sources/entente.source", include_str!("ldap.source"), 0o600);
    site.write("/root/book.py", include_str!("book.py"), 0o600);
    let mut words = vec!["env", "XDG_CONFIG_HOME=/root/config", "XDG_RUNTIME_DIR=/run", "GSETTINGS_BACKEND=memory"];
    words.extend(["LDAPTLS_CACERT=/etc/ssl/entente.pem", "dbus-run-session", "--", "python3", "/root/book.py"]);
    words.push(ADMIN_PASSWORD);
    let finished = site.run(&words);
    assert!(finished.status.success(), "{finished:#?}");
    let lines = finished.stdout.lines().filter(|line| line.starts_with('{'));
    let told = lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {finished:#?}")));
    told.map(|told: Value| (told["step"].as_str().unwrap().to_owned(), told)).collect()
}

#[test]
fn evolution_finds_makes_changes_and_deletes_contacts() {
    let site = Site::start();
    let told = book(&site);
    let step = |name: &str| told.iter().find(|(step, _)| step == name).map(|(_, told)| told).unwrap();
    let bob = json!([["Bob Builder", "bob@example.com"]]);
    assert_eq!(step("open")["readonly"], json!(false));
    assert_eq!(step("anywhere")["contacts"], bob);
    assert_eq!(step("mail")["contacts"], bob);
    assert_eq!(step("complete")["contacts"], json!([["Carol Smith", "carol@example.com"]]));
    assert_eq!(step("browse")["contacts"].as_array().unwrap().len(), 6, "{told:#?}");
    let ada = json!(["Ada Lovelace", "ada@engine.example.com"]);
    assert_eq!(step("read")["contact"], ada);
    assert_eq!(step("read")["title"], json!("Analyst"));
    assert_eq!(step("read")["mobile"], json!("+44 7700 900123"));
    assert_eq!(step("read")["birth"], json!([1815, 12, 10]));
    assert_eq!(step("found")["contacts"], json!([ada]));
    assert_eq!(step("list")["name"], json!("Builders"));
    assert_eq!(step("list")["is_list"], json!(true));
    assert_eq!(
        step("list")["mails"],
        json!(["\"Bob Builder\" <bob@example.com>", "\"Carol Smith\" <carol@example.com>"])
    );
    assert_eq!(step("gone")["contacts"], json!([]));
}
