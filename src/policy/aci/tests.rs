//! Rules as real servers hold them, errors as people make them, and printing and parsing as inverse.

use super::*;
use crate::policy::rights::Right;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn parse(text: &str) -> Aci {
    Aci::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn bind(rule: &str) -> BindRule {
    let text = format!("(version 3.0; acl \"x\"; allow (read) {rule};)");
    parse(&text).permissions.remove(0).bind_rule
}

fn error(text: &str) -> AciError {
    Aci::parse(text).expect_err(text)
}

fn bind_error(rule: &str) -> String {
    error(&format!("(version 3.0; acl \"x\"; allow (read) {rule};)")).to_string()
}

/// From the default tree of 389-DS, the guides of Red Hat, Oracle and OpenDJ, and FreeIPA; names changed.
const REAL: &[&str] = &[
    r#"(targetattr="dc || description || objectClass")(targetfilter="(objectClass=domain)")(version 3.0; acl "Enable anyone domain read"; allow (read, search, compare)(userdn="ldap:///anyone");)"#,
    r#"(targetattr="ou || objectClass")(targetfilter="(objectClass=organizationalUnit)")(version 3.0; acl "Enable anyone ou read"; allow (read, search, compare)(userdn="ldap:///anyone");)"#,
    r#"(targetattr="cn || member || gidNumber || nsUniqueId || description || objectClass")(targetfilter="(objectClass=groupOfNames)")(version 3.0; acl "Enable group_admin to manage groups"; allow (write, add, delete)(groupdn="ldap:///cn=group_admin,ou=permissions,dc=example,dc=com");)"#,
    r#"(targetattr="telephoneNumber||mobile")(version 3.0; acl "Enable self partial modify"; allow (write)(userdn="ldap:///self");)"#,
    r#"(targetattr = "*")(version 3.0;acl "Directory Administrators Group";allow (all) (groupdn = "ldap:///cn=Directory Administrators, dc=example,dc=com");)"#,
    r#"(target="ldap:///ou=Social Committee,dc=example,dc=com")(targetattr="*")(targetfilter = "(ou=Social Committee)") (version 3.0; acl "Social"; allow (read,search,compare) (userdn = "ldap:///dc=example,dc=com??sub?(|(ou=eng)(ou=acct))") and (ip = "192.0.2.*" or dns != "*.example.com");)"#,
    r#"(targetattr="member")(version 3.0; acl "Group members"; allow (selfwrite)(userdn= "ldap:///uid=*,ou=people,dc=example,dc=com") ;)"#,
    r#"(targetattr=*)(targetfilter=(o=NetscapeRoot))(version 3.0; acl "Default anonymous access"; allow (read, search) userdn="ldap:///anyone";)"#,
    r#"(target = ldap:///uid=*,ou=people,dc=example,dc=com)(targetattr != "userPassword || aci")(version 3.0; acl "managers"; allow (write) userattr = "manager#USERDN"; deny (write) userattr != "parent[0,1].owner#GROUPDN";)"#,
    r#"(targetattr="*")(version 3.0;acl "Fifth and strong"; allow (all)(userdn="ldap:///all" and (ssf >= "56" or authmethod = "sasl EXTERNAL") and not (timeofday < "0800" and dayofweek="Sun, Sat"));)"#,
    r#"(targetattr="*")(version 3.0; acl "ipv6"; deny (all) ip = "2001:db8::/32,192.168.1.0+255.255.255.0,10.1.2.3";)"#,
    r#"(target="ldap:///ou=Groups,($dn),dc=example,dc=com")(targetattr="*")(targetfilter=(objectClass=nsManagedDomain))(version 3.0; acl "Domain access"; allow (read,search) groupdn="ldap:///cn=DomainAdmins,ou=Groups,[$dn],dc=example,dc=com";)"#,
    r#"(target="ldap:///ou=*,($dn),dc=example,dc=com")(targetfilter="(seeAlso=cn=x,[$dn],dc=example,dc=com)")(targetattr="*")(version 3.0; acl "m"; allow (read) userdn="ldap:///uid=*,ou=($attr.ou),($dn),dc=example,dc=com || ldap:///self";)"#,
    r#"(targattrfilters="add=title:(title=engineer) && mail:(|(mail=*@example.com)(mail=a\2cb)), del=title:(|(title=architect)(title=idiot))")(version 3.0; acl "values"; allow (write) userdn="ldap:///all";)"#,
    r#"(targetcontrol="1.2.840.113556.1.4.319||2.16.840.1.113730.3.4.3")(version 3.0; acl "controls"; allow (read) userdn="ldap:///all";)"#,
    r#"(extop != "1.3.6.1.4.1.4203.1.11.3")(version 3.0; acl "operations"; deny (read) userdn="ldap:///anyone";)"#,
    r#"(extra)"#,
];

#[test]
fn rules_of_real_servers_are_read_and_printed_to_equal_rules() {
    for text in REAL.iter().take(REAL.len() - 1) {
        let aci = parse(text);
        assert_eq!(parse(&aci.to_string()), aci, "{text}");
    }
}

#[test]
fn a_rule_is_printed_in_one_spelling() {
    let text = r#"( TARGETATTR = "cn||sn" ) (version 3.0 ; ACL "n" ; Allow ( ALL,proxy ) ( USERDN="ldap:///SELF" or userdn = "ldap:///uid=Ann,dc=x" and ip="10.0.0.0/8" ) ; )"#;
    let printed = r#"(targetattr = "cn || sn")(version 3.0; acl "n"; allow (all, proxy) (userdn = "ldap:///self" or userdn = "ldap:///uid=Ann,dc=x") and ip = "10.0.0.0/8";)"#;
    assert_eq!(parse(text).to_string(), printed);
}

/// Documented by 389-DS: and, or have no order of precedence, expressions are evaluated from left to right.
#[test]
fn and_or_group_to_the_left_and_not_binds_tighter() {
    let a = r#"ssf = "1""#;
    let b = r#"ssf = "2""#;
    let c = r#"ssf = "3""#;
    let test = |bits| BindRule::Test(BindTest::Ssf(Comparison::Equal, bits));
    assert_eq!(
        bind(&format!("{a} or {b} and {c}")),
        BindRule::And(vec![BindRule::Or(vec![test(1), test(2)]), test(3)])
    );
    assert_eq!(
        bind(&format!("{a} and {b} or {c}")),
        BindRule::Or(vec![BindRule::And(vec![test(1), test(2)]), test(3)])
    );
    assert_eq!(bind(&format!("not {a} and {b}")), BindRule::And(vec![BindRule::Not(Box::new(test(1))), test(2)]));
    assert_eq!(bind(&format!("not ({a} and {b})")), BindRule::Not(Box::new(BindRule::And(vec![test(1), test(2)]))));
    assert_eq!(bind(&format!("{a} and {b} and {c}")), BindRule::And(vec![test(1), test(2), test(3)]));
}

#[test]
fn rights_all_leaves_out_proxy() {
    let rights = |word: &str| {
        parse(&format!("(version 3.0; acl \"x\"; allow ({word}) userdn=\"ldap:///all\";)")).permissions[0].rights
    };
    assert!(!rights("all").contains(Right::Proxy) && rights("all").contains(Right::ModDn));
    assert!(rights("all").contains(Right::SelfWrite) && rights("all").contains(Right::Delete));
    assert_eq!(rights("all, proxy"), Rights::EVERY);
    assert_eq!(rights("import"), rights("moddn"));
    assert_eq!(rights("all,proxy").to_string(), "all, proxy");
    assert_eq!(rights("write , read").to_string(), "read, write");
}

#[test]
fn errors_name_the_place_and_what_may_stand_there() {
    let cases: &[(&str, usize, &str)] = &[
        ("", 0, "expected ( and one of target, targetattr"),
        (
            "(targetatr=\"cn\")",
            1,
            "expected one of target, targetattr, targetfilter, targetscope, targattrfilters, targetcontrol, extop, \
             target_from, target_to, version, found 'targetatr",
        ),
        ("(targetattr \"cn\")", 12, "expected = or !="),
        ("(targetattr=\"cn\"(version", 16, "expected ) to close the target"),
        ("(targetattr=\"c n\")", 13, "'c n' is not an attribute name"),
        ("(targetattr=\"cn;lang-de\")", 13, "covers an attribute with all its options"),
        ("(targetattr=\"\")", 13, "is not an attribute name"),
        ("(targetattr=\"cn\")(targetattr=\"sn\")", 18, "targetattr stands in the rule twice"),
        ("(targattrfilters=\"add=x\")", 18, "expected add=ATTRIBUTE:(FILTER)"),
        ("(targattrfilters=\"put=title:(title=x)\")", 18, "expected add=ATTRIBUTE:(FILTER)"),
        ("(targattrfilters=\"add=title:(title=x), add=sn:(sn=x)\")", 18, "add stands twice"),
        ("(targattrfilters=\"add=title:(cn=x)\")", 18, "must be about title"),
        ("(targattrfilters=\"add=title:(title=x) sn:(sn=x)\")", 18, "expected add=ATTRIBUTE:(FILTER)"),
        ("(targattrfilters!=\"add=title:(title=x)\")", 16, "takes = only"),
        ("(targetcontrol=\"paged\")", 16, "'paged' is no OID"),
        ("(extop=\"1.2..3\")", 8, "'1.2..3' is no OID"),
        ("(target_to=\"ldap:///dc=x\")(target_to=\"ldap:///dc=y\")", 27, "target_to stands in the rule twice"),
        ("(target_from=\"ldap:///ou=a,($dn)\")", 12, "take no macro"),
        ("(target=\"uid=a\")", 9, "expected ldap:///"),
        ("(target=\"ldap:///uid\")", 9, "is not a DN"),
        ("(target=\"ldap:///uid*,dc=x\")", 9, "is not a DN with *"),
        ("(target=\"ldap:///ou=($dn),dc=x\")", 9, "($dn) stands for whole RDNs"),
        ("(target=\"ldap:///ou=a,[$dn],dc=x\")", 9, "a target takes one ($dn)"),
        ("(target=\"ldap:///($dn),ou=*,dc=x\")", 9, "* stands before ($dn) only"),
        ("(targetfilter=\"(cn=a\")", 15, "not a filter"),
        ("(targetscope=\"all\")", 14, "expected one of base, onelevel, subtree, subordinate"),
        ("(version 2.0; ", 9, "expected 3.0"),
        ("(version 3.0; acl x;", 18, "expected a value in quotation marks"),
        ("(version 3.0; acl \"x; allow", 18, "never closed"),
        ("(version 3.0; acl \"x\"; permit (read)", 23, "expected allow or deny, found 'permit"),
        ("(version 3.0; acl \"x\"; allow (reed) ", 30, "one of all, read, search, compare, write"),
        ("(version 3.0; acl \"x\"; allow () ", 30, "expected a right"),
        ("(version 3.0; acl \"x\"; allow (read) ;)", 36, "expected (, not, or one of userdn"),
        (
            "(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///all\")",
            56,
            "expected ; after the bind rule, or and / or",
        ),
        ("(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///all\";) x", 59, "nothing after the rule"),
    ];
    for (text, offset, detail) in cases {
        let error = error(text);
        assert_eq!(error.offset, *offset, "{text}: {error}");
        assert!(error.detail.contains(detail), "{text}: {error}");
    }
    assert_eq!(Aci::parse_bytes(b"(\xff").expect_err("not text").offset, 1);
}

#[test]
fn bind_rules_say_what_they_cannot_take() {
    assert!(bind_error("roledn = \"ldap:///cn=*,dc=x\"").contains("expected a DN without *"));
    assert!(bind_error("roledn > \"ldap:///cn=x\"").contains("roledn takes = or !="));
    assert!(bind_error("userattr = \"manager\"").contains("expected attribute#USERDN"));
    assert!(bind_error("userattr = \"parent[9].manager#USERDN\"").contains("levels from 0 to 4"));
    assert!(bind_error("groupdn = \"ldap:///cn=*,dc=x\"").contains("expected a DN without *"));
    assert!(bind_error("userdn < \"ldap:///all\"").contains("userdn takes = or !="));
    assert!(bind_error("ip = \"10.0.0.0/33\"").contains("is no address"));
    assert!(bind_error("ip = \"\"").contains("is no address"));
    assert!(bind_error("ip = \"10.*.1\"").contains("is no address"));
    assert!(bind_error("dns = \"a b\"").contains("no host name"));
    assert!(bind_error("authmethod = \"kerberos\"").contains("expected one of none, simple"));
    assert!(bind_error("timeofday = \"2460\"").contains("four digits"));
    assert!(bind_error("dayofweek = \"Someday\"").contains("is no day"));
    assert!(bind_error("ssf > \"x\"").contains("number of bits"));
}

/// What macros stand for comes from the target.
#[test]
fn macros_need_a_target_that_says_what_they_stand_for() {
    let rule = |targets: &str, subject: &str| {
        Aci::parse(&format!("{targets}(version 3.0; acl \"x\"; allow (read) {subject};)"))
    };
    let group = r#"groupdn = "ldap:///cn=admins,[$dn],dc=x""#;
    assert!(rule(r#"(target="ldap:///ou=g,($dn),dc=x")"#, group).is_ok());
    let refused = |targets: &str, subject: &str| rule(targets, subject).expect_err(subject).detail;
    assert!(refused("", group).contains("need a target with ($dn)"));
    assert!(refused(r#"(target="ldap:///dc=x")"#, group).contains("need a target with ($dn)"));
    assert!(refused(r#"(targetfilter="(ou=[$dn])")"#, r#"ssf = "1""#).contains("need a target with ($dn)"));
    assert!(refused(r#"(target!="ldap:///($dn),dc=x")"#, group).contains("takes = only"));
    assert!(refused(r#"(target="ldap:///($dn),dc=x")(targetscope="base")"#, group).contains("targetscope"));
    assert!(refused("", r#"userdn = "ldap:///dc=x??sub?(ou=($attr.ou))""#).contains("not supported here"));
    assert!(refused("", r#"userattr = "manager#($dn)""#).contains("not supported here"));
    assert!(refused("", r#"userdn = "ldap:///cn=($attr.)""#).contains("the name of an attribute"));
    assert!(rule("", r#"userdn = "ldap:///uid=($attr.owner uid),dc=x""#).is_err());
    assert!(rule("", r#"userdn = "ldap:///uid=($attr.ou),dc=x""#).is_ok());
}

/// T-05.
#[test]
fn nesting_length_and_number_of_tests_are_bounded() {
    let deep = format!("{}ssf = \"1\"{}", "(".repeat(100_000 / 8), ")".repeat(100_000 / 8));
    assert!(bind_error(&deep).contains("nested deeper"));
    let nots = format!("{} ssf = \"1\"", "not ".repeat(5_000));
    assert!(bind_error(&nots).contains("nested deeper"));
    let long = vec!["ssf = \"1\""; 200].join(" and ");
    assert!(bind_error(&long).contains("more than 128 tests"));
    assert!(error(&"(".repeat(ACI_BYTES_MAX + 1)).detail.contains("at most"));
}

#[test]
fn addresses_are_networks() {
    let BindRule::Test(BindTest::Ip { networks, .. }) =
        bind(r#"ip = "192.0.2.*, 10.1.2.3/8 || 2001:db8::1/32,172.16.0.0+255.240.0.0,198.51.100.7""#)
    else {
        panic!("not an ip test");
    };
    let text: Vec<String> = networks.iter().map(IpNetwork::to_string).collect();
    assert_eq!(text, ["192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "172.16.0.0/12", "198.51.100.7/32"]);
    let fits = |address: &str| networks.iter().any(|network| network.contains(address.parse().unwrap()));
    assert!(fits("192.0.2.255") && fits("10.255.0.1") && fits("::ffff:10.0.0.1") && fits("2001:db8:ffff::"));
    assert!(!fits("192.0.3.1") && !fits("2001:db9::") && !fits("::1") && !fits("198.51.100.8"));
    assert!(IpNetwork::new("0.0.0.0".parse().unwrap(), 0).unwrap().contains("255.1.2.3".parse().unwrap()));
}

#[test]
fn names_of_hosts_that_fit_none_are_reported() {
    let aci = parse(r#"(version 3.0; acl "by host"; allow (read) dns = "*.example.com || ma*.example.com || *x";)"#);
    let warnings = aci.warnings();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("by host") && warnings[0].contains("ma*.example.com"));
    assert!(parse(REAL[0]).warnings().is_empty());
}

/// The rules that come with the server.
#[test]
fn rules_of_the_shipped_ldif_are_read() {
    for ldif in [include_str!("../../../ldif/bootstrap.ldif"), include_str!("../../../ldif/example.ldif")] {
        let unfolded = ldif.replace("\n ", "");
        let rules: Vec<&str> = unfolded.lines().filter_map(|line| line.strip_prefix("aci: ")).collect();
        assert!(rules.len() >= 2);
        for rule in rules {
            parse(rule);
        }
    }
}

fn dn() -> impl Strategy<Value = String> {
    select(vec![
        "dc=example,dc=com",
        "uid=ann,ou=people,dc=example,dc=com",
        "cn=Directory Administrators, dc=example,dc=com",
        "cn=a\\,b+sn=c,dc=x",
        "cn=\\22quoted\\22?,dc=x",
        "cn=50%25 || more,dc=x",
        "cn=trailing\\ ",
        "cn=Ünï\\2A",
        "",
    ])
    .prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = NamePattern> {
    prop_oneof![
        dn().prop_map(NamePattern::Dn),
        select(vec!["uid=*,ou=people,dc=x", "*,dc=x", "*=*,dc=x", "cn=a*b*c,*", "ou=*$*,dc=?"])
            .prop_map(|text| NamePattern::Pattern(text.to_owned())),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    select(vec!["(cn=a)", "(&(cn=a*)(!(sn=b)))", "(|(cn=\\28\\29)(sn=\"x\"))", "(cn=a ||b?%41)"])
        .prop_map(str::to_owned)
}

fn user() -> impl Strategy<Value = UserPattern> {
    prop_oneof![
        Just(UserPattern::Anyone),
        Just(UserPattern::All),
        Just(UserPattern::SelfEntry),
        Just(UserPattern::Parent),
        pattern().prop_map(UserPattern::Name),
        (dn(), scope(), filter()).prop_map(|(base, scope, filter)| UserPattern::Search { base, scope, filter }),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    select(vec![Scope::Base, Scope::OneLevel, Scope::Subtree, Scope::Subordinate])
}

fn network() -> impl Strategy<Value = IpNetwork> {
    prop_oneof![
        (any::<u32>(), 0u8..=32).prop_map(|(bits, prefix)| IpNetwork::new(IpAddr::V4(bits.into()), prefix).unwrap()),
        (any::<u128>(), 0u8..=128).prop_map(|(bits, prefix)| IpNetwork::new(IpAddr::V6(bits.into()), prefix).unwrap()),
    ]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::*;
    select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn bind_test() -> impl Strategy<Value = BindTest> {
    let kind = select(vec![
        UserAttrKind::UserDn,
        UserAttrKind::GroupDn,
        UserAttrKind::RoleDn,
        UserAttrKind::LdapUrl,
        UserAttrKind::Value("Bière \"brune\" #1".into()),
    ]);
    let method = select(vec![
        AuthMethod::None,
        AuthMethod::Simple,
        AuthMethod::Ssl,
        AuthMethod::Sasl(None),
        AuthMethod::Sasl(Some("EXTERNAL".into())),
    ]);
    let levels = prop_oneof![Just(vec![0u8]), subsequence(vec![0u8, 1, 2, 3, 4], 1..=5)];
    let hosts = subsequence(vec!["a.example".to_owned(), "*.b.example".to_owned()], 1..=2);
    prop_oneof![
        (any::<bool>(), vec(user(), 1..4)).prop_map(|(negated, users)| BindTest::UserDn { negated, users }),
        (any::<bool>(), vec(dn().prop_map(NamePattern::Dn), 1..3))
            .prop_map(|(negated, groups)| BindTest::GroupDn { negated, groups }),
        (any::<bool>(), vec(dn().prop_map(NamePattern::Dn), 1..3))
            .prop_map(|(negated, roles)| BindTest::RoleDn { negated, roles }),
        (any::<bool>(), levels, kind).prop_map(|(negated, levels, kind)| BindTest::UserAttr {
            negated,
            levels,
            attribute: "manager".into(),
            kind
        }),
        (any::<bool>(), vec(network(), 1..3)).prop_map(|(negated, networks)| BindTest::Ip { negated, networks }),
        (any::<bool>(), hosts).prop_map(|(negated, hosts)| BindTest::Dns { negated, hosts }),
        (any::<bool>(), method).prop_map(|(negated, method)| BindTest::AuthMethod { negated, method }),
        (comparison(), any::<u32>()).prop_map(|(comparison, bits)| BindTest::Ssf(comparison, bits)),
        (comparison(), 0u16..=1440).prop_map(|(comparison, minutes)| BindTest::TimeOfDay(comparison, minutes)),
        (any::<bool>(), subsequence(Day::ALL.to_vec(), 1..=7))
            .prop_map(|(negated, days)| BindTest::DayOfWeek { negated, days }),
    ]
}

fn bind_rule() -> impl Strategy<Value = BindRule> {
    bind_test().prop_map(BindRule::Test).prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(BindRule::And),
            vec(inner.clone(), 2..4).prop_map(BindRule::Or),
            inner.prop_map(|rule| BindRule::Not(Box::new(rule))),
        ]
    })
}

fn any_aci() -> impl Strategy<Value = Aci> {
    let name = "[^\\\\\"]{0,20}".prop_map(|name| name + "\"quoted\"");
    let place =
        || proptest::option::of((any::<bool>(), pattern()).prop_map(|(negated, name)| Target { negated, name }));
    let target_filter =
        proptest::option::of((any::<bool>(), filter()).prop_map(|(negated, filter)| TargetFilter { negated, filter }));
    let names = subsequence(
        vec![
            AttributePattern::AllUser,
            AttributePattern::AllOperational,
            AttributePattern::Name("cn".into()),
            AttributePattern::Name("2.5.4.4".into()),
            AttributePattern::Wildcard("tele*".into()),
        ],
        1..=5,
    );
    let target_attributes =
        proptest::option::of((any::<bool>(), names).prop_map(|(negated, names)| TargetAttributes { negated, names }));
    let rights = subsequence(Right::ALL.to_vec(), 1..=9).prop_map(Rights::from_iter);
    let permission = (any::<bool>(), rights, bind_rule()).prop_map(|(allow, rights, bind_rule)| Permission {
        effect: if allow { Effect::Allow } else { Effect::Deny },
        rights,
        bind_rule,
    });
    (
        name,
        (place(), place(), place()),
        proptest::option::of(scope()),
        target_filter,
        target_attributes,
        vec(permission, 1..4),
    )
        .prop_map(
            |(name, (target, move_from, move_to), target_scope, target_filter, target_attributes, permissions)| Aci {
                name,
                target,
                move_from,
                move_to,
                target_scope,
                target_filter,
                target_attributes,
                value_filters: None,
                controls: None,
                extended_operations: None,
                permissions,
            },
        )
}

proptest! {
    #[test]
    fn a_printed_rule_reads_as_an_equal_rule(aci in any_aci()) {
        let text = aci.to_string();
        match Aci::parse(&text) {
            Ok(read) => prop_assert_eq!(read, aci, "{}", text),
            Err(error) => prop_assert!(false, "{}: {}", text, error),
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = Aci::parse(&text);
    }

    #[test]
    fn no_damaged_rule_panics_and_what_is_read_prints_to_an_equal_rule(
        index in 0usize..11, at in 0usize..400, length in 0usize..12, put in "[-()\"\\\\;|!=<>*#?%, a-z0-9]{0,6}",
    ) {
        let mut characters: Vec<char> = REAL[index].chars().collect();
        let at = at % characters.len();
        let end = (at + length).min(characters.len());
        characters.splice(at..end, put.chars());
        let text: String = characters.into_iter().collect();
        if let Ok(aci) = Aci::parse(&text) {
            prop_assert_eq!(Aci::parse(&aci.to_string()).ok(), Some(aci), "{}", text);
        }
    }
}
