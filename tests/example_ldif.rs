//! The example company as its readers meet it: whole, allowed by the schema, consistent, and giving no password away.

use std::collections::{BTreeMap, BTreeSet};

use entente::model::Dn;
use entente::model::ldif::{LdifBody, LdifReader, UrlPolicy};
use entente::schema::Schema;
use entente::schema::check::check_entry;

/// An entry: its DN, and values by lower-case attribute description.
struct Entry {
    dn: String,
    attributes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Entry {
    fn values(&self, attribute: &str) -> &[Vec<u8>] {
        self.attributes.get(attribute).map_or(&[], Vec::as_slice)
    }

    fn texts(&self, attribute: &str) -> Vec<String> {
        self.values(attribute).iter().map(|value| String::from_utf8(value.clone()).expect("text")).collect()
    }
}

fn entries(file: &[u8]) -> Vec<Entry> {
    LdifReader::new(file, UrlPolicy::Refuse)
        .map(|record| {
            let record = record.expect("a record");
            let LdifBody::Entry(attributes) = record.body else { panic!("line {}: a change", record.line) };
            let mut by_name: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
            for attribute in attributes {
                let name = attribute.description.to_string().to_ascii_lowercase();
                by_name.entry(name).or_default().extend(attribute.values);
            }
            Entry { dn: record.dn, attributes: by_name }
        })
        .collect()
}

fn example() -> Vec<Entry> {
    entries(include_bytes!("../ldif/example.ldif"))
}

/// DN key by which references are compared.
fn key(schema: &Schema, dn: &str) -> Vec<u8> {
    schema.dn_key(&Dn::parse(dn).unwrap_or_else(|error| panic!("{dn}: {error}")))
}

#[test]
fn there_are_many_entries_each_below_one_that_came_before() {
    let schema = Schema::builtin();
    let entries = example();
    assert!(entries.len() >= 250, "{}", entries.len());
    let mut seen = BTreeSet::new();
    for entry in &entries {
        let dn = Dn::parse(&entry.dn).unwrap();
        let superior = dn.superior().unwrap();
        assert!(seen.is_empty() || seen.contains(&schema.dn_key(&superior)), "{}", entry.dn);
        assert!(seen.insert(schema.dn_key(&dn)), "{} twice", entry.dn);
    }
    for attribute in ["mail", "uid", "employeenumber", "mobile"] {
        let mut seen = BTreeSet::new();
        for value in entries.iter().flat_map(|entry| entry.texts(attribute)) {
            assert!(seen.insert(value.clone()), "{attribute} {value} twice");
        }
    }
}

#[test]
fn every_entry_is_allowed_by_the_schema_and_every_value_by_its_syntax() {
    let schema = Schema::builtin();
    for entry in example() {
        let classes = entry.texts("objectclass");
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let mut present = Vec::new();
        for (description, values) in &entry.attributes {
            let name = description.split(';').next().unwrap_or_default();
            let attribute = schema.attribute_type(name).unwrap_or_else(|| panic!("{name} is unknown"));
            for value in values {
                let valid = attribute.syntax.validate(value);
                assert!(valid.is_ok(), "{}: {description}: {valid:?}", entry.dn);
            }
            present.push((attribute, values.len()));
        }
        let violations = check_entry(&schema, &classes, present.iter().copied());
        assert!(violations.is_empty(), "{}: {violations:?}", entry.dn);
    }
}

#[test]
fn whoever_is_named_is_there_and_managers_lead_to_the_top() {
    let schema = Schema::builtin();
    let entries = example();
    let by_key: BTreeMap<Vec<u8>, &Entry> = entries.iter().map(|entry| (key(&schema, &entry.dn), entry)).collect();
    let mut tops = BTreeSet::new();
    for entry in &entries {
        for attribute in ["manager", "secretary", "member", "owner"] {
            for named in entry.texts(attribute) {
                assert!(by_key.contains_key(&key(&schema, &named)), "{}: {attribute} {named}", entry.dn);
                assert!(!named.contains("ou=departed"), "{}: {attribute} {named} has left", entry.dn);
            }
        }
        if entry.dn.contains(",ou=people,") {
            let mut at = entry;
            for _ in 0..10 {
                let Some(manager) = at.texts("manager").into_iter().next() else { break };
                at = by_key[&key(&schema, &manager)];
            }
            tops.insert(at.dn.clone());
        }
    }
    assert_eq!(tops.len(), 1, "{tops:?}");
}

#[test]
fn all_staff_holds_everybody_two_groups_deep() {
    let schema = Schema::builtin();
    let entries = example();
    let by_key: BTreeMap<Vec<u8>, &Entry> = entries.iter().map(|entry| (key(&schema, &entry.dn), entry)).collect();
    let all_staff = entries.iter().find(|entry| entry.dn.starts_with("cn=all-staff,")).unwrap();
    let mut reached: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut waiting = vec![(all_staff, 0)];
    while let Some((group, depth)) = waiting.pop() {
        for member in group.texts("member") {
            let member = key(&schema, &member);
            if !reached.contains_key(&member) {
                reached.insert(member.clone(), depth);
                waiting.push((by_key[&member], depth + 1));
            }
        }
    }
    assert_eq!(reached.values().max(), Some(&2));
    for person in entries.iter().filter(|entry| entry.dn.contains(",ou=people,")) {
        assert!(reached.contains_key(&key(&schema, &person.dn)), "{}", person.dn);
    }
}

#[test]
fn photos_are_jpegs_and_passwords_are_hashed() {
    let entries = example();
    let photos: Vec<&Vec<u8>> = entries.iter().flat_map(|entry| entry.values("jpegphoto")).collect();
    assert!(photos.len() >= 40);
    for photo in photos {
        assert!(photo.starts_with(&[0xff, 0xd8, 0xff, 0xe0]) && photo.ends_with(&[0xff, 0xd9]) && photo.len() < 2048);
    }
    let ann = entries.iter().find(|entry| entry.dn.starts_with("uid=ann,")).unwrap();
    assert!(!ann.values("userpassword").is_empty());
    for entry in &entries {
        for password in entry.texts("userpassword") {
            assert!(password.starts_with("{ARGON2}") || password.starts_with("{SSHA}"), "{}", entry.dn);
        }
        for rule in entry.texts("aci") {
            let allowed = rule.split("(version").next().unwrap_or_default();
            let reads = rule.contains("read") || rule.contains("all)") || rule.contains("compare");
            let names_it = allowed.contains("userPassword") && !allowed.contains("!=");
            assert!(!(reads && names_it), "{rule}");
        }
    }
}

#[test]
fn the_password_of_the_example_is_as_its_header_says() {
    for entry in example() {
        for stored in entry.values("userpassword") {
            let verdict = entente::policy::password_hash::verify(stored, b"secret");
            assert_eq!(verdict, entente::policy::password_hash::Verdict::Match, "{}", entry.dn);
        }
    }
}

#[test]
fn names_come_in_many_scripts() {
    let names: String = example().iter().flat_map(|entry| entry.texts("cn")).collect();
    for (script, from, to) in [
        ("Greek", 'Α', 'ω'),
        ("Cyrillic", 'А', 'я'),
        ("Armenian", 'Ա', 'և'),
        ("Hebrew", 'א', 'ת'),
        ("Arabic", 'ء', 'ي'),
        ("Devanagari", 'अ', 'ह'),
        ("Thai", 'ก', 'ฮ'),
        ("Georgian", 'ა', 'ჰ'),
        ("Hiragana", 'ぁ', 'ん'),
        ("Katakana", 'ァ', 'ン'),
        ("Han", '一', '龥'),
        ("Hangul", '가', '힣'),
    ] {
        assert!(names.chars().any(|c| (from..=to).contains(&c)), "{script}");
    }
}

#[test]
fn what_init_begins_with_is_ldif_once_its_places_are_filled() {
    let text = include_str!("../ldif/bootstrap.ldif")
        .replace("@SUFFIX@", "dc=example,dc=com")
        .replace("@CLASS@", "domain")
        .replace("@TYPE@", "dc")
        .replace("@VALUE@", "example");
    let entries = entries(text.as_bytes());
    assert_eq!(entries.len(), 1);
    // Contacts, what the server notes, an own telephone and password.
    assert_eq!(entries[0].values("aci").len(), 3);
    assert!(!text.lines().any(|line| !line.starts_with('#') && line.contains('@')));
}
