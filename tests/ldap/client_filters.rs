//! What real programs send, literally: their filters, attribute lists and limits, as recorded from the wire or read in
//! their sources. A client must find what it would find elsewhere, and nothing that it sends may be an error.

use crate::support::request::{Control, Search};
use crate::support::server::{SUFFIX, Server, Subject};
use crate::support::{code, oid};
use crate::{ANN, BOB, GROUPS, PEOPLE};

/// Each filter, searched below the suffix by the administrator, finds exactly these.
#[track_caller]
fn finds(cases: &[(&str, &[&str])]) {
    let mut client = Server::shared().admin();
    for (filter, expected) in cases {
        let base = if filter.contains("group") || filter.contains("Group") { GROUPS } else { PEOPLE };
        assert_eq!(client.names(base, filter), *expected, "{filter}");
    }
}

#[test]
fn thunderbird() {
    let box_filter = |text: &str| {
        "(|(cn=*X*)(givenName=*X*)(sn=*X*)(mozillaNickname=*X*)(mail=*X*)(mozillaSecondEmail=*X*)(&(description=*X*))\
         (o=*X*)(ou=*X*)(title=*X*)(mozillaWorkUrl=*X*)(mozillaHomeUrl=*X*))"
            .replace('X', text)
    };
    finds(&[
        ("(|(cn=*jo*)(mail=*jo*)(givenName=*jo*)(sn=*jo*))", &[]),
        ("(|(cn=*ann*)(mail=*ann*)(givenName=*ann*)(sn=*ann*))", &["ann"]),
        ("(|(cn=*bob*build*-*)(mail=*bob build*)(givenName=*bob*)(sn=*bob*))", &["bob"]),
        (&box_filter("smi"), &["carol"]),
        (&box_filter("maps"), &["ann"]),
        (&box_filter("engineer"), &["bob", "carol"]),
        ("(&(objectclass=*)(|(cn=*ann*)(mail=*ann*)(givenName=*ann*)(sn=*ann*)))", &["ann"]),
        ("(&(sn~=smith)(!(mail=x)))", &["carol"]),
    ]);
    // All attributes, at most a hundred entries, aliases never dereferenced, nobody bound.
    let search = Search::subtree(SUFFIX, &box_filter("ann")).size_limit(100).deref(0);
    let found = Server::shared().anonymous().search(&search).expect(code::SUCCESS);
    assert_eq!(found.names(), ["ann"]);
    let entry = &found.entries[0];
    assert_eq!(entry.values("mail"), ["ann.example@example.com", "ann@example.com"]);
    assert!(entry.has("jpegPhoto") && entry.has("telephoneNumber") && !entry.has("userPassword"));
    // The offline copy asks for everything.
    let found = Server::shared().anonymous().search(&Search::subtree(PEOPLE, "(objectclass=*)").size_limit(100));
    assert_eq!(found.expect(code::SUCCESS).entries.len(), 7);
}

#[test]
fn evolution() {
    let any_field: String = [
        "cn",
        "givenName",
        "sn",
        "primaryPhone",
        "mobile",
        "carPhone",
        "homePhone",
        "otherPhone",
        "companyPhone",
        "homeFacsimileTelephoneNumber",
        "otherFacsimileTelephoneNumber",
        "internationaliSDNNumber",
        "pager",
        "telephoneNumber",
        "facsimileTelephoneNumber",
        "tty",
        "telex",
        "mail",
        "o",
        "ou",
        "title",
        "businessRole",
        "roomNumber",
        "managerName",
        "assistantName",
        "manager",
        "secretary",
        "displayName",
        "fileAs",
        "note",
        "labeledURI",
        "calCalURI",
        "calFBURL",
        "icsCalendar",
    ]
    .iter()
    .map(|name| format!("({name}=*smi*)"))
    .collect();
    finds(&[
        (&format!("(|{any_field})"), &["carol"]),
        ("(mail=ann*)", &["ann"]),
        ("(|(|(cn=bo*)(sn=bo*))(mail=bo*)(displayName=bo*)(|(fileAs=bo*)(&(!(fileAs=*))(sn=bo*))))", &["bob"]),
        ("(cn=*)", &["ann", "bob", "carol", "dave", "juergen", "star"]),
        ("(&(objectClass=*)(mail=ann*))", &["ann"]),
    ]);
    let mut client = Server::shared().anonymous();
    let names = [
        "supportedControl",
        "supportedExtension",
        "supportedFeatures",
        "supportedLDAPVersion",
        "subschemaSubentry",
        "schemaNamingContext",
    ];
    let root = client.search(&Search::base("").filter("(objectclass=*)").attributes(&names)).single();
    let subschema = root.value("subschemaSubentry");
    let search = Search::base(&subschema).filter("(objectClass=subschema)").attributes(&["objectClasses"]);
    let entry = client.search(&search).single();
    let knows = entry.values("objectClasses").iter().any(|value| value.contains("'evolutionPerson'"));
    // Ours ships the schema, so that Evolution shows all its fields.
    assert_eq!(knows, Subject::current().pick(true, false));
    // Abandon after each finished search.
    let id = client.send(&Search::subtree(SUFFIX, "(mail=ann*)").encode());
    client.found_for(id).expect(code::SUCCESS);
    client.send(&crate::support::request::abandon(id));
    client.search(&Search::base("")).expect(code::SUCCESS);
}

#[test]
fn kaddressbook() {
    finds(&[(
        "(&(|(objectclass=person)(objectclass=groupOfNames)(mail=*))(|(cn=ann*)(mail=ann*)(givenName=ann*)(sn=ann*)))",
        &[],
    )]);
    let filter =
        "(&(|(objectclass=person)(objectclass=groupOfNames)(mail=*))(|(cn=ann*)(mail=ann*)(givenName=ann*)(sn=ann*)))";
    assert_eq!(Server::shared().admin().names(PEOPLE, filter), ["ann"]);
}

#[test]
fn roundcube_and_sogo() {
    finds(&[
        ("(objectClass=inetOrgPerson)", &["ann", "bob", "carol", "dave", "juergen", "star"]),
        ("(&(objectClass=inetOrgPerson)(|(mail=*bob*)(cn=*bob*)))", &["bob"]),
        ("(objectClass=groupOfNames)", &["everybody", "staff", "unix"]),
        ("(|(uid=bob)(mail=bob))", &["bob"]),
        ("(&(cn='*')(sn=*))", &[]),
    ]);
    // Roundcube looks for 389's VLV entries; nothing there is an answer, not a failure.
    let mut client = Server::shared().admin();
    let found = client.search(&Search::subtree("cn=config", "(objectclass=vlvsearch)"));
    found.outcome.expect_one_of(&[code::NO_SUCH_OBJECT, code::SUCCESS]);
    let search =
        Search::base(SUFFIX).scope(1).filter("(objectClass=organizationalUnit)").attributes(&["ou", "numSubordinates"]);
    client.search(&search).expect(code::SUCCESS);
}

#[test]
fn outlook_phones_and_scanners() {
    finds(&[
        ("(|(cn=bob*)(mail=bob*)(sn=bob*)(givenName=bob*))", &["bob"]),
        ("(&(mail=*)(|(cn=bob*)(sn=bob*)))", &["bob"]),
        ("(|(givenname=ann)(sn=ann)(cn=ann)(mail=ann))", &["ann"]),
        ("(|(cn=smi*)(sn=smi*))", &["carol"]),
        ("(|(telephoneNumber=+1555*)(mobile=+1555*)(ipPhone=+1555*))", &["ann", "bob"]),
        ("(|(telephoneNumber=+15550101)(mobile=+15550101)(ipPhone=+15550101))", &["bob"]),
        ("(|(cn=c*)(sn=c*)(mail=c*))", &["carol"]),
    ]);
    let names = [
        "cn",
        "commonName",
        "mail",
        "rfc822Mailbox",
        "givenname",
        "sn",
        "co",
        "company",
        "department",
        "title",
        "info",
        "telephoneNumber",
        "physicalDeliveryOfficeName",
        "homePhone",
        "mobile",
        "pager",
        "secretary",
        "manager",
        "legacyExchangeDN",
        "proxyAddresses",
        "userCertificate;binary",
        "userSMIMECertificate",
    ];
    let mut client = Server::shared().anonymous();
    let search = Search::subtree(SUFFIX, "(|(cn=ann*)(mail=ann*))").attributes(&names).size_limit(100).time_limit(30);
    let entry = client.search(&search).single();
    assert_eq!(entry.value("givenName"), "Ann");
    // A scanner takes ten and is content with result 4.
    let found = client.search(&Search::subtree(PEOPLE, "(|(cn=*)(sn=*)(mail=*))").size_limit(2));
    assert_eq!(found.expect(code::SIZE_LIMIT_EXCEEDED).entries.len(), 2);
    // Ambiguous name resolution is Active Directory's; elsewhere it is an attribute that nobody knows.
    assert!(client.names(PEOPLE, "(&(anr=ann)(mail=*))").is_empty() || !Subject::current().is_slapd());
}

#[test]
fn sssd() {
    finds(&[
        ("(&(uid=bob)(objectClass=posixAccount)(&(uidNumber=*)(!(uidNumber=0))))", &["bob"]),
        ("(&(uid=ann)(objectClass=posixAccount)(&(uidNumber=*)(!(uidNumber=0))))", &[]),
        ("(&(objectClass=posixAccount)(uid=*)(uidNumber=*)(gidNumber=*))", &["bob", "carol"]),
        ("(&(objectClass=posixAccount)(uid=*)(uidNumber=*)(gidNumber=*)(entryUSN>=5)(!(entryUSN=5)))", &[]),
        ("(&(memberUid=bob)(objectClass=posixGroup)(cn=*)(&(gidNumber=*)(!(gidNumber=0))))", &["unix"]),
        ("(&(objectClass=sudoRole)(|(&(!(sudoHost=*))(cn=defaults))(sudoHost=ALL)(sudoHost=host)(sudoHost=+*)))", &[]),
    ]);
    let names = [
        "objectClass",
        "uid",
        "userPassword",
        "uidNumber",
        "gidNumber",
        "gecos",
        "homeDirectory",
        "loginShell",
        "krbPrincipalName",
        "cn",
        "memberOf",
        "modifyTimestamp",
        "modifyTimestamp",
        "shadowLastChange",
        "nsAccountLock",
        "pwdAttribute",
        "objectClass",
        "sshPublicKey",
        "userCertificate;binary",
        "mail",
    ];
    let mut client = Server::shared().admin();
    let search = Search::subtree(SUFFIX, "(&(uid=bob)(objectclass=posixAccount))").attributes(&names);
    let entry = client.with(Control::paged(1000, b"")).search(&search).single();
    assert_eq!(entry.value("homeDirectory"), "/home/bob");
}

#[test]
fn nslcd_and_mail_servers() {
    finds(&[
        ("(&(objectClass=posixAccount)(uid=carol))", &["carol"]),
        ("(&(objectClass=posixAccount)(uidNumber=1001))", &["bob"]),
        (&format!("(&(objectClass=posixGroup)(|(memberUid=carol)(member={BOB})))"), &["unix"]),
        ("(&(objectClass=inetOrgPerson)(|(mail=ann@example.com)(uid=ann)))", &["ann"]),
        ("(mailacceptinggeneralid=ann@example.com)", &[]),
        ("(&(objectClass=inetOrgPerson)(uid=bob))", &["bob"]),
        ("(uid=bob)", &["bob"]),
    ]);
}

#[test]
fn keycloak_and_single_sign_on() {
    finds(&[
        ("(&(uid=ann)(objectclass=inetOrgPerson)(objectclass=organizationalPerson))", &["ann"]),
        (
            "(|(createTimestamp>=20200101000000.0Z)(modifyTimestamp>=20200101000000.0Z))",
            &["ann", "bob", "carol", "dave", "juergen", "people", "star"],
        ),
        ("(|(createTimestamp>=20990101000000.0Z)(modifyTimestamp>=20990101000000.0Z))", &[]),
        ("(&(objectClass=person)(|(uid=ann)(mail=ann)))", &["ann"]),
        (&format!("(&(objectClass=groupOfNames)(member={ANN}))"), &["staff"]),
        (
            "(&(|(uid=ann@example.com)(mail=ann@example.com))(|(objectClass=inetOrgPerson)(objectClass=organizationalPerson)))",
            &["ann"],
        ),
        (
            &format!(
                "(&(|(member={ANN})(uniqueMember={ANN}))(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)\
            (objectClass=groupOfMembers))(!(pwdReset=TRUE)))"
            ),
            &["staff", "unique"],
        ),
        ("(&(|(objectclass=inetOrgPerson))(|(uid=ann)(|(mailPrimaryAddress=ann)(mail=ann))))", &["ann"]),
        ("(&(objectClass=posixGroup)(memberUid=bob))", &["unix"]),
        ("(&(objectClass=person)(uid=ann)(memberOf=cn=nobody,dc=example,dc=com))", &[]),
    ]);
    let mut client = Server::shared().admin();
    // Vault: the largest size there is.
    let found = client.search(&Search::subtree(PEOPLE, "(cn=Ann Example)").size_limit(i64::from(i32::MAX)));
    assert_eq!(found.expect(code::SUCCESS).names(), ["ann"]);
    // Gitea: empty names among the attributes, and the user's own name as base of a subtree.
    let search = Search::subtree(ANN, "(uid=ann)").attributes(&["uid", "", "", "mail", "", "jpegPhoto"]);
    assert_eq!(client.search(&search).single().names(), ["jpegPhoto", "mail", "uid"]);
    // Nextcloud: all the names an identity may have, and `dn`.
    let search = Search::subtree(SUFFIX, "(uid=ann)").attributes(&[
        "dn",
        "entryuuid",
        "nsuniqueid",
        "objectguid",
        "guid",
        "ipauniqueid",
        "primaryGroupToken",
    ]);
    assert_eq!(client.search(&search).single().bytes("entryUUID").len(), 1);
}

/// Active Directory's rule for members of members (MS-ADTS 3.1.1.3.4.4.3), which slapd does not have.
#[test]
fn group_by_nested_membership() {
    let mut client = Server::shared().admin();
    let filter = format!("(member:{}:={ANN})", oid::IN_CHAIN);
    let expected: &[&str] = Subject::current().pick(&["everybody", "staff"], &[]);
    assert_eq!(client.names(GROUPS, &filter), expected);
    let filter = format!("(memberof:{}:=cn=everybody,{GROUPS})", oid::IN_CHAIN);
    let expected: &[&str] = Subject::current().pick(&["ann", "bob", "carol"], &[]);
    assert_eq!(client.names(PEOPLE, &filter), expected);
}

/// Apache: search, bind as the user, bind as the service, compare the group.
#[test]
fn apache_authentication() {
    let mut client = Server::shared().admin();
    let search = Search::subtree(SUFFIX, "(&(objectClass=inetOrgPerson)(uid=bob))").deref(3);
    let dn = client.search(&search).expect(code::SUCCESS).entries[0].dn.clone();
    client.bind(&dn, "bob-secret").expect(code::SUCCESS);
    client.bind("cn=admin,dc=example,dc=com", "admin-secret").expect(code::SUCCESS);
    client.compare(&format!("cn=staff,{GROUPS}"), "member", &dn).expect(code::COMPARE_TRUE);
}

/// FreeRADIUS reads memberOf at the user's entry; ldapsh asks hasSubordinates per listing.
#[test]
fn base_reads_of_operational_attributes() {
    let mut client = Server::shared().admin();
    let entry =
        client.read_attributes(BOB, &["memberOf", "hasSubordinates", "numSubordinates", "subordinateCount", "ref"]);
    assert_eq!(entry.value("hasSubordinates"), "FALSE");
}

/// ldapsearch reads what it is asked for by any rule of spelling.
#[test]
fn go_ldap_and_ldapts_attribute_lists() {
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(ANN, &["uid", "mail", "", "MEMBEROF", "dn"]);
    assert!(entry.has("uid") && entry.has("mail"), "{entry:?}");
}
