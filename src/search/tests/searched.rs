//! Members that groups find by search: no more than so many, and nobody the asker may not know of.

use super::*;
use crate::search::dynamic::searched_members_up_to;

struct Stranger(EntryId);

impl AttributeGate for Stranger {
    fn searchable(&self, _: &Entry<'_>, _: AttributeTypeIndex) -> bool {
        true
    }

    fn knows(&self, entry: &Entry<'_>) -> bool {
        entry.id != self.0
    }
}

fn company() -> (Company, EntryId) {
    let company = Company::empty();
    let names = ["Ann", "Bob", "Cem", "Dan", "Eve"];
    let ids = names.map(|name| company.person(name, &[("title", &["Engineer"])]));
    (company, ids[0])
}

fn group(company: &Company, queries: &[&str]) -> EntryId {
    let urls: Vec<String> = queries.iter().map(|query| format!("ldap:///ou=people,{SUFFIX}??sub?{query}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let dn = format!("cn=engineers,ou=groups,{SUFFIX}");
    company.add(&dn, &[("objectClass", &["groupOfURLs"]), ("cn", &["engineers"]), ("memberURL", &urls)])
}

/// How many members are told of up to `limit`; the error where there are more.
fn told(company: &Company, group: EntryId, limit: usize, gate: &dyn AttributeGate) -> Result<usize, String> {
    let snapshot = company.dit.read().unwrap();
    let view = snapshot.view();
    let group = view.entry(group).unwrap().unwrap();
    searched_members_up_to(limit, view, &group, gate).map(|names| names.len()).map_err(|error| error.to_string())
}

#[test]
fn too_many_members_are_an_error_that_names_the_group() {
    let (company, _) = company();
    let group = group(&company, &["(title=Engineer)", "(title=engineer)"]);
    assert_eq!(told(&company, group, 5, &AllSearchable), Ok(5));
    let error = told(&company, group, 4, &AllSearchable).unwrap_err();
    assert!(
        error.contains(&format!("cn=engineers,ou=groups,{SUFFIX}")) && error.contains("more than 4 entries"),
        "{error}"
    );
}

/// What no index serves is looked for in so many entries, all URLs of the group together.
#[test]
fn entries_looked_at_are_bounded_over_all_urls() {
    let (company, _) = company();
    let one = group(&company, &["(!(cn=Ann))"]);
    // Five people and the unit that they are in.
    assert_eq!(told(&company, one, 6, &AllSearchable), Ok(5));
    assert!(told(&company, one, 5, &AllSearchable).is_err());
    let other = Company::empty();
    for number in 0..5 {
        other.person(&format!("P {number}"), &[]);
    }
    let two = group(&other, &["(&(cn=P 1)(!(sn=0)))", "(!(cn=P 1))", "(!(cn=P 2))"]);
    assert!(told(&other, two, 8, &AllSearchable).is_err());
    assert_eq!(told(&other, two, 20, &AllSearchable), Ok(6));
}

#[test]
fn who_may_not_be_known_of_is_no_member() {
    let (company, ann) = company();
    let group = group(&company, &["(title=Engineer)"]);
    assert_eq!(told(&company, group, 5, &Stranger(ann)), Ok(4));
    // Without being counted either.
    assert_eq!(told(&company, group, 4, &Stranger(ann)), Ok(4));
}
