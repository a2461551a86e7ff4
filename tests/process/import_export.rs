//! `entente import` and `entente export`.

use std::path::Path;

use crate::support::code;
use crate::support::ldif;
use crate::support::program::{Finished, entente, run};
use crate::support::server::{DATA, SUFFIX, Server, Setup, check, export, import, init};

/// Fresh data in a folder of its own.
struct Fresh {
    folder: tempfile::TempDir,
}

impl Fresh {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let this = Self { folder };
        init(&this.data(), this.path());
        this
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Imports text from `input.ldif` with further arguments.
    fn import(&self, text: &str, arguments: &[&str]) -> Finished {
        let file = self.folder.path().join("input.ldif");
        std::fs::write(&file, text).expect("temporary folder is writable");
        run(entente().arg("import").arg("--data").arg(self.data()).args(arguments).arg(&file))
    }
}

#[test]
fn import_of_our_own_export_gives_an_equal_export() {
    let first = Fresh::new();
    import(&first.data(), DATA, first.path());
    let exported = export(&first.data());
    let second = Fresh::new();
    import(&second.data(), &exported, second.path());
    assert_eq!(ldif::by_dn(&export(&second.data())), ldif::by_dn(&exported));
    check(&second.data());
}

/// Every value that went in comes out, octet by octet.
#[test]
fn export_holds_what_was_imported() {
    let fresh = Fresh::new();
    import(&fresh.data(), DATA, fresh.path());
    let exported = ldif::by_dn(&export(&fresh.data()));
    for (dn, attributes) in ldif::by_dn(DATA) {
        let found = exported.get(&dn).unwrap_or_else(|| panic!("{dn} is not in the export"));
        for (name, values) in attributes {
            let found = found.get(&name).unwrap_or_else(|| panic!("{name} of {dn} is not in the export"));
            assert!(values.is_subset(found), "{name} of {dn}: {found:?} instead of {values:?}");
        }
    }
}

/// Superiors come before subordinates, so that any server can take it line by line.
#[test]
fn export_lists_superiors_first() {
    let fresh = Fresh::new();
    import(&fresh.data(), DATA, fresh.path());
    let mut seen: Vec<String> = Vec::new();
    for (dn, _) in ldif::records(&export(&fresh.data())) {
        let dn = ldif::plain_dn(&dn);
        let superior = dn.split_once(',').map_or("", |(_, superior)| superior).to_owned();
        assert!(dn == SUFFIX || seen.contains(&superior), "{dn} comes before its superior");
        seen.push(dn);
    }
}

#[test]
fn export_goes_to_a_file_as_it_goes_to_standard_output() {
    let fresh = Fresh::new();
    import(&fresh.data(), DATA, fresh.path());
    let file = fresh.path().join("out.ldif");
    run(entente().arg("export").arg("--data").arg(fresh.data()).arg("--output").arg(&file)).expect_success();
    let written = std::fs::read_to_string(&file).expect("the export is a text file");
    assert_eq!(ldif::by_dn(&written), ldif::by_dn(&export(&fresh.data())));
}

/// An import whose entry `rdn` is refused, by the file's name and the entry's line; and all that the command said.
#[track_caller]
fn reported(ldif: &str, rdn: &str) -> (Fresh, String) {
    let line = ldif.lines().position(|line| line.starts_with(&format!("dn: {rdn},"))).expect("it is there") + 1;
    let fresh = Fresh::new();
    let finished = fresh.import(ldif, &[]);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    finished.expect_failure();
    assert!(said.contains("input.ldif") && said.contains(&line.to_string()), "{said}");
    (fresh, said)
}

/// RFC 3296 2.2, RFC 4516: nobody is sent to where there is no URL.
#[test]
fn a_referral_to_nowhere_is_reported_with_what_may_be_written() {
    let entry = "objectClass: referral\nobjectClass: extensibleObject\nou: elsewhere";
    let text = format!("{DATA}\ndn: ou=elsewhere,{SUFFIX}\n{entry}\nref: ldap//other.example.com/\n");
    let (fresh, said) = reported(&text, "ou=elsewhere");
    assert!(said.contains("ref: ") && said.contains("ldap://"), "{said}");
    assert!(!export(&fresh.data()).contains("elsewhere"));
}

/// RFC 4512 2.5: who comes from 389, which takes any option, is told which one and where to name it.
#[test]
fn options_that_are_not_recognized_are_reported_with_what_to_do() {
    let text = format!(
        "{DATA}\ndn: uid=phonetic,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: phonetic\ncn: Mori\nsn: Mori\n\
        sn;lang-ja;phonetic: mori\n"
    );
    let (_, said) = reported(&text, "uid=phonetic");
    for word in ["option phonetic", "binary, lang-*", "schema.attribute_options"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    let fresh = Fresh::new();
    fresh.import(&text, &["--set", r#"schema.attribute_options=["lang-", "phonetic"]"#]).expect_success();
    assert!(export(&fresh.data()).contains("sn;lang-ja;phonetic: mori"));
}

/// The good entries go in, the bad ones are named with file, line and reason, and the exit status tells.
#[test]
fn bad_entries_are_reported_with_file_line_and_reason() {
    let bad = format!(
        "{DATA}\ndn: uid=bad,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: bad\ncn: Bad\n\n\
        dn: uid=good,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: good\ncn: Good\nsn: Good\n"
    );
    let (fresh, text) = reported(&bad, "uid=bad");
    assert!(text.contains("sn"), "{text}");
    let exported = ldif::by_dn(&export(&fresh.data()));
    assert!(exported.contains_key(&format!("uid=good,ou=people,{SUFFIX}")));
    assert!(!exported.contains_key(&format!("uid=bad,ou=people,{SUFFIX}")));
    check(&fresh.data());
    // The reject file has the entry with its reason.
    let rejects = std::fs::read_dir(fresh.path()).expect("our folder").filter_map(Result::ok).filter_map(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        (name.contains("reject")).then(|| std::fs::read_to_string(file.path()).unwrap_or_default())
    });
    assert!(rejects.into_iter().any(|text| text.contains("uid=bad") && !text.contains("uid=good")), "no reject file");
}

#[test]
fn strict_import_stops_at_the_first_bad_entry_and_changes_nothing() {
    let fresh = Fresh::new();
    import(&fresh.data(), DATA, fresh.path());
    let before = ldif::by_dn(&export(&fresh.data()));
    let bad = format!("{DATA}\ndn: uid=bad,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: bad\ncn: Bad\n");
    fresh.import(&bad, &["--strict", "--replace"]).expect_failure();
    assert_eq!(ldif::by_dn(&export(&fresh.data())), before);
}

/// What nobody will be able to bind with is told once for each kind, with the line of the first; the rest of a moved directory
/// works, clear text with its scheme too.
#[test]
fn passwords_that_will_never_be_verified_are_told() {
    let fresh = Fresh::new();
    let person = |uid: &str, password: &str| {
        format!(
            "\ndn: uid={uid},{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\
             userPassword: {password}\n"
        )
    };
    let text = [
        format!("dn: {SUFFIX}\nobjectClass: domain\ndc: example\n"),
        person("a", "{CRYPT}$1$abcdefgh$0123456789abcdefghijkl"),
        person("b", "{SASL}b@EXAMPLE.COM"),
        person("c", "{CRYPT}$y$j75$abcdefghijklmnop$ZSeN8goe1rYh.CsYyEr2QP7Vyr4ee2YdjleF4Z0H631"),
        person("d", "{crypt}$1$abcdefgh$0123456789abcdefghijkl"),
        person("e", "{CLEARTEXT}e-secret"),
    ]
    .concat();
    let told = fresh.import(&text, &[]).expect_success();
    assert!(
        told.contains("2 passwords stored as {CRYPT}$1$ will never be verified, the first in the entry of line 5"),
        "{told}"
    );
    assert!(told.contains("1 passwords stored as {SASL}"), "{told}");
    assert_eq!(told.matches("will never be verified").count(), 2, "{told}");
    let people = text.split_once("\n\n").expect("people come after the suffix").1;
    let server = Server::start(Setup::default().with_entries(people));
    let mut client = server.anonymous();
    for (uid, password) in [("c", "Grüße, 42"), ("e", "e-secret")] {
        client.bind(&format!("uid={uid},{SUFFIX}"), password).expect(code::SUCCESS);
    }
    client.bind(&format!("uid=a,{SUFFIX}"), "anything").expect(code::INVALID_CREDENTIALS);
}

/// A pipe whose other end failed, or the wrong file, must not empty the directory.
#[test]
fn import_of_nothing_changes_nothing() {
    let fresh = Fresh::new();
    import(&fresh.data(), DATA, fresh.path());
    let before = ldif::by_dn(&export(&fresh.data()));
    for nothing in ["", "version: 1\n", "this is no LDIF\n", "dn: uid=lost,dc=elsewhere\nobjectClass: nonsense\n"] {
        let text = fresh.import(nothing, &["--replace"]).expect_failure();
        assert!(text.contains("the data is as it was"), "{text}");
        assert_eq!(ldif::by_dn(&export(&fresh.data())), before);
    }
    assert!(!fresh.data().join("import.tmp").exists());
}

/// The nil UUID stands for "no superior" inside.
#[test]
fn the_nil_uuid_is_no_identity() {
    let fresh = Fresh::new();
    let bad = format!(
        "{DATA}\ndn: ou=nil,{SUFFIX}\nobjectClass: organizationalUnit\nou: nil\n\
        entryUUID: 00000000-0000-0000-0000-000000000000\n"
    );
    let finished = fresh.import(&bad, &[]);
    let text = format!("{}{}", finished.stdout, finished.stderr);
    finished.expect_failure();
    assert!(text.contains("identifies no entry"), "{text}");
    check(&fresh.data());
}

/// What is there is not replaced by mistake.
#[test]
fn import_over_data_needs_to_be_told_so() {
    let fresh = Fresh::new();
    fresh.import(DATA, &[]).expect_success();
    let text = fresh.import(DATA, &[]).expect_failure();
    assert!(text.contains("--replace"), "{text}");
    fresh.import(DATA, &["--replace"]).expect_success();
}

#[test]
fn import_of_a_file_that_is_not_there_names_it() {
    let fresh = Fresh::new();
    let text = run(entente().arg("import").arg("--data").arg(fresh.data()).arg("no-such.ldif")).expect_failure();
    assert!(text.contains("no-such.ldif"), "{text}");
}

/// Folding, base64, CRLF, comments, a version line and blank lines in plenty (RFC 2849).
#[test]
fn every_form_of_ldif_is_read() {
    let fresh = Fresh::new();
    let head = format!(
        "version: 1\r\n# a comment\r\n that goes on\r\n\r\n\r\ndn: {SUFFIX}\r\nobjectClass: organization\r\n\
        objectClass: dcObject\r\ndc: example\r\no: Exam\r\n ple\r\ndescription:: R3LDvMOfZQ==\r\n\r\n\r\n"
    );
    let next = format!("dn:: {}\nobjectClass: inetOrgPerson\ncn:Kim\nsn:   Kim\n", "Y249S2ltLGRjPWV4YW1wbGUsZGM9Y29t");
    fresh.import(&format!("{head}{next}"), &[]).expect_success();
    let exported = ldif::by_dn(&export(&fresh.data()));
    assert!(exported[SUFFIX]["o"].contains("Example".as_bytes()));
    assert!(exported[SUFFIX]["description"].contains("Grüße".as_bytes()));
    assert!(exported[&format!("cn=kim,{SUFFIX}")]["sn"].contains("Kim".as_bytes()));
}

/// Files named in LDIF are read below the LDIF's own folder only.
#[test]
fn file_urls_are_confined_to_the_folder_of_the_ldif() {
    let fresh = Fresh::new();
    std::fs::write(fresh.path().join("photo.jpg"), [0xFF, 0xD8, 0xFF, 0xD9]).expect("temporary folder is writable");
    let entry = |url: &str| {
        format!(
            "{DATA}\ndn: uid=url,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: url\ncn: U\nsn: U\njpegPhoto:< {url}\n"
        )
    };
    fresh.import(&entry("file:///etc/hostname"), &[]).expect_failure();
    assert!(!export(&fresh.data()).contains("uid: url"));
    fresh.import(&entry("file://../../../../etc/hostname"), &["--replace"]).expect_failure();
    let inside = format!("file://{}", fresh.path().join("photo.jpg").display());
    fresh.import(&entry(&inside), &["--replace"]).expect_success();
    let exported = ldif::by_dn(&export(&fresh.data()));
    assert!(exported[&format!("uid=url,ou=people,{SUFFIX}")]["jpegphoto"].contains(&[0xFF, 0xD8, 0xFF, 0xD9][..]));
}

/// A check of sound data says so and changes nothing.
#[test]
fn check_finds_nothing_after_a_day_of_writes() {
    let mut server = Server::start(Setup::default());
    {
        let (mut client, branch) = server.branch("day");
        for index in 0..30 {
            let dn = format!("uid=u{index},{branch}");
            let attributes: [(&str, &[&str]); 3] =
                [("objectClass", &["inetOrgPerson"]), ("cn", &["U"]), ("sn", &["U"])];
            client.add(&dn, &attributes).expect(code::SUCCESS);
            if index % 3 == 0 {
                client.modify_dn(&dn, &format!("uid=v{index}"), true, None).expect(code::SUCCESS);
            } else if index % 3 == 1 {
                client.delete(&dn).expect(code::SUCCESS);
            }
        }
    }
    assert!(server.stop().success());
    let before = export(&server.data());
    check(&server.data());
    assert_eq!(export(&server.data()), before);
}

/// The names of an export, as they come.
fn names(text: &str) -> Vec<String> {
    ldif::by_dn(text).into_keys().collect()
}

#[test]
fn an_import_that_does_not_bring_the_suffix_adds_to_it_and_keeps_its_rules() {
    let person = |dn: &str| format!("dn: {dn}\nobjectClass: person\ncn: x\nsn: x\n\n");
    let unit = format!("dn: ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: people\n\n");
    for (file, there) in [
        (person(&format!("cn=x,{SUFFIX}")), vec![format!("cn=x,{SUFFIX}")]),
        (
            format!("{unit}{}", person(&format!("cn=x,ou=people,{SUFFIX}"))),
            vec![format!("ou=people,{SUFFIX}"), format!("cn=x,ou=people,{SUFFIX}")],
        ),
    ] {
        for arguments in [&[][..], &["--replace"][..]] {
            let fresh = Fresh::new();
            let rules = export(&fresh.data()).matches("aci:").count();
            assert!(rules > 0);
            let told = fresh.import(&file, arguments).expect_success();
            assert!(told.contains(&format!("kept as it was, since the file does not bring it: {SUFFIX}")), "{told}");
            let exported = export(&fresh.data());
            let mut wanted = vec![SUFFIX.to_owned()];
            wanted.extend(there.clone());
            wanted.sort();
            let mut found = names(&exported);
            found.sort();
            assert_eq!(found, wanted);
            assert_eq!(exported.matches("aci:").count(), rules);
            check(&fresh.data());
        }
    }
}

#[test]
fn an_entry_whose_superior_is_missing_below_a_kept_suffix_is_refused() {
    let fresh = Fresh::new();
    let before = export(&fresh.data());
    let file = format!("dn: cn=x,ou=gone,{SUFFIX}\nobjectClass: person\ncn: x\nsn: x\n");
    let told = fresh.import(&file, &[]).expect_failure();
    assert!(told.contains(&format!("its superior ou=gone,{SUFFIX} is not in the file before it")), "{told}");
    assert_eq!(export(&fresh.data()), before);
}

#[test]
fn another_naming_context_comes_beside_the_one_that_init_made() {
    let fresh = Fresh::new();
    fresh.import("dn: o=other\nobjectClass: organization\no: other\n", &[]).expect_success();
    let mut found = names(&export(&fresh.data()));
    found.sort();
    assert_eq!(found, [SUFFIX, "o=other"]);
}

#[test]
fn a_file_with_the_suffix_takes_its_place_and_says_when_rules_are_gone() {
    let class = "objectClass: domain\ndc: example\n";
    let quiet = Fresh::new().import(&format!("dn: {SUFFIX}\n{class}"), &[]).expect_success();
    assert!(!quiet.contains("are gone") && !quiet.contains("kept as it was"), "{quiet}");
    let rule = "aci: (targetattr=\"*\")(version 3.0; acl \"all\"; allow (read) userdn=\"ldap:///all\";)\n";
    let fresh = Fresh::new();
    let told = fresh.import(&format!("dn: {SUFFIX}\n{class}{rule}"), &[]).expect_success();
    assert!(told.contains(&format!("access rules that {SUFFIX} had are gone: it has the 1 of the file")), "{told}");
    assert!(told.contains("none names memberOf"), "{told}");
    assert_eq!(export(&fresh.data()).matches("aci:").count(), 1);
}
