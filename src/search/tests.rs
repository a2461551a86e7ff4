//! Searches over a small company: what an index finds is what looking at every entry finds.

use super::*;
use crate::clock::Clock;
use crate::dit::{Committed, Dit, Entry, Options, Target, View, Writer, Writing, birth_deltas, value_of};
use crate::model::{AttributeDescription, DerefAliases, Dn, EntryUuid, Filter, Scope};
use crate::schema::{AttributeTypeIndex, Schema};
use crate::state::Delta;
use crate::storage::EntryId;
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::channel;

const SUFFIX: &str = "dc=example,dc=com";

struct Company {
    dit: Arc<Dit>,
    writer: Writer,
    next: Cell<u8>,
    _folder: tempfile::TempDir,
}

impl Company {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { durable: false, ..Options::new(folder.path()) };
        let dit = Dit::open(options, Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000)).unwrap();
        let dit = Arc::new(dit);
        let (writer, _) = Writer::start(Arc::clone(&dit), 16).unwrap();
        let company = Self { dit, writer, next: Cell::new(1), _folder: folder };
        company.add(SUFFIX, &[("objectClass", &["domain"]), ("dc", &["example"])]);
        company.add(&format!("ou=people,{SUFFIX}"), &[("objectClass", &["organizationalUnit"]), ("ou", &["people"])]);
        company.add(&format!("ou=groups,{SUFFIX}"), &[("objectClass", &["organizationalUnit"]), ("ou", &["groups"])]);
        company
    }

    /// Ann manages Bob manages Cem; all are in `staff`, Ann also in `board`; `staff` is in `everybody`.
    fn new() -> Self {
        let company = Self::empty();
        company.person("Ann Lee", &[("mail", &["ann@example.com", "a.lee@example.com"]), ("sn;lang-de", &["Lehe"])]);
        company
            .person("Bob Straße", &[("manager", &[&person("Ann Lee")]), ("telephoneNumber", &["+49 30 (123) 45-6"])]);
        company.person("Cem Özil", &[("manager", &[&person("Bob Straße")]), ("employeeNumber", &["17"])]);
        let staff = [person("Ann Lee"), person("Bob Straße"), person("Cem Özil")];
        let staff: Vec<&str> = staff.iter().map(String::as_str).collect();
        company.group("staff", &staff);
        company.group("board", &[&person("Ann Lee")]);
        company.group("everybody", &[&format!("cn=staff,ou=groups,{SUFFIX}")]);
        company
    }

    fn write<T: Send + 'static>(&self, work: impl FnOnce(&mut Writing<'_>) -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        self.writer
            .submit(Box::new(move |writing| {
                let outcome = work(writing);
                Ok(Box::new(move |committed: Committed<'_>| {
                    committed.unwrap();
                    answer.send(outcome).unwrap();
                }))
            }))
            .unwrap();
        answered.recv().unwrap()
    }

    fn add(&self, dn: &str, attributes: &[(&str, &[&str])]) -> EntryId {
        let uuid = EntryUuid([self.next.get(); 16]);
        self.next.set(self.next.get() + 1);
        let dn = Dn::parse(dn).unwrap();
        let attributes: Vec<(AttributeDescription, Vec<Vec<u8>>)> = attributes
            .iter()
            .map(|(name, values)| {
                let values = values.iter().map(|value| value.as_bytes().to_vec()).collect();
                (AttributeDescription::parse(name).unwrap(), values)
            })
            .collect();
        self.write(move |writing| {
            let attributes: Vec<_> =
                attributes.into_iter().map(|(name, values)| (writing.intern(&name).unwrap(), values)).collect();
            let parent = writing.view().resolve(&dn).unwrap().matched.unwrap_or(EntryId::NONE);
            let deltas = birth_deltas(writing, &dn, parent, &attributes).unwrap();
            writing.change(Target::New(uuid), "cn=test", deltas).unwrap().0
        })
    }

    fn set(&self, id: EntryId, name: &str, value: &str, present: bool) {
        let (name, value) = (AttributeDescription::parse(name).unwrap(), value.to_owned());
        self.write(move |writing| {
            let attribute = writing.intern(&name).unwrap();
            let view = writing.view();
            let (key, value) = value_of(&view, view.catalog().attribute(attribute).unwrap(), value.as_bytes()).unwrap();
            let delta = Delta::Cell { attribute, key, order: 0, present, value };
            writing.change(Target::Existing(id), "cn=test", vec![delta]).unwrap();
        });
    }

    fn person(&self, name: &str, more: &[(&str, &[&str])]) -> EntryId {
        let values = [name];
        let last = [name.split(' ').next_back().unwrap()];
        let mut attributes: Vec<(&str, &[&str])> =
            vec![("objectClass", &["inetOrgPerson"]), ("cn", &values), ("sn", &last)];
        attributes.extend_from_slice(more);
        self.add(&person(name), &attributes)
    }

    fn group(&self, name: &str, members: &[&str]) -> EntryId {
        let dn = format!("cn={name},ou=groups,{SUFFIX}");
        self.add(&dn, &[("objectClass", &["groupOfNames"]), ("cn", &[name]), ("member", members)])
    }

    fn search(&self, base: &str, options: RunOptions, filter: &str) -> Vec<String> {
        let snapshot = self.dit.read().unwrap();
        let view = snapshot.view();
        let compiled = compile(view, filter);
        let Base::Entry(base) = find_base(view, &Dn::parse(base).unwrap(), DerefAliases::Always, true).unwrap() else {
            panic!("no base {base}");
        };
        let run = SearchRun::new(view, base, Arc::new(compiled), options).unwrap();
        let mut names: Vec<String> = drain(&self.dit, run).into_iter().map(|id| rdn(view, id)).collect();
        names.sort_unstable();
        names
    }

    /// Names (RDNs) found in the whole tree, sorted.
    fn find(&self, filter: &str) -> Vec<String> {
        self.search(SUFFIX, RunOptions::new(Scope::Subtree), filter)
    }

    fn assert_found(&self, filter: &str, names: &[&str]) {
        assert_eq!(self.find(filter), names, "{filter}");
    }
}

fn person(name: &str) -> String {
    format!("cn={name},ou=people,{SUFFIX}")
}

fn rdn(view: View<'_>, id: EntryId) -> String {
    String::from_utf8_lossy(view.entry(id).unwrap().unwrap().record.rdn()).into_owned()
}

fn compile(view: View<'_>, filter: &str) -> CompiledFilter {
    CompiledFilter::compile(view.catalog().schema(), &Filter::parse(filter).unwrap())
}

/// Runs to the end, with a new snapshot after each yield.
fn drain(dit: &Dit, mut run: SearchRun) -> Vec<EntryId> {
    let mut found = Vec::new();
    loop {
        let snapshot = dit.read().unwrap();
        let mut walk = run.walk(snapshot.view(), &AllSearchable).unwrap();
        loop {
            match walk.next().unwrap() {
                Step::Entry(entry) => found.push(entry.id),
                Step::Reference(_) => {}
                Step::Yield => break,
                Step::LookthroughExceeded => panic!("no limit was set"),
                Step::Done => return found,
            }
        }
    }
}

#[test]
fn equality_ignores_case_blanks_and_writing() {
    let company = Company::new();
    company.assert_found("(cn=ANN  lee)", &["cn=Ann Lee"]);
    company.assert_found("(cn=bob STRASSE)", &["cn=Bob Straße"]);
    company.assert_found("(2.5.4.3=cem o\u{308}zil)", &["cn=Cem Özil"]);
    company.assert_found("(telephoneNumber=+493012345 6)", &["cn=Bob Straße"]);
    company.assert_found("(cn=nobody)", &[]);
}

#[test]
fn a_supertype_finds_its_subtypes_and_an_option_only_itself() {
    let company = Company::new();
    company.assert_found("(name=ann lee)", &["cn=Ann Lee"]);
    company.assert_found("(sn=lehe)", &["cn=Ann Lee"]);
    company.assert_found("(sn;lang-de=lehe)", &["cn=Ann Lee"]);
    company.assert_found("(sn;lang-de=lee)", &[]);
    company.assert_found("(sn;lang-de=*)", &["cn=Ann Lee"]);
}

#[test]
fn a_value_stays_found_when_its_twin_with_an_option_goes() {
    let company = Company::new();
    let dee = company.person("Dee", &[("cn;lang-de", &["Dee"])]);
    company.set(dee, "cn;lang-de", "Dee", false);
    for filter in ["(cn=dee)", "(cn=de*)", "(cn=*dee*)", "(&(cn=*)(sn=dee))"] {
        company.assert_found(filter, &["cn=Dee"]);
    }
    assert!(company.find("(cn=*)").contains(&"cn=Dee".to_owned()));
}

#[test]
fn substrings_are_found_at_every_length() {
    let company = Company::new();
    for filter in ["(cn=ann*)", "(cn=*n l*)", "(cn=*lee)", "(cn=a*e*e)", "(cn=*ee)", "(mail=*a.l*)", "(mail=*.le*)"] {
        company.assert_found(filter, &["cn=Ann Lee"]);
    }
    company.assert_found("(cn=*z*)", &["cn=Cem Özil"]);
    company.assert_found("(cn=*öz*)", &["cn=Cem Özil"]);
    company.assert_found("(cn=*trass*)", &["cn=Bob Straße"]);
    company.assert_found("(description=*trass*)", &[]);
}

#[test]
fn a_value_too_long_for_pieces_and_keys_is_still_found() {
    let company = Company::new();
    let long = format!("{}needle{}", "x".repeat(5_000), "y".repeat(300));
    company.person("Dee Long", &[("title", &[&long]), ("description", &[&long])]);
    for name in ["title", "description"] {
        company.assert_found(&format!("({name}=*needle*)"), &["cn=Dee Long"]);
        company.assert_found(&format!("({name}=*yyy)"), &["cn=Dee Long"]);
        company.assert_found(&format!("({name}={long})"), &["cn=Dee Long"]);
        company.assert_found(&format!("({name}={}*)", "x".repeat(4_500)), &["cn=Dee Long"]);
        company.assert_found(&format!("({name}=*ne*)"), &["cn=Dee Long"]);
    }
}

#[test]
fn undefined_items_match_neither_way() {
    let company = Company::new();
    for filter in [
        "(noSuchAttribute=x)",
        "(!(noSuchAttribute=x))",
        "(&(cn=ann lee)(noSuchAttribute=*))",
        "(employeeNumber:noSuchRule:=1)",
        "(!(objectClass>=x))",
        "(manager=not a name)",
        "(|)",
        "(createTimestamp>=soon)",
    ] {
        company.assert_found(filter, &[]);
    }
    company.assert_found("(|(cn=ann lee)(noSuchAttribute=*))", &["cn=Ann Lee"]);
    assert_eq!(company.find("(&)").len(), 9);
    assert_eq!(company.find("(objectClass=*)").len(), 9);
    assert_eq!(company.find("(!(objectClass=groupOfNames))").len(), 6);
}

#[test]
fn links_are_compared_by_whom_they_name() {
    let company = Company::new();
    let ann = "CN=ANN LEE, OU=people,dc=example,dc=com";
    company.assert_found(&format!("(manager={ann})"), &["cn=Bob Straße"]);
    company.assert_found(&format!("(member={ann})"), &["cn=board", "cn=staff"]);
    company.assert_found(&format!("(&(objectClass=groupOfNames)(!(member={ann})))"), &["cn=everybody"]);
    company.assert_found("(manager=cn=gone,dc=example,dc=com)", &[]);
    company.person("Eve", &[("manager", &["cn=Gone,dc=example,dc=com"])]);
    company.assert_found("(manager=cn=gone,dc=example,dc=com)", &["cn=Eve"]);
}

#[test]
fn membership_is_computed_and_goes_through_groups() {
    let company = Company::new();
    let group = |name: &str| format!("cn={name},ou=groups,{SUFFIX}");
    let all = ["cn=Ann Lee", "cn=Bob Straße", "cn=Cem Özil"];
    company.assert_found(&format!("(memberOf={})", group("staff")), &all);
    company.assert_found(&format!("(memberOf={})", group("everybody")), &["cn=staff"]);
    company.assert_found(&format!("(memberOf={})", group("none")), &[]);
    let nested = ["cn=Ann Lee", "cn=Bob Straße", "cn=Cem Özil", "cn=staff"];
    company.assert_found(&format!("(memberOf:1.2.840.113556.1.4.1941:={})", group("everybody")), &nested);
    let not_board = format!("(&(objectClass=person)(!(memberOf={})))", group("board"));
    company.assert_found(&not_board, &["cn=Bob Straße", "cn=Cem Özil"]);
    company.assert_found("(memberOf=*)", &nested);
    let member = format!("(member:1.2.840.113556.1.4.1941:={})", person("Ann Lee"));
    company.assert_found(&member, &["cn=board", "cn=everybody", "cn=staff"]);
    let chain = format!("(manager:1.2.840.113556.1.4.1941:={})", person("Ann Lee"));
    company.assert_found(&chain, &["cn=Bob Straße", "cn=Cem Özil"]);
}

#[test]
fn groups_in_a_circle_end() {
    let company = Company::new();
    let inner = format!("cn=inner,ou=groups,{SUFFIX}");
    let outer = company.group("outer", &[&inner]);
    company.group("inner", &[&format!("cn=outer,ou=groups,{SUFFIX}"), &person("Ann Lee")]);
    // The first was written when the second was not there: it stays a name until it is written again.
    company.set(outer, "member", &inner, true);
    let nested = format!("(memberOf:1.2.840.113556.1.4.1941:=cn=outer,ou=groups,{SUFFIX})");
    company.assert_found(&nested, &["cn=Ann Lee", "cn=inner", "cn=outer"]);
    company.assert_found(&format!("(!{nested})"), {
        &[
            "cn=Bob Straße",
            "cn=Cem Özil",
            "cn=board",
            "cn=everybody",
            "cn=staff",
            "dc=example,dc=com",
            "ou=groups",
            "ou=people",
        ]
    });
}

#[test]
fn computed_attributes_are_searched_like_stored_ones() {
    let company = Company::new();
    company.assert_found("(entryUUID=04040404-0404-0404-0404-040404040404)", &["cn=Ann Lee"]);
    company.assert_found("(entryDN=CN=ann lee,OU=people,DC=example,DC=com)", &["cn=Ann Lee"]);
    company.assert_found("(&(numSubordinates=3)(ou=people))", &["ou=people"]);
    company.assert_found("(&(hasSubordinates=TRUE)(!(dc=*)))", &["ou=groups", "ou=people"]);
    company.assert_found("(structuralObjectClass=domain)", &["dc=example,dc=com"]);
    assert_eq!(company.find("(createTimestamp>=20231114000000Z)").len(), 9);
    assert_eq!(company.find("(modifyTimestamp<=20231113000000Z)").len(), 0);
    assert_eq!(company.find("(!(createTimestamp<=20231113000000Z))").len(), 9);
    assert_eq!(company.find("(subschemaSubentry=cn=Subschema)").len(), 9);
}

#[test]
fn extensible_items_know_rules_the_name_and_all_attributes() {
    let company = Company::new();
    company.assert_found("(cn:caseExactMatch:=Ann Lee)", &["cn=Ann Lee"]);
    company.assert_found("(cn:caseExactMatch:=ann lee)", &[]);
    company.assert_found("(&(sn=*)(ou:dn:=people))", &["cn=Ann Lee", "cn=Bob Straße", "cn=Cem Özil"]);
    company.assert_found("(:caseExactMatch:=Özil)", &["cn=Cem Özil"]);
    company.assert_found(r"(cn:caseIgnoreSubstringsMatch:=a\2alee)", &["cn=Ann Lee"]);
    company.assert_found("(sn~=leah)", &["cn=Ann Lee"]);
}

#[test]
fn each_scope_has_its_entries() {
    let company = Company::new();
    let found = |scope| company.search(&format!("ou=groups,{SUFFIX}"), RunOptions::new(scope), "(objectClass=*)");
    assert_eq!(found(Scope::Base), ["ou=groups"]);
    assert_eq!(found(Scope::OneLevel), ["cn=board", "cn=everybody", "cn=staff"]);
    assert_eq!(found(Scope::Subtree), ["cn=board", "cn=everybody", "cn=staff", "ou=groups"]);
    assert_eq!(found(Scope::Subordinate), ["cn=board", "cn=everybody", "cn=staff"]);
    let top = company.search(SUFFIX, RunOptions::new(Scope::OneLevel), "(objectClass=*)");
    assert_eq!(top, ["ou=groups", "ou=people"]);
    let named = company.search(&format!("ou=groups,{SUFFIX}"), RunOptions::new(Scope::Subtree), "(cn=ann lee)");
    assert!(named.is_empty());
}

#[test]
fn aliases_lead_to_other_places_once() {
    let company = Company::new();
    let alias = |dn: &str, target: &str| {
        company.add(
            dn,
            &[("objectClass", &["alias", "extensibleObject"]), ("cn", &["x"]), ("aliasedObjectName", &[target])],
        );
    };
    alias(&format!("cn=all,ou=groups,{SUFFIX}"), &format!("ou=people,{SUFFIX}"));
    alias(&format!("cn=again,ou=groups,{SUFFIX}"), &person("Ann Lee"));
    alias(&format!("cn=circle,ou=groups,{SUFFIX}"), &format!("cn=circle,ou=groups,{SUFFIX}"));
    let base = format!("ou=groups,{SUFFIX}");
    let mut options = RunOptions::new(Scope::Subtree);
    assert_eq!(company.search(&base, options.clone(), "(sn=*)"), [""; 0]);
    options.deref_in_searching = true;
    assert_eq!(company.search(&base, options.clone(), "(sn=*)"), ["cn=Ann Lee", "cn=Bob Straße", "cn=Cem Özil"]);
    options.scope = Scope::OneLevel;
    assert_eq!(company.search(&base, options, "(|(sn=*)(ou=*))"), ["cn=Ann Lee", "ou=people"]);
    let snapshot = company.dit.read().unwrap();
    let find = |dn: &str| find_base(snapshot.view(), &Dn::parse(dn).unwrap(), DerefAliases::Always, false).unwrap();
    let Base::Entry(ann) = find(&format!("cn=ann lee,cn=all,{base}")) else {
        panic!("an alias on the way is followed")
    };
    assert_eq!(rdn(snapshot.view(), ann), "cn=Ann Lee");
    assert!(matches!(find(&format!("cn=circle,{base}")), Base::AliasProblem { .. }));
    assert!(matches!(find(&format!("cn=none,{base}")), Base::Missing { matched: Some(_) }));
}

#[test]
fn referrals_are_reported_unless_managed() {
    let company = Company::new();
    let dn = format!("ou=elsewhere,{SUFFIX}");
    let attributes: [(&str, &[&str]); 3] =
        [("objectClass", &["referral", "extensibleObject"]), ("ou", &["elsewhere"]), ("ref", &["ldap://other/"])];
    let id = company.add(&dn, &attributes);
    let snapshot = company.dit.read().unwrap();
    let view = snapshot.view();
    let below = Dn::parse(&format!("cn=x,{dn}")).unwrap();
    let found = find_base(view, &below, DerefAliases::Never, false).unwrap();
    assert_eq!(found, Base::Referral { entry: id, missing: 1 });
    for (manage, expected) in [(false, (1, 0)), (true, (0, 1))] {
        let mut options = RunOptions::new(Scope::Subtree);
        options.manage_dsa_it = manage;
        let filter = Arc::new(compile(view, "(ou=elsewhere)"));
        let mut run = SearchRun::new(view, EntryId(1), filter, options).unwrap();
        let mut walk = run.walk(view, &AllSearchable).unwrap();
        let mut counts = (0, 0);
        loop {
            match walk.next().unwrap() {
                Step::Reference(entry) if entry.id == id => counts.0 += 1,
                Step::Entry(entry) if entry.id == id => counts.1 += 1,
                Step::Done => break,
                _ => panic!("nothing else is found"),
            }
        }
        assert_eq!(counts, expected);
    }
}

#[test]
fn looking_through_too_much_without_an_index_is_said() {
    let company = Company::new();
    let snapshot = company.dit.read().unwrap();
    let view = snapshot.view();
    let mut options = RunOptions::new(Scope::Subtree);
    options.lookthrough_max = Some(3);
    let end = |filter: &str| {
        let filter = Arc::new(compile(view, filter));
        let mut run = SearchRun::new(view, EntryId(1), filter, options.clone()).unwrap();
        let mut walk = run.walk(view, &AllSearchable).unwrap();
        loop {
            match walk.next().unwrap() {
                Step::LookthroughExceeded => return false,
                Step::Done => return true,
                _ => {}
            }
        }
    };
    assert!(!end("(!(cn=ann lee))"));
    assert!(end("(objectClass=*)"));
    assert!(end("(&(cn=*)(!(cn=ann lee)))"));
}

struct Without(AttributeTypeIndex);

impl AttributeGate for Without {
    fn searchable(&self, _: &Entry<'_>, attribute: AttributeTypeIndex) -> bool {
        attribute != self.0
    }
}

#[test]
fn an_attribute_that_may_not_be_searched_is_undefined() {
    let company = Company::new();
    let snapshot = company.dit.read().unwrap();
    let view = snapshot.view();
    let mail = view.catalog().schema().attribute_type("mail").unwrap().index;
    let bob = find_base(view, &Dn::parse(&person("Bob Straße")).unwrap(), DerefAliases::Never, false).unwrap();
    let Base::Entry(bob) = bob else { panic!("Bob is there") };
    let bob = view.entry(bob).unwrap().unwrap();
    for (filter, expected) in [
        ("(mail=*)", Truth::Undefined),
        ("(!(mail=*))", Truth::Undefined),
        ("(|(mail=x)(sn=*))", Truth::True),
        ("(&(mail=x)(sn=y))", Truth::False),
        ("(cn=bob*)", Truth::True),
    ] {
        let filter = compile(view, filter);
        assert_eq!(evaluate(&filter, view, &bob, &Without(mail)).unwrap(), expected);
    }
}

#[test]
fn what_is_no_entry_is_judged_by_its_attributes() {
    let schema = Schema::builtin();
    let attribute = |name: &str, value: &str| crate::model::Attribute {
        description: AttributeDescription::parse(name).unwrap(),
        values: vec![value.as_bytes().to_vec()],
    };
    let entry = [attribute("objectClass", "subschema"), attribute("cn", "Subschema")];
    for (filter, expected) in [
        ("(objectClass=*)", Truth::True),
        ("(objectClass=SUBSCHEMA)", Truth::True),
        ("(name=sub*)", Truth::True),
        ("(!(cn=x))", Truth::True),
        ("(sn=x)", Truth::False),
        ("(nothing=x)", Truth::Undefined),
    ] {
        let filter = CompiledFilter::compile(&schema, &Filter::parse(filter).unwrap());
        assert_eq!(evaluate_attributes(&filter, &schema, &entry), expected);
    }
}

#[test]
fn a_run_goes_on_from_an_id() {
    let company = Company::new();
    let snapshot = company.dit.read().unwrap();
    let view = snapshot.view();
    for filter in ["(objectClass=*)", "(sn=*)", "(|(cn=a*)(cn=b*)(cn=c*))", "(cn=*)"] {
        let mut options = RunOptions { ordered: true, ..RunOptions::new(Scope::Subtree) };
        let filter = Arc::new(compile(view, filter));
        let all = drain(&company.dit, SearchRun::new(view, EntryId(1), Arc::clone(&filter), options.clone()).unwrap());
        assert!(all.is_sorted() && all.len() >= 3);
        options.after = Some(all[1]);
        let rest = drain(&company.dit, SearchRun::new(view, EntryId(1), filter, options).unwrap());
        assert_eq!(rest, all[2..]);
    }
}

#[test]
fn long_lists_are_intersected_united_and_resumed() {
    let company = Company::empty();
    let dit = Arc::clone(&company.dit);
    let last = company.write(move |writing| {
        let mut last = EntryId::NONE;
        for n in 0..600_u32 {
            let values = [("objectClass", "person".to_owned()), ("cn", format!("p{n}")), ("sn", "p".to_owned())];
            let more = [("title", format!("t{}", n % 2)), ("l", format!("loc{}", n % 3)), ("o", format!("o{}", n % 5))];
            let attributes: Vec<_> = values
                .into_iter()
                .chain(more)
                .map(|(name, value)| {
                    let name = AttributeDescription::parse(name).unwrap();
                    (writing.intern(&name).unwrap(), vec![value.into_bytes()])
                })
                .collect();
            let dn = Dn::parse(&person(&format!("p{n}"))).unwrap();
            let deltas = birth_deltas(writing, &dn, EntryId(2), &attributes).unwrap();
            let mut uuid = [9; 16];
            uuid[..4].copy_from_slice(&n.to_be_bytes());
            last = writing.change(Target::New(EntryUuid(uuid)), "cn=test", deltas).unwrap().0;
        }
        last
    });
    let snapshot = dit.read().unwrap();
    let view = snapshot.view();
    for filter in [
        "(title=t1)",
        "(&(title=t1)(l=loc2))",
        "(&(title=t0)(l=loc1)(o=o3))",
        "(&(o=o1)(cn=*p1*)(title=t0))",
        "(&(l=*c1)(o=o4))",
        "(&(l=*oc2)(!(o=o4)))",
        "(|(title=t1)(l=loc2))",
        "(|(o=o1)(l=loc0)(cn=p1*))",
        "(&(|(o=o1)(o=o2))(cn=p1*))",
        "(cn=*p1*)",
        "(cn=*9)",
        "(&(cn=p*)(cn>=p3)(cn<=p5))",
        "(&(objectClass=person)(cn=p59*))",
        "(&(o=o1)(l=loc0)(title=gone))",
    ] {
        let compiled = Arc::new(compile(view, filter));
        let expected: Vec<EntryId> = (1..=last.0)
            .map(EntryId)
            .filter(|id| {
                let entry = view.entry(*id).unwrap().unwrap();
                evaluate(&compiled, view, &entry, &AllSearchable).unwrap().is_true()
            })
            .collect();
        for (ordered, work_max, after, wanted) in [
            (false, 7, None, Some(1)),
            (false, 1_000, None, None),
            (true, 50, None, None),
            (true, 90, Some(EntryId(333)), Some(3)),
        ] {
            let options = RunOptions { ordered, work_max, after, wanted, ..RunOptions::new(Scope::Subtree) };
            let mut found = drain(&dit, SearchRun::new(view, EntryId(1), Arc::clone(&compiled), options).unwrap());
            assert!(!ordered || found.is_sorted());
            found.sort_unstable();
            let mut expected = expected.clone();
            expected.retain(|id| *id > after.unwrap_or(EntryId::NONE));
            assert_eq!(found, expected, "{filter} ordered {ordered} after {after:?}");
        }
    }
}

mod random;
mod searched;
