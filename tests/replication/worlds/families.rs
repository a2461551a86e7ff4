//! What can be asked in small worlds.

use crate::case::Ask;

/// Operations that get into each other's way.
pub(super) struct Family {
    pub(super) name: &'static str,
    /// What is there in the beginning.
    pub(super) base: Vec<Ask>,
    pub(super) operations: Vec<Ask>,
    /// Steps fewer than others in the normal run.
    pub(super) less: usize,
}

/// All families; the first one adds one name and deletes it.
pub(super) fn families() -> Vec<Family> {
    let family = |name, base: Vec<Ask>, operations| {
        let base = [add("suffix", &[])].into_iter().chain(base).collect();
        // What is nearly always allowed makes the most worlds.
        let less = usize::from(["moved below what goes", "several values", "members", "counted"].contains(&name));
        Family { name, base, operations, less }
    };
    vec![
        family("one name", vec![], vec![add("cn=n", &[]), delete("cn=n")]),
        family(
            "below what goes",
            vec![],
            vec![add("ou=o", &[]), add("cn=n,ou=o", &[]), delete("cn=n,ou=o"), delete("ou=o")],
        ),
        family(
            "renamed to one name",
            vec![known(10, "cn=p"), known(11, "cn=q")],
            vec![rename("cn=p", "cn=n", true), rename("cn=q", "cn=n", false), add("cn=n", &[]), delete("cn=n")],
        ),
        family(
            "moved below each other",
            vec![known(10, "ou=a"), known(11, "ou=b"), known(12, "ou=c")],
            vec![
                moved("ou=a", "ou=b"),
                moved("ou=b", "ou=a"),
                moved("ou=b", "ou=c"),
                moved("ou=b,ou=a", "suffix"),
                delete("ou=b"),
            ],
        ),
        family(
            "moved below what goes",
            vec![known(10, "ou=a"), known(11, "ou=b"), known(12, "cn=n,ou=a")],
            vec![
                moved("cn=n,ou=a", "ou=b"),
                moved("cn=n,ou=b", "ou=a"),
                delete("ou=b"),
                delete("cn=n,ou=a"),
                add("cn=n,ou=b", &[]),
            ],
        ),
        family(
            "several values",
            vec![Ask::Import { uuid: 10, dn: "cn=p".to_owned(), attributes: named(&[("description", &["x"])]) }],
            vec![
                modify("cn=p", "add", "description", &["y"]),
                modify("cn=p", "delete", "description", &["x"]),
                modify("cn=p", "replace", "description", &["x", "z"]),
                modify("cn=p", "delete", "description", &[]),
                delete("cn=p"),
            ],
        ),
        family(
            "one value and a name",
            vec![known(10, "cn=p")],
            vec![
                modify("cn=p", "replace", "employeeNumber", &["1"]),
                modify("cn=p", "replace", "employeeNumber", &["2"]),
                modify("cn=p", "delete", "employeeNumber", &[]),
                rename("cn=p", "employeeNumber=3", false),
                rename("employeeNumber=3", "cn=p", true),
            ],
        ),
        family(
            "members",
            vec![known(10, "cn=p"), group(11, "cn=g", &["cn=p"])],
            vec![
                modify("cn=g", "replace", "member", &["cn=q,dc=example,dc=com", "cn=admin,dc=example,dc=com"]),
                modify("cn=g", "add", "member", &["cn=q,dc=example,dc=com"]),
                rename("cn=p", "cn=q", true),
                delete("cn=p"),
                delete("cn=g"),
            ],
        ),
        family(
            "counted",
            vec![Ask::Import { uuid: 10, dn: "cn=g".to_owned(), attributes: named(&[("gidNumber", &["5"])]) }],
            vec![
                modify("cn=g", "increment", "gidNumber", &["1"]),
                modify("cn=g", "increment", "gidNumber", &["-3"]),
                modify("cn=g", "replace", "gidNumber", &["7"]),
                delete("cn=g"),
            ],
        ),
    ]
}

fn named(attributes: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    attributes.iter().map(|(name, values)| ((*name).to_owned(), texts(values))).collect()
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Adds an entry, with an entryUUID that says who did. The suffix is added as by a client.
fn add(dn: &str, attributes: &[(&str, &[&str])]) -> Ask {
    let (dn, attributes) = (dn.to_owned(), named(attributes));
    if dn == "suffix" { Ask::Add { dn, attributes } } else { Ask::Import { uuid: 0, dn, attributes } }
}

fn known(uuid: u8, dn: &str) -> Ask {
    Ask::Import { uuid, dn: dn.to_owned(), attributes: Vec::new() }
}

fn group(uuid: u8, dn: &str, members: &[&str]) -> Ask {
    let members = members.iter().map(|dn| crate::replica::whole(dn)).collect();
    Ask::Import { uuid, dn: dn.to_owned(), attributes: vec![("member".to_owned(), members)] }
}

fn modify(dn: &str, kind: &str, name: &str, values: &[&str]) -> Ask {
    Ask::Modify { dn: dn.to_owned(), list: vec![(kind.to_owned(), name.to_owned(), texts(values))] }
}

fn rename(dn: &str, new_rdn: &str, delete_old: bool) -> Ask {
    Ask::Rename { dn: dn.to_owned(), new_rdn: new_rdn.to_owned(), delete_old, superior: None }
}

fn moved(dn: &str, superior: &str) -> Ask {
    let rdn = dn.split_once(',').map_or(dn, |(rdn, _)| rdn);
    Ask::Rename { dn: dn.to_owned(), new_rdn: rdn.to_owned(), delete_old: false, superior: Some(superior.to_owned()) }
}

fn delete(dn: &str) -> Ask {
    Ask::Delete { dn: dn.to_owned() }
}
