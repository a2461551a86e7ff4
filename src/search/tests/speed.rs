//! What searches cost, measured on generated entries: run by hand, never by itself.
//!
//! `ENTENTE_SPEED_LDIF=100k.ldif cargo test --profile bench --lib search::tests::speed -- --ignored --nocapture`
//! prints CPU microseconds (of the thread, so that other work on the machine is not counted) for each kind of search.

use super::*;
use crate::dit::BulkLoad;
use crate::model::ldif::{LdifBody, LdifReader, UrlPolicy};
use std::io::BufReader;

fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn load(dit: &Dit, ldif: &str) {
    let reader =
        LdifReader::new(BufReader::with_capacity(1 << 20, std::fs::File::open(ldif).unwrap()), UrlPolicy::Refuse);
    let mut load = BulkLoad::begin(dit).unwrap();
    for (n, record) in reader.enumerate() {
        let record = record.unwrap();
        let LdifBody::Entry(attributes) = record.body else { panic!("entries only") };
        let dn = Dn::parse(&record.dn).unwrap();
        let writing = load.writing();
        let attributes: Vec<_> = attributes
            .into_iter()
            .map(|attribute| (writing.intern(&attribute.description).unwrap(), attribute.values))
            .collect();
        let parent = writing.view().resolve(&dn).unwrap().matched.unwrap_or(EntryId::NONE);
        let deltas = birth_deltas(writing, &dn, parent, &attributes).unwrap();
        let mut uuid = [7; 16];
        uuid[8..].copy_from_slice(&(n as u64 + 1).to_be_bytes());
        load.add(EntryUuid(uuid), "cn=test", deltas).unwrap();
        load = load.turn_over().unwrap();
    }
    load.finish().unwrap();
}

/// Values of an attribute of entries spread over the tree.
fn samples(dit: &Dit, name: &str, count: usize) -> Vec<String> {
    let snapshot = dit.read().unwrap();
    let view = snapshot.view();
    let attribute = view.catalog().find(&AttributeDescription::parse(name).unwrap()).unwrap();
    let values = (0..count as u64).filter_map(|n| {
        let entry = view.entry(EntryId(10 + n * 7_919 % 99_000)).unwrap()?;
        let value = entry.attribute(attribute)?.values().next()?;
        String::from_utf8(value.to_vec()).ok()
    });
    values.collect()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\5c").replace('*', "\\2a").replace('(', "\\28").replace(')', "\\29")
}

fn measure(dit: &Dit, what: &str, limit: usize, filters: &[String]) {
    let schema = Arc::clone(dit.read().unwrap().view().catalog().schema());
    let parsed: Vec<Filter<'static>> = filters.iter().map(|filter| Filter::parse(filter).unwrap()).collect();
    let (mut found, mut examined, mut planning) = (0, 0, 0);
    let mut total = 0;
    for round in 0..2 {
        (found, examined, planning) = (0, 0, 0);
        let begin = cpu_ns();
        for filter in &parsed {
            let snapshot = dit.read().unwrap();
            let view = snapshot.view();
            let compiled = Arc::new(CompiledFilter::compile(&schema, filter));
            let mut options = RunOptions::new(Scope::Subtree);
            options.wanted = Some(limit as u64);
            let before = if round == 1 && filters.len() < 100 { cpu_ns() } else { 0 };
            let mut run = SearchRun::new(view, EntryId(1), compiled, options).unwrap();
            if round == 1 && filters.len() < 100 {
                planning += cpu_ns() - before;
            }
            let mut walk = run.walk(view, &AllSearchable).unwrap();
            let mut count = 0;
            loop {
                match walk.next().unwrap() {
                    Step::Entry(_) => count += 1,
                    Step::Done => break,
                    _ => {}
                }
                if count >= limit {
                    break;
                }
            }
            drop(walk);
            found += count;
            examined += run.examined();
        }
        total = cpu_ns() - begin;
    }
    let each = |sum: u64| sum as f64 / filters.len() as f64 / 1000.0;
    println!(
        "{what:32} {:9.2} us (planning {:6.2}), found {:.1}, looked at {:.1}",
        each(total),
        each(planning),
        found as f64 / filters.len() as f64,
        examined as f64 / filters.len() as f64
    );
}

#[test]
#[ignore = "measures; needs generated entries"]
fn what_searches_cost() {
    let ldif = std::env::var("ENTENTE_SPEED_LDIF").expect("name the LDIF in ENTENTE_SPEED_LDIF");
    let folder = tempfile::tempdir().unwrap();
    let data = std::env::var("ENTENTE_SPEED_DATA").unwrap_or_else(|_| folder.path().to_string_lossy().into_owned());
    let fresh = !std::path::Path::new(&data).join("data.mdb").exists();
    let options = Options { durable: false, ..Options::new(&data) };
    let dit = Dit::open(options, Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000)).unwrap();
    if fresh {
        let begin = cpu_ns();
        load(&dit, &ldif);
        println!("load: {:.1} s", (cpu_ns() - begin) as f64 / 1e9);
    }
    let each = |name: &str, count: usize, form: &dyn Fn(&str) -> String| -> Vec<String> {
        samples(&dit, name, count).iter().map(|value| form(value)).collect()
    };
    let short = |value: &str, count: usize| escaped(&value.chars().take(count).collect::<String>());
    let none = usize::MAX;
    measure(&dit, "(uid=)", none, &each("uid", 20_000, &|v| format!("(uid={})", escaped(v))));
    measure(&dit, "(mail=)", none, &each("mail", 20_000, &|v| format!("(mail={})", escaped(v))));
    measure(&dit, "nothing found", none, &each("uid", 20_000, &|v| format!("(uid={}x)", escaped(v))));
    let both = |v: &str| format!("(&(objectClass=person)(uid={}))", escaped(v));
    measure(&dit, "(&(objectClass=)(uid=))", none, &each("uid", 20_000, &both));
    let typed = |v: &str| {
        let v = short(v, 3);
        format!("(|(cn={v}*)(sn={v}*)(mail={v}*)(givenName={v}*))")
    };
    measure(&dit, "typeahead, 50", 50, &each("sn", 2_000, &typed));
    measure(&dit, "typeahead, no limit", none, &each("sn", 200, &typed));
    let within = |v: &str| {
        let v: String = v.chars().skip(1).collect();
        format!("(cn=*{}*)", short(&v, 3))
    };
    measure(&dit, "(cn=*abc*), 50", 50, &each("cn", 2_000, &within));
    measure(&dit, "(cn=*ab*), 50", 50, &each("cn", 500, &|v| format!("(cn=*{}*)", short(v, 2))));
    let thunderbird = |v: &str| {
        let v = short(v, 4);
        let names = [
            "cn",
            "givenName",
            "sn",
            "mozillaNickname",
            "mail",
            "mozillaSecondEmail",
            "description",
            "o",
            "ou",
            "title",
        ];
        format!(
            "(|{}(mozillaWorkUrl=*{v}*)(mozillaHomeUrl=*{v}*))",
            names.map(|name| format!("({name}=*{v}*)")).concat()
        )
    };
    measure(&dit, "thunderbird, 100", 100, &each("sn", 90, &thunderbird));
    measure(&dit, "thunderbird, nothing", 100, &["zqxj".to_owned(), "qqqq".to_owned()].map(|v| thunderbird(&v)));
    let evolution = |v: &str| {
        let v = short(v, 2);
        format!("(|(|(cn={v}*)(sn={v}*))(mail={v}*)(displayName={v}*)(|(fileAs={v}*)(&(!(fileAs=*))(sn={v}*))))")
    };
    measure(&dit, "evolution, 100", 100, &each("sn", 500, &evolution));
    let joined = |v: &str| {
        let v = short(v, 3);
        format!(
            "(&(|(objectClass=person)(objectClass=groupOfNames)(mail=*))(|(cn={v}*)(mail={v}*)(givenName={v}*)(sn={v}*)))"
        )
    };
    measure(&dit, "kaddressbook, 50", 50, &each("sn", 500, &joined));
    measure(&dit, "(objectClass=*)", none, &["(objectClass=*)".to_owned(), "(objectClass=*)".to_owned()]);
    measure(
        &dit,
        "(objectClass=person)",
        none,
        &["(objectClass=person)".to_owned(), "(objectClass=person)".to_owned()],
    );
    measure(&dit, "(!(cn=x))", none, &["(!(cn=x))".to_owned(), "(!(cn=x))".to_owned()]);
    measure(&dit, "(description=*office b*)", none, &["(description=*office b*)".to_owned()]);
}
