//! Texts that clients, administrators and files bring: names, filters, URLs, LDIF, access rules.

use std::fmt::{Debug, Display};
use std::sync::{Arc, LazyLock};

use entente::policy::access::AccessCompiler;
use entente::policy::aci::Aci;
use entente::policy::slapd_access::translate;
use entente::schema::Schema;

use super::texts;
use crate::model::ldif::{LdifReader, LdifRecord, LdifWriter, UrlPolicy};
use crate::model::{Dn, Filter, LdapUrl};

pub(super) fn dn_seeds() -> Vec<Vec<u8>> {
    // RFC 4514 4, and what older servers write.
    texts(&[
        "",
        "UID=jsmith,DC=example,DC=net",
        "OU=Sales+CN=J.  Smith,DC=example,DC=net",
        "CN=James \\\"Jim\\\" Smith\\, III,DC=example,DC=net",
        "CN=Before\\0dAfter,DC=example,DC=net",
        "1.3.6.1.4.1.1466.0=#04024869",
        "CN=Lu\\C4\\8Di\\C4\\87",
        "cn=\"quoted, value\",dc=example",
        "cn=\\ space\\ ,dc=\\#x",
    ])
}

/// What parses is printed to text that parses to the same.
pub(super) fn dn_text(input: &[u8]) -> bool {
    let Ok(dn) = Dn::parse_bytes(input) else { return false };
    let text = dn.to_string();
    assert_eq!(Dn::parse(&text).as_ref(), Ok(&dn), "{text:?}");
    true
}

pub(super) fn filter_seeds() -> Vec<Vec<u8>> {
    // RFC 4515 4, and what mail programs send.
    let standard: Vec<&str> = include_str!("../../../../src/model/filter/rfc4515.txt").lines().collect();
    let others = [
        "(:DN:2.4.6.8.10:=Dino)",
        "(sn=Lu\\c4\\8di\\c4\\87)",
        "(&)",
        "( | (uidNumber>=1000) (gidNumber<=2000)(cn~=an))",
    ];
    texts(&[standard.as_slice(), &others].concat())
}

/// Whether the text parses; then it is printed to text that parses to the same.
fn reads_back<T: Display + Debug + PartialEq, E: Debug + PartialEq>(
    input: &[u8],
    parse: impl Fn(&str) -> Result<T, E>,
) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(parsed) = parse(text) else { return false };
    let printed = parsed.to_string();
    assert_eq!(parse(&printed).as_ref(), Ok(&parsed), "{printed:?}");
    true
}

/// As [`dn_text`].
pub(super) fn filter_text(input: &[u8]) -> bool {
    reads_back(input, Filter::parse)
}

pub(super) fn url_seeds() -> Vec<Vec<u8>> {
    // RFC 4516 4.
    texts(&[
        "ldap:///o=University%20of%20Michigan,c=US",
        "ldap://ldap1.example.net/o=University%20of%20Michigan,c=US?postalAddress",
        "ldap://ldap1.example.net:6666/o=University%20of%20Michigan,c=US??sub?(cn=Babs%20Jensen)",
        "LDAP://ldap1.example.com/c=GB?objectClass?ONE",
        "ldap://ldap3.example.com/o=Babsco,c=US???(four-octet=%5c00%5c00%5c00%5c04)",
        "ldap:///??sub??e-bindname=cn=Manager%2cdc=example%2cdc=com",
        "ldap:///??sub??!e-bindname=cn=Manager%2cdc=example%2cdc=com",
        "ldaps://[2001:db8::1]:636/dc=example",
        "ldapi://%2fvar%2frun%2fldapi",
    ])
}

/// As [`dn_text`].
pub(super) fn ldap_url(input: &[u8]) -> bool {
    reads_back(input, LdapUrl::parse)
}

pub(super) fn ldif_seeds() -> Vec<Vec<u8>> {
    // After RFC 2849, "Examples of LDAP Data Interchange Format".
    texts(&[
        "version: 1\ndn: cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com\nobjectclass: top\ncn: Barbara\n \
         Jensen\nsn: Jensen\ndescription:: V2hhdCBhIGNhcmVmdWwgcmVhZGVyIHlvdSBhcmUh\n",
        "# comment\n going on\ndn:: dWlkPWFubg==\ncontrol: 1.2.840.113556.1.4.805 true\nchangetype: delete\n\n\
         dn: cn=a\nchangetype: modrdn\nnewrdn: cn=b\ndeleteoldrdn: 1\nnewsuperior: ou=c\n",
        "dn: cn=a\r\nchangetype: modify\r\nadd: mail\r\nmail: a@x\r\nmail: b@x\r\n-\r\ndelete: sn\r\n-\r\nreplace: cn\r\n\
         cn: a\r\n-\r\nincrement: n\r\nn: 1\r\n-\r\n",
        "dn: cn=a\nchangetype: add\nobjectClass: person\ncn;lang-de: \u{fc}\nx:\ny::\nz: \n",
    ])
}

/// Any bytes: no panic, no file read. Records that are well-formed are written to text that reads as the same.
pub(super) fn ldif(input: &[u8]) -> bool {
    let read = |text: &[u8]| LdifReader::new(text, UrlPolicy::Refuse).collect::<Vec<_>>();
    let results = read(input);
    let is_accepted = !results.is_empty() && results.iter().all(Result::is_ok);
    let records: Vec<LdifRecord> = results.into_iter().flatten().collect();
    let mut writer = LdifWriter::new(Vec::new());
    let _ = writer.version();
    for record in &records {
        let _ = writer.change(record);
    }
    let text = writer.into_inner();
    let again = read(&text);
    assert_eq!(again.len(), records.len(), "{}", text.escape_ascii());
    for (again, record) in again.into_iter().zip(&records) {
        let again = again.unwrap_or_else(|error| panic!("{error}\n{}", text.escape_ascii()));
        assert_eq!((&again.dn, &again.controls, &again.body), (&record.dn, &record.controls, &record.body));
    }
    is_accepted
}

pub(super) fn aci_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "(targetattr=\"cn || tele* || +\")(version 3.0; acl \"a \\\"b\\\"\"; allow (read, search) userdn=\"ldap:///anyone\";)",
        "(target=\"ldap:///uid=*,ou=people,dc=x\")(targetscope=\"onelevel\")(targetattr!=\"userPassword\")(version 3.0; acl \
         \"b\"; deny (all, proxy) not (userdn=\"ldap:///self || ldap:///dc=x??sub?(|(cn=a*)(sn=%41))\" or \
         groupdn!=\"ldap:///cn=g,dc=x\") and ip=\"192.0.2.*,2001:db8::/32\"; allow (moddn) ssf>=\"56\";)",
        "(targetfilter=(&(objectClass=person)(!(cn=\\28))))(version 3.0;acl \"c\";allow(write)(userattr=\"parent[0,1].manager#USERDN\" \
         and (dns=\"*.x.example\" or authmethod=\"sasl EXTERNAL\") and timeofday<\"1830\" and dayofweek=\"Sun, Mon\");)",
    ])
}

/// A rule that parses is printed to text that parses to an equal rule, and compiles; what does not parse compiles to a
/// rule that is reported.
pub(super) fn aci(input: &[u8]) -> bool {
    static COMPILER: LazyLock<AccessCompiler> = LazyLock::new(|| AccessCompiler::new(Arc::new(Schema::builtin())));
    let parsed = Aci::parse_bytes(input);
    if parsed.is_err() && !input.len().is_multiple_of(32) {
        // Compiling begins with parsing: a sample shows that it ends there too.
        return false;
    }
    let compiled = COMPILER.compile("dc=x", [input]);
    let Ok(rule) = parsed else {
        assert!(compiled.problems().iter().any(|problem| problem.is_fatal));
        return false;
    };
    assert!(!compiled.problems().iter().any(|problem| problem.is_fatal));
    let printed = rule.to_string();
    assert_eq!(Aci::parse(&printed).as_ref(), Ok(&rule), "{printed:?}");
    true
}

pub(super) fn slapd_access_seeds() -> Vec<Vec<u8>> {
    // After slapd.access(5) and the administrator's guide of OpenLDAP 8.4, in both forms of configuration.
    texts(&[
        "database mdb\nsuffix \"dc=x\"\naccess to attrs=userPassword\n\tby self write\n\tby anonymous auth\n\tby * none\n\
         access to * by users read by * search\n",
        "database mdb\nsuffix dc=x\nrootdn cn=m,dc=x\naccess to dn.subtree=\"ou=a,dc=x\" filter=(objectClass=person) attrs=cn,@person,entry\n \
         by dn.exact=\"uid=b,dc=x\" write\n by group/groupOfUniqueNames/uniqueMember.exact=\"cn=g,dc=x\" +rw continue\n \
         by dnattr=manager selfwrite stop\n by peername.ip=192.0.2.0%255.255.255.0 read break\n by ssf=128 users =rscxd\n\
         access to dn.regex=\"^uid=([^,]+),ou=people,dc=x$\" by dn.regex=\"^uid=$1,ou=people,dc=x$\" write by * break\n\
         access to dn.children=dc=x attrs=!person by dn.onelevel=ou=a,dc=x read\n",
        "dn: olcDatabase={1}mdb,cn=config\nobjectClass: olcMdbConfig\nolcSuffix: dc=x\nolcAccess: {0}to attrs=member\n  by \
         dnattr=member selfwrite by * read\nolcAccess: {1}to dn.base=\"\" by * read\nolcAccess:: dG8gKiBieSAqIHJlYWQ=\n\
         olcAddContentAcl: TRUE\n",
        "database mdb\nsuffix dc=x\naccess to dn.one=ou=a,dc=x attrs=children by set=\"user & [cn=g,dc=x]/member*\" add by realself write\n\
         access to * by domain.subtree=x.example tls_ssf=56 compare by anonymous manage by realusers none\n",
    ])
}

/// Any text ends in rules or in a list of what is wrong with it. Rules that come out are printed to text that parses to equal
/// rules, and compile; who gives the same text gets the same rules.
pub(super) fn slapd_access(input: &[u8]) -> bool {
    static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::builtin()));
    static COMPILER: LazyLock<AccessCompiler> = LazyLock::new(|| AccessCompiler::new(Arc::clone(&SCHEMA)));
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let translation = match translate(&SCHEMA, text, None) {
        Ok(translation) => translation,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a word");
            return false;
        }
    };
    let printed: Vec<String> = translation.rules.iter().map(ToString::to_string).collect();
    for (rule, text) in translation.rules.iter().zip(&printed) {
        assert_eq!(Aci::parse(text).as_ref(), Ok(rule), "{text:?}");
    }
    let compiled = COMPILER.compile(&translation.suffix.to_string(), printed.iter().map(String::as_bytes));
    let fatal: Vec<_> = compiled.problems().iter().filter(|problem| problem.is_fatal).collect();
    assert!(fatal.is_empty(), "{fatal:?}\n{printed:#?}");
    if input.len().is_multiple_of(32) {
        let again = translate(&SCHEMA, text, None).map(|again| again.rules);
        assert_eq!(again.as_ref(), Ok(&translation.rules));
    }
    true
}
