//! Exports, and what an import makes of them.

use super::*;
use crate::cli::import::{ImportOptions, import};
use crate::clock::Clock;
use crate::dit::Options;
use crate::schema::Schema;
use std::sync::Arc;

const EXAMPLE: &str = include_str!("../../../ldif/example.ldif");
const COMPANY: &str = "\
dn: dc=example,dc=com
objectClass: domain
dc: example
aci: (targetattr=\"*\")(version 3.0; acl \"all\"; allow (read) userdn=\"ldap:///anyone\";)

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people
entryUUID: 0192f3a1-0000-7000-8000-000000000001
createTimestamp: 20200102030405Z
modifyTimestamp: 20210102030405Z
creatorsName: cn=ann,ou=people,dc=example,dc=com

dn: cn=staff,ou=people,dc=example,dc=com
objectClass: groupOfNames
cn: staff
member: cn=Zoë,ou=people,dc=example,dc=com
member: cn=Ann,ou=people,dc=example,dc=com

dn: cn=Zoë,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: Zoë
sn: Z
mail: second@example.com
mail: first@example.com
userPassword: {SSHA}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==

dn: cn=Ann,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: Ann
cn;lang-de: Anne
sn: A
";

fn loaded(ldif: &str) -> (tempfile::TempDir, Dit) {
    let directory = tempfile::tempdir().unwrap();
    let schema = Arc::new(Schema::builtin());
    let options = Options { map_bytes: 1 << 28, ..Options::new(directory.path()) };
    drop(Dit::open(options.clone(), Arc::clone(&schema), Clock::system()).unwrap());
    let how = ImportOptions { strict: true, ..ImportOptions::default() };
    import(&options, &schema, ldif.as_bytes(), Path::new("x.ldif"), &how, &mut Progress::silent()).unwrap();
    let dit = Dit::open(options, schema, Clock::system()).unwrap();
    (directory, dit)
}

fn exported(dit: &Dit, options: &ExportOptions) -> String {
    let mut out = Vec::new();
    export(dit, options, &mut out, &mut Progress::silent()).unwrap();
    String::from_utf8(out).unwrap()
}

fn names(ldif: &str) -> Vec<&str> {
    ldif.lines().filter_map(|line| line.strip_prefix("dn: ").or_else(|| line.strip_prefix("dn:: "))).collect()
}

#[test]
fn import_of_an_export_gives_an_equal_export() {
    for text in [COMPANY, EXAMPLE] {
        let (_directory, dit) = loaded(text);
        let first = exported(&dit, &ExportOptions::default());
        let (_other, again) = loaded(&first);
        assert_eq!(exported(&again, &ExportOptions::default()), first);
    }
}

#[test]
fn what_was_imported_comes_out_with_identity_times_and_order() {
    let (_directory, dit) = loaded(COMPANY);
    let text = exported(&dit, &ExportOptions::default());
    assert_eq!(names(&text).len(), 5);
    assert_eq!(names(&text).first(), Some(&"dc=example,dc=com"));
    for line in [
        "entryUUID: 0192f3a1-0000-7000-8000-000000000001",
        "createTimestamp: 20200102030405Z",
        "modifyTimestamp: 20210102030405Z",
        "cn;lang-de: Anne",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.find("second@example.com") < text.find("first@example.com"), "values keep their order");
    assert!(text.contains("{SSHA}"));
}

#[test]
fn an_export_for_other_programs_leaves_out_what_they_do_not_take() {
    let (_directory, dit) = loaded(COMPANY);
    let for_slapd = exported(&dit, &ExportOptions { reader: ExportReader::Slapadd, ..ExportOptions::default() });
    assert!(!for_slapd.contains("aci:") && for_slapd.contains("entryUUID:"));
    let plain = exported(&dit, &ExportOptions { reader: ExportReader::Ldapadd, ..ExportOptions::default() });
    assert!(!plain.contains("aci:") && !plain.contains("entryUUID:") && !plain.contains("Timestamp:"));
    let without = exported(&dit, &ExportOptions { no_passwords: true, ..ExportOptions::default() });
    assert!(!without.contains("userPassword"));
}

#[test]
fn a_part_is_exported_by_base_and_filter() {
    let (_directory, dit) = loaded(COMPANY);
    let base = Dn::parse("ou=PEOPLE,dc=example,dc=com").unwrap();
    let part = exported(&dit, &ExportOptions { base: Some(base), ..ExportOptions::default() });
    assert_eq!(names(&part).len(), 4);
    let filter = Filter::parse("(&(objectClass=inetOrgPerson)(mail=*))").unwrap();
    let part = exported(&dit, &ExportOptions { filter: Some(filter), ..ExportOptions::default() });
    assert_eq!(names(&part).len(), 1);
    let base = Dn::parse("ou=nowhere,dc=example,dc=com").unwrap();
    let options = ExportOptions { base: Some(base), ..ExportOptions::default() };
    let error = export(&dit, &options, Vec::new(), &mut Progress::silent()).unwrap_err();
    assert!(error.to_string().contains("dc=example,dc=com"), "{error}");
}
