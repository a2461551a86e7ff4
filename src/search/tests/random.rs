//! Random companies and filters: plans find exactly what judging every entry finds.

use super::*;

const NAMES: [&str; 8] = ["Ann", "Anna", "Bob", "Strauß", "Özil", "李小龙", "a", "An na"];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::collection::vec(prop::sample::select(&NAMES[..]), 1..3).prop_map(|words| words.join(" ")),
        1 => (0_usize..3).prop_map(|n| format!("{}{}", "ab".repeat(2_100), NAMES[n])),
        1 => (0_usize..3).prop_map(|n| format!("{}{}", "cd".repeat(192), NAMES[n])),
    ]
}

/// A leaf's right side or a value in a link: the name of one of the people.
#[derive(Clone, Debug)]
struct Being {
    cn: Vec<String>,
    title: Vec<String>,
    description: Option<String>,
    german: Option<String>,
    number: Option<u8>,
    links: Vec<usize>,
    below: bool,
    crowd: usize,
}

fn being() -> impl Strategy<Value = Being> {
    (
        prop::collection::vec(value(), 0..3),
        prop::collection::vec(value(), 0..3),
        prop::option::of(value()),
        prop::option::of(value()),
        prop::option::of(0_u8..4),
        prop::collection::vec(0_usize..12, 0..3),
        any::<bool>(),
        prop_oneof![9 => Just(0_usize), 1 => Just(70)],
    )
        .prop_map(|(cn, title, description, german, number, links, below, crowd)| Being {
            cn,
            title,
            description,
            german,
            number,
            links,
            below,
            crowd,
        })
}

fn name(n: usize) -> String {
    format!("cn=n{n},ou=people,{SUFFIX}")
}

fn leaf() -> impl Strategy<Value = String> {
    let attribute =
        prop::sample::select(vec!["cn", "name", "title", "description", "cn;lang-de", "memberUid", "l", "bogus"]);
    let part = prop_oneof![
        prop::sample::select(vec![
            "a", "n", "an", "nn", "ann", "na", "ß", "ss", "ö", "小", "小龙", "bab", "dcdc", "n a"
        ])
        .prop_map(str::to_owned),
        value(),
    ];
    prop_oneof![
        (attribute.clone(), value()).prop_map(|(a, v)| format!("({a}={v})")),
        (attribute.clone(), part.clone(), part.clone(), part, 1_u8..8).prop_map(|(a, i, m, l, bits)| {
            let side = |bit: u8, text: String| if bits & bit == 0 { String::new() } else { text };
            format!("({a}={}*{}{})", side(1, i), side(2, format!("{m}*")), side(4, l))
        }),
        (attribute.clone(), value()).prop_map(|(a, v)| format!("({a}~={v})")),
        attribute.prop_map(|a| format!("({a}=*)")),
        (prop::sample::select(vec!["=", ">=", "<="]), 0_u8..4).prop_map(|(o, n)| format!("(gidNumber{o}{n})")),
        (prop::sample::select(vec!["manager", "member", "memberOf", "isMemberOf", "entryDN"]), 0_usize..14)
            .prop_map(|(a, n)| format!("({a}={})", name(n))),
        (prop::sample::select(vec!["manager", "member", "memberOf"]), 0_usize..12)
            .prop_map(|(a, n)| format!("({a}:1.2.840.113556.1.4.1941:={})", name(n))),
        (0_u8..20).prop_map(|n| format!("(entryUUID={})", EntryUuid([n; 16]))),
        Just("(objectClass=*)".to_owned()),
        Just("(objectClass=person)".to_owned()),
        Just("(member=*)".to_owned()),
        (0_usize..14).prop_map(|n| format!("(:distinguishedNameMatch:={})", name(n))),
        Just("(memberOf=*)".to_owned()),
        Just("(isMemberOf=*)".to_owned()),
        prop::sample::select(vec!["5501099", "05501099", "155501099", "+155501099", "555"])
            .prop_map(|n| format!("(telephoneNumber={n})")),
        (0_u8..70).prop_map(|n| format!("(memberUid=user{n})")),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|all| format!("(&{})", all.concat())),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|any| format!("(|{})", any.concat())),
            inner.prop_map(|one| format!("(!{one})")),
        ]
    })
}

fn distinct(mut values: Vec<&str>) -> Vec<&str> {
    values.sort_unstable();
    values.dedup();
    values
}

fn populate(company: &Company, beings: &[Being]) -> Vec<EntryId> {
    let mut ids = Vec::new();
    for (n, being) in beings.iter().enumerate() {
        let parent = if being.below && n > 0 { name(n - 1) } else { format!("ou=people,{SUFFIX}") };
        let dn = if being.below && n > 0 && !beings[n - 1].below { format!("cn=n{n},{parent}") } else { name(n) };
        let own = format!("n{n}");
        let names: Vec<&str> = std::iter::once(own.as_str()).chain(being.cn.iter().map(String::as_str)).collect();
        let names = distinct(names);
        let titles = distinct(being.title.iter().map(String::as_str).collect());
        let links: Vec<String> = being.links.iter().map(|n| name(*n)).collect();
        let links = distinct(links.iter().map(String::as_str).collect());
        let number = being.number.map(|number| number.to_string());
        let crowd: Vec<String> = (0..being.crowd).map(|n| format!("user{n}")).collect();
        let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
        let mut attributes: Vec<(&str, &[&str])> =
            vec![("objectClass", &["inetOrgPerson"]), ("cn", &names), ("title", &titles)];
        let single = being.description.as_deref().map(|text| [text]);
        attributes.extend(single.as_ref().map(|text| ("description", &text[..])));
        let german = being.german.as_deref().map(|text| [text]);
        attributes.extend(german.as_ref().map(|text| ("cn;lang-de", &text[..])));
        let number = number.as_deref().map(|text| [text]);
        attributes.extend(number.as_ref().map(|text| ("gidNumber", &text[..])));
        attributes.push((if n % 2 == 0 { "member" } else { "manager" }, &links));
        attributes.push(("memberUid", &crowd));
        let account = format!("user{n}");
        let account = [account.as_str()];
        attributes.push(("uid", &account));
        let telephone = ["+1 (555) 010-99", "555-01099", "+49 155501099"];
        attributes.push(("telephoneNumber", telephone.get(n % 4..=n % 4).unwrap_or_default()));
        let members = format!("ldap:///ou=people,{SUFFIX}??sub?(gidNumber>={n})");
        let members = [members.as_str()];
        if n % 5 == 4 {
            attributes.push(("memberURL", &members));
        }
        attributes.retain(|(_, values)| !values.is_empty());
        ids.push(company.add(&dn, &attributes));
    }
    ids
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_indexed_search_finds_what_a_look_at_every_entry_finds(
        beings in prop::collection::vec(being(), 1..12),
        filters in prop::collection::vec(filter(), 24),
        removed in prop::collection::vec((0_usize..12, any::<bool>()), 0..4),
        work_max in 1_u32..40,
        ordered in any::<bool>(),
    ) {
        let company = Company::empty();
        let ids = populate(&company, &beings);
        for (n, german) in removed {
            let Some(being) = beings.get(n) else { continue };
            if let (true, Some(value)) = (german, &being.german) {
                company.set(ids[n], "cn;lang-de", value, false);
            } else if let Some(value) = being.cn.first() {
                company.set(ids[n], "cn", value, false);
            }
        }
        let snapshot = company.dit.read().unwrap();
        let view = snapshot.view();
        let last = *ids.last().unwrap();
        for filter in &filters {
            let compiled = Arc::new(compile(view, filter).with_searched_members(view.catalog().schema()));
            for base in [EntryId(1), EntryId(2), ids[0]] {
                for scope in [Scope::Base, Scope::OneLevel, Scope::Subtree, Scope::Subordinate] {
                    let mut expected = Vec::new();
                    for id in (1..=last.0).map(EntryId) {
                        let entry = view.entry(id).unwrap().unwrap();
                        let inside = match scope {
                            Scope::Base => id == base,
                            Scope::OneLevel => view.superior(&entry) == base,
                            Scope::Subtree => view.is_within(id, base).unwrap(),
                            Scope::Subordinate => id != base && view.is_within(id, base).unwrap(),
                        };
                        if inside && evaluate(&compiled, view, &entry, &AllSearchable).unwrap().is_true() {
                            expected.push(id);
                        }
                    }
                    let options = RunOptions { work_max, ordered, wanted: Some(1), ..RunOptions::new(scope) };
                    let run = SearchRun::new(view, base, Arc::clone(&compiled), options).unwrap();
                    let mut found = drain(&company.dit, run);
                    if ordered {
                        prop_assert!(found.is_sorted());
                    }
                    found.sort_unstable();
                    prop_assert_eq!(&found, &expected, "{} {:?} below {:?}", filter, scope, base);
                }
            }
        }
    }
}
