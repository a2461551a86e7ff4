use std::fs;
use std::io::{BufReader, Read};

use proptest::prelude::*;

use super::*;
use crate::model::attribute::AttributeDescription;
use crate::model::change::ModificationKind;

fn results(text: impl AsRef<[u8]>) -> Vec<Result<LdifRecord, LdifError>> {
    LdifReader::new(text.as_ref(), UrlPolicy::Refuse).collect()
}

fn records(text: impl AsRef<[u8]>) -> Vec<LdifRecord> {
    results(text).into_iter().map(|result| result.unwrap_or_else(|error| panic!("{error}"))).collect()
}

fn entry(record: &LdifRecord) -> Vec<(String, Vec<String>)> {
    let LdifBody::Entry(attributes) = &record.body else { panic!("no entry: {record:?}") };
    attributes
        .iter()
        .map(|attribute| {
            let values = attribute.values.iter().map(|value| String::from_utf8_lossy(value).into_owned());
            (attribute.description.to_string(), values.collect())
        })
        .collect()
}

fn pairs(expected: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    expected
        .iter()
        .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()))
        .collect()
}

fn error(text: &str) -> LdifError {
    results(text).into_iter().find_map(Result::err).unwrap_or_else(|| panic!("no error: {text}"))
}

/// RFC 2849, examples 1 to 3.
#[test]
fn entries_of_the_standard_read() {
    let text = "version: 1\n\
        dn: cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com\n\
        objectclass: top\nobjectclass: person\nobjectclass: organizationalPerson\n\
        cn: Barbara Jensen\ncn: Barbara J Jensen\ncn: Babs Jensen\nsn: Jensen\n\
        description:Babs is a big sailing fan, and travels extensively in sea\n rch of perfect sailing conditions.\n\
        title:Product Manager, Rod and Reel Division\n\n\
        dn: cn=Gern Jensen, dc=airius, dc=com\n\
        description:: V2hhdCBhIGNhcmVmdWwgcmVhZGVyIHlvdSBhcmUhICBUaGlzIHZhbHVlIGlzIGJhc2UtNjQtZW5j\n b2RlZA==\n";
    let records = records(text);
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].line, records[1].line), (2, 14));
    assert_eq!(records[0].dn, "cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com");
    assert_eq!(
        entry(&records[0]),
        pairs(&[
            ("objectclass", &["top", "person", "organizationalPerson"]),
            ("cn", &["Barbara Jensen", "Barbara J Jensen", "Babs Jensen"]),
            ("sn", &["Jensen"]),
            (
                "description",
                &["Babs is a big sailing fan, and travels extensively in search of perfect sailing conditions."]
            ),
            ("title", &["Product Manager, Rod and Reel Division"]),
        ])
    );
    assert_eq!(entry(&records[1])[0].1, ["What a careful reader you are!  This value is base-64-encoded"]);
}

/// RFC 2849, examples 4 and 5 (base64 DN, options).
#[test]
fn base64_names_and_options_read() {
    let text = "dn:: b3U95Za25qWt6YOoLG89QWlyaXVz\n# dn:: ou=<JapaneseOU>,o=Airius\nou:: 5Za25qWt6YOo\n\
        ou;lang-ja:: 5Za25qWt6YOo\nou;lang-en: Sales\nOU;LANG-EN: Selling\n";
    let records = records(text);
    assert_eq!(records[0].dn, "ou=営業部,o=Airius");
    assert_eq!(
        entry(&records[0]),
        pairs(&[("ou", &["営業部"]), ("ou;lang-ja", &["営業部"]), ("ou;lang-en", &["Sales", "Selling"])])
    );
}

/// RFC 2849, examples 6 and 7.
#[test]
fn changes_of_the_standard_read() {
    let text = "version: 1\n# Add a new entry\ndn: cn=Fiona Jensen,dc=airius,dc=com\nchangetype: add\n\
        objectclass: top\ncn: Fiona Jensen\n\n\
        dn: cn=Robert Jensen,dc=airius,dc=com\nchangetype: delete\n\n\
        dn: cn=Paul Jensen,dc=airius,dc=com\nchangetype: modrdn\nnewrdn: cn=Paula Jensen\ndeleteoldrdn: 1\n\n\
        dn: ou=PD Accountants,dc=airius,dc=com\nchangetype: moddn\nnewrdn: ou=Product Development Accountants\n\
        deleteoldrdn: 0\nnewsuperior: ou=Accounting, dc=airius, dc=com\n\n\
        dn: cn=Paula Jensen,dc=airius,dc=com\nchangetype: modify\nadd: postaladdress\npostaladdress: 123 Anystreet\n-\n\
        delete: description\n-\nreplace: telephonenumber\ntelephonenumber: +1 408 555 1234\n\
        telephonenumber: +1 408 555 5678\n-\ndelete: facsimiletelephonenumber\nfacsimiletelephonenumber: +1 408 555 9876\n-\n\n\
        dn: ou=Product Development, dc=airius, dc=com\ncontrol: 1.2.840.113556.1.4.805 true\n\
        control: 1.2.3:: AAE=\ncontrol: 1.2.4 false: x:y\ncontrol: 1.2.5\nchangetype: delete\n\n\
        dn: cn=x\nchangetype: modify\nincrement: uidNumber\nuidNumber: 5\n";
    let records = records(text);
    let change = |index: usize| match &records[index].body {
        LdifBody::Change(change) => change.clone(),
        LdifBody::Entry(_) => panic!("an entry"),
    };
    assert!(matches!(change(0), LdifChange::Add(attributes) if attributes.len() == 2));
    assert_eq!(change(1), LdifChange::Delete);
    assert_eq!(
        change(2),
        LdifChange::ModifyDn { new_rdn: "cn=Paula Jensen".into(), delete_old_rdn: true, new_superior: None }
    );
    let LdifChange::ModifyDn { delete_old_rdn: false, new_superior: Some(superior), .. } = change(3) else {
        panic!("{:?}", change(3))
    };
    assert_eq!(superior, "ou=Accounting, dc=airius, dc=com");
    let LdifChange::Modify(modifications) = change(4) else { panic!("no modify") };
    let shape: Vec<_> = modifications
        .iter()
        .map(|one| (one.kind, one.attribute.description.to_string(), one.attribute.values.len()))
        .collect();
    assert_eq!(
        shape,
        [
            (ModificationKind::Add, "postaladdress".to_owned(), 1),
            (ModificationKind::Delete, "description".to_owned(), 0),
            (ModificationKind::Replace, "telephonenumber".to_owned(), 2),
            (ModificationKind::Delete, "facsimiletelephonenumber".to_owned(), 1),
        ]
    );
    let control = |oid: &str, critical: bool, value: Option<&[u8]>| LdifControl {
        oid: oid.to_owned(),
        critical,
        value: value.map(<[u8]>::to_vec),
    };
    assert_eq!(
        records[5].controls,
        [
            control("1.2.840.113556.1.4.805", true, None),
            control("1.2.3", false, Some(&[0, 1])),
            control("1.2.4", false, Some(b"x:y")),
            control("1.2.5", false, None),
        ]
    );
    assert!(matches!(change(6), LdifChange::Modify(one) if one[0].kind == ModificationKind::Increment));
}

#[test]
fn exports_of_other_servers_read() {
    let slapcat = "dn: dc=example,dc=com\nobjectClass: top\nobjectClass: domain\ndc: example\n\
        structuralObjectClass: domain\nentryUUID: 597ae2f6-16a6-1027-98f4-d28b5365dc14\n\
        createTimestamp: 20260101000000Z\nentryCSN: 20260101000000.000000Z#000000#000#000000\n\
        userPassword:: e1NTSEF9eA==\n\n";
    assert_eq!(entry(&records(slapcat)[0]).len(), 7);
    let db2ldif = "\u{feff}version: 1\r\n\r\n# entry-id: 1\r\ndn: dc=example,dc=com\r\nobjectClass: top\r\n\
        nsUniqueId: 597ae2f6-16a61027-98f4d28b-5365dc14\r\naci: (targetattr=\"*\")(version 3.0; acl \"a\";\r\n  allow (read) userdn=\"ldap:///anyone\";)\r\n\r\n\
        # entry-id: 2\r\ndn: cn=Zoë,dc=example,dc=com\r\ncn: Zoë\r\n";
    let records = records(db2ldif);
    assert_eq!(records.iter().map(|record| record.line).collect::<Vec<_>>(), [4, 11]);
    assert_eq!(
        entry(&records[0])[2].1,
        ["(targetattr=\"*\")(version 3.0; acl \"a\"; allow (read) userdn=\"ldap:///anyone\";)"]
    );
    assert_eq!(records[1].dn, "cn=Zoë,dc=example,dc=com");
}

#[test]
fn comments_and_blank_lines_stand_anywhere_between_lines() {
    let text =
        "# first\n  folded comment: x\n\n\n# second\n\ndn: cn=a\n# inside\n  folded\ncn: a\n b\n# last\n\n\n\n# end\n";
    let records = records(text);
    assert_eq!((records.len(), records[0].line), (1, 7));
    assert_eq!(entry(&records[0]), pairs(&[("cn", &["ab"])]));
    assert!(records_of_nothing().is_empty());
    assert_eq!(entry(&self::records("\u{feff}# x\ndn: cn=a\ncn: a\n")[0]).len(), 1);
}

fn records_of_nothing() -> Vec<LdifRecord> {
    ["", "\n\n", "# x", "version: 1", "version: 1\n\n\n", "\u{feff}"].iter().flat_map(records).collect()
}

#[test]
fn values_keep_their_bytes() {
    let text = "dn: cn=a\na:x\na:   x\na:\tx\na: x \na:\na: \na::\na: :x\na: y\n \na: y\n  z\na: é\na:: /w==\na:: /w\n";
    let values = match &records(text)[0].body {
        LdifBody::Entry(attributes) => attributes[0].values.clone(),
        LdifBody::Change(_) => panic!("a change"),
    };
    let expected: [&[u8]; 14] =
        [b"x", b"x", b"x", b"x ", b"", b"", b"", b":x", b"y", b"y z", "é".as_bytes(), b"\xff", b"\xff", b""];
    assert_eq!(values, expected[..13]);
}

#[test]
fn attributes_are_grouped_only_when_they_follow_each_other() {
    let text = "dn: cn=a\ncn;x;y: 1\nCN;Y;X: 2\nsn: 3\ncn;x;y: 4\n";
    assert_eq!(entry(&records(text)[0]), pairs(&[("cn;x;y", &["1", "2"]), ("sn", &["3"]), ("cn;x;y", &["4"])]));
}

#[test]
fn errors_name_line_and_remedy() {
    for (text, line, advice) in [
        ("cn: x\n", 1, "begins with 'dn:'"),
        ("\n\n# c\n\nsearch: 2\nresult: 0 Success\n", 5, "-LLL"),
        ("dn: cn=a\ncn: x\ndn: cn=b\n", 3, "blank line is missing"),
        ("dn: cn=a\ncn\n", 2, "name: value"),
        ("dn: cn=a\ncn: a\n# c\n d\nsn:: ?\n", 5, "base64"),
        ("dn: cn=a\ncn:< file:///etc/passwd\n", 2, "':<'"),
        ("dn:< file:x\n", 1, "URL"),
        ("dn:: /w==\n", 1, "UTF-8"),
        ("dn: cn=a\nc n: x\n", 2, "attribute description"),
        ("dn: cn=a\n: x\n", 2, "name is missing"),
        ("version: 2\ndn: cn=a\n", 1, "version: 1"),
        (" dn: cn=a\n", 1, "blank"),
        ("dn: cn=a\nchangetype: replace\n", 2, "modrdn"),
        ("dn: cn=a\nchangetype: delete\ncn: a\n", 3, "nothing follows"),
        ("dn: cn=a\nchangetype: modify\ncn: a\n", 3, "'add:'"),
        ("dn: cn=a\nchangetype: modify\nadd: cn\ncn: a\nsn: b\n", 5, "'-'"),
        ("dn: cn=a\nchangetype: modify\nadd: c n\n", 3, "attribute description"),
        ("dn: cn=a\nchangetype: modrdn\ndeleteoldrdn: 1\n", 2, "newrdn"),
        ("dn: cn=a\nchangetype: modrdn\nnewrdn: cn=b\n", 2, "deleteoldrdn"),
        ("dn: cn=a\nchangetype: modrdn\nnewrdn: cn=b\nnewrdn: cn=c\n", 4, "twice"),
        ("dn: cn=a\nchangetype: modrdn\nnewrdn: cn=b\ndeleteoldrdn: yes\n", 4, "0"),
        ("dn: cn=a\nchangetype: modrdn\nnewrdn: cn=b\ndeleteoldrdn: 1\ncn: x\n", 5, "newsuperior"),
        ("dn: cn=a\ncn: a\nchangetype: add\n", 3, "directly after"),
        ("dn: cn=a\ncontrol: x\n", 2, "OID"),
        ("dn: cn=a\ncontrol: 1.2 maybe\n", 2, "true"),
    ] {
        let error = error(text);
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.to_string().contains(advice), "{text}: {error}");
    }
    let latin: &[u8] = b"dn: cn=a\ncn: J\xfcrgen\n";
    assert!(results(latin)[0].as_ref().unwrap_err().detail.contains("LATIN1"));
    assert!(results(b"\xff\xfed\0n\0:\0")[0].as_ref().unwrap_err().detail.contains("UTF-16"));
    assert!(results(b"\x1f\x8b\x08\0")[0].as_ref().unwrap_err().detail.contains("gunzip"));
}

#[test]
fn reading_goes_on_after_a_bad_record() {
    let text = "dn: cn=a\ncn: a\n\ndn: cn=b\nbad\ncn: b\n\n continued\ncn: x\n\ndn: cn=c\ncn: c\n";
    let results = results(text);
    let outcome: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok(record) => record.dn.clone(),
            Err(error) => error.line.to_string(),
        })
        .collect();
    assert_eq!(outcome, ["cn=a", "5", "8", "cn=c"]);
}

#[test]
fn text_of_a_bad_record_is_there_to_be_kept() {
    let mut reader = LdifReader::new(&b"dn: cn=a\n# c\nbad\n folded\n\ndn: cn=b\ncn: b\n"[..], UrlPolicy::Refuse);
    assert!(reader.next().unwrap().is_err());
    assert_eq!(reader.record_text(), b"dn: cn=a\nbadfolded\n");
    assert_eq!((reader.line_number(), reader.bytes_read()), (5, 26));
    assert!(reader.next().unwrap().is_ok());
    assert_eq!(reader.record_text(), b"dn: cn=b\ncn: b\n");
    assert!(reader.next().is_none());
}

/// Every split of the bytes by the buffer gives the same records.
#[test]
fn buffer_borders_do_not_show() {
    let text = "version: 1\r\n\r\n# c\r\n d\r\ndn: cn=a\r\ncn: a\r\n b\r\n\r\ndn: cn=b\nsn:: w6Q=\n";
    let whole = results(text);
    assert_eq!(whole.len(), 2);
    for capacity in 1..20 {
        let reader = LdifReader::new(BufReader::with_capacity(capacity, text.as_bytes()), UrlPolicy::Refuse);
        assert_eq!(reader.collect::<Vec<_>>(), whole, "{capacity}");
    }
}

#[test]
fn endless_lines_do_not_fill_memory() {
    let endless = std::io::repeat(b'x').take(LINE_BYTES_MAX as u64 + 100_000);
    let text = b"dn: cn=a\ncn: ".chain(endless).chain(&b"\nsn: x\n\ndn: cn=b\ncn: b\n"[..]);
    let results: Vec<_> = LdifReader::new(BufReader::new(text), UrlPolicy::Refuse).collect();
    assert_eq!(results.len(), 2);
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.line, 2);
    assert!(error.detail.contains("64 MiB"));
    assert_eq!(results[1].as_ref().unwrap().dn, "cn=b");
}

#[test]
fn a_failing_file_ends_the_reading() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    let text = BufReader::new(b"dn: cn=a\ncn: a\n\ndn: cn=b\n".chain(Failing));
    let results: Vec<_> = LdifReader::new(text, UrlPolicy::Refuse).collect();
    assert_eq!(results.len(), 2);
    assert!(results[0].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().line, 5);
}

/// T-56.
#[test]
fn file_values_are_read_below_the_folder_only() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("ldif");
    fs::create_dir_all(folder.join("photos")).unwrap();
    fs::write(folder.join("photos/ann lee.jpg"), b"\xff\xd8").unwrap();
    fs::write(outer.path().join("secret"), b"secret").unwrap();
    std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("photos/ann lee.jpg", folder.join("inner")).unwrap();
    let value = |url: &str| {
        let text = format!("dn: cn=a\njpegPhoto:< {url}\n");
        let mut reader = LdifReader::new(text.as_bytes(), UrlPolicy::Folder(folder.clone()));
        reader.next().unwrap().map(|record| entry(&record)[0].1[0].len())
    };
    let path = folder.display();
    for url in ["file:photos/ann%20lee.jpg", "FILE://photos/ann lee.jpg", "file:inner"] {
        assert_eq!(value(url).ok(), Some(6), "{url}");
    }
    assert_eq!(value(&format!("file://{path}/photos/ann%20lee.jpg")).ok(), Some(6));
    assert_eq!(value(&format!("file://localhost{path}/photos/ann%20lee.jpg")).ok(), Some(6));
    for (url, advice) in [
        ("file:link", "outside"),
        ("file:../secret", "'..'"),
        ("file:%2e%2e/secret", "'..'"),
        ("file:///etc/passwd", "outside"),
        ("file:photos", "regular"),
        ("file:none", "cannot read"),
        ("file:%zz", "hexadecimal"),
        ("http://example.com/x", "only file:"),
    ] {
        let error = value(url).expect_err(url);
        assert!(error.detail.contains(advice), "{url}: {error}");
    }
}

#[test]
fn written_lines_fold_and_take_base64_when_they_must() {
    let mut writer = LdifWriter::new(Vec::new());
    writer.version().unwrap();
    writer.comment("first\n\nthird").unwrap();
    let long = "x".repeat(200);
    let values: Vec<(&str, &[u8])> = vec![
        ("cn", b"Ann"),
        ("cn", "Zoë".as_bytes()),
        ("description", b""),
        ("description", b" x"),
        ("description", b"x "),
        ("description", b":x"),
        ("description", b"<x"),
        ("description", b"a\nb"),
        ("description", b"#x"),
        ("description", long.as_bytes()),
    ];
    writer.entry("cn=Ann,dc=x", values).unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    assert!(text.starts_with(
        "version: 1\n\n# first\n#\n# third\ndn: cn=Ann,dc=x\ncn: Ann\ncn:: Wm/Dqw==\ndescription:\n\
         description:: IHg=\ndescription:: eCA=\ndescription:: Ong=\ndescription:: PHg=\ndescription:: YQpi\ndescription: #x\n"
    ));
    assert!(text.ends_with("x\n\n"));
    let lengths: Vec<_> = text.lines().rev().skip(1).take(3).map(str::len).collect();
    assert_eq!(lengths, [63, 76, 76]);
    let unfolded = {
        let mut writer = LdifWriter::unfolded(Vec::new());
        writer.entry("cn=Ann", [("description", long.as_bytes())]).unwrap();
        writer.into_inner()
    };
    assert_eq!(unfolded, format!("dn: cn=Ann\ndescription: {long}\n\n").into_bytes());
}

#[test]
fn records_become_changes() {
    let change = |text: &str| records(text).remove(0).into_change();
    assert!(matches!(change("dn: cn=a\ncn: a\n"), Ok(Change::Add { .. })));
    let renamed = change("dn: cn=a,dc=x\nchangetype: modrdn\nnewrdn: cn=b\ndeleteoldrdn: 1\nnewsuperior:\n").unwrap();
    assert_eq!(renamed.dn().to_string(), "cn=a,dc=x");
    assert!(matches!(renamed, Change::ModifyDn { new_superior: Some(superior), .. } if superior.is_root()));
    assert_eq!(change("\ndn: cn\ncn: a\n").unwrap_err().line, 2);
    assert!(
        change("dn: cn=a\nchangetype: modrdn\nnewrdn: b\ndeleteoldrdn: 1\n").unwrap_err().detail.contains("newrdn")
    );
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        any::<String>().prop_map(String::into_bytes),
        "[ -~]{0,200}".prop_map(String::into_bytes),
    ]
}

fn any_attribute(values_min: usize) -> impl Strategy<Value = Attribute> {
    ("[a-z]{1,3}(;[a-z]{1,3}){0,2}", proptest::collection::vec(any_value(), values_min..4))
        .prop_map(|(name, values)| Attribute { description: AttributeDescription::parse(&name).unwrap(), values })
}

/// Attributes as the reader groups them.
fn any_attributes() -> impl Strategy<Value = Vec<Attribute>> {
    proptest::collection::vec(any_attribute(1), 0..5)
        .prop_map(|mut attributes| {
            attributes.dedup_by(|right, left| left.description.is_same(&right.description));
            attributes
        })
        .prop_filter("a word of LDIF", |attributes| attributes.iter().all(|one| one.description.name() != "dn"))
}

fn any_record() -> impl Strategy<Value = LdifRecord> {
    let kind = (0u32..4).prop_map(|number| ModificationKind::from_number(number).unwrap());
    let modification = (kind, any_attribute(0)).prop_map(|(kind, attribute)| Modification { kind, attribute });
    let body = prop_oneof![
        any_attributes().prop_map(LdifBody::Entry),
        any_attributes().prop_map(|attributes| LdifBody::Change(LdifChange::Add(attributes))),
        Just(LdifBody::Change(LdifChange::Delete)),
        proptest::collection::vec(modification, 0..4).prop_map(|list| LdifBody::Change(LdifChange::Modify(list))),
        (any::<String>(), any::<bool>(), proptest::option::of(any::<String>())).prop_map(
            |(new_rdn, delete_old_rdn, new_superior)| {
                LdifBody::Change(LdifChange::ModifyDn { new_rdn, delete_old_rdn, new_superior })
            }
        ),
    ];
    let control = ("[0-9](\\.[0-9]{1,4}){1,8}", any::<bool>(), proptest::option::of(any_value()))
        .prop_map(|(oid, critical, value)| LdifControl { oid, critical, value });
    (any::<String>(), proptest::collection::vec(control, 0..3), body).prop_map(|(dn, controls, body)| LdifRecord {
        line: 0,
        dn,
        controls,
        body,
    })
}

proptest! {
    #[test]
    fn writing_then_reading_gives_the_records_back(
        list in proptest::collection::vec(any_record(), 0..4),
        folded in any::<bool>(),
    ) {
        let mut writer = if folded { LdifWriter::new(Vec::new()) } else { LdifWriter::unfolded(Vec::new()) };
        writer.version().unwrap();
        for record in &list {
            writer.comment(&record.dn).unwrap();
            writer.change(record).unwrap();
        }
        let text = writer.into_inner();
        if folded {
            let too_long = text.split(|byte| *byte == b'\n').find(|line| line.len() > 76 && !line.starts_with(b"#"));
            prop_assert_eq!(too_long, None);
        }
        let mut read = records(text);
        read.iter_mut().for_each(|record| record.line = 0);
        prop_assert_eq!(read, list);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "((dn|cn|control|changetype|add|-|newrdn)?(: |::|:<|\n|\r\n|\n |#| |modify|1|é)){0,30}") {
        let results = results(&text);
        prop_assert!(results.len() <= text.lines().count() + 1);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = results(bytes);
    }
}
