//! What leads back to where it began: aliases, referrals, groups in groups, rules by groups (T-06). Everything ends.

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{ADD, Control, Search};
use crate::support::server::{SUFFIX, Server, Setup};
use crate::{ANN, BOB};

fn group(client: &mut Client, dn: &str, members: &[&str]) {
    let cn = dn.split(['=', ',']).nth(1).expect("a name");
    client.add(dn, &[("objectClass", &["groupOfNames"]), ("cn", &[cn]), ("member", members)]).expect(code::SUCCESS);
}

/// T-06: aliases that lead to each other, to themselves, to what is above them, and through each other.
#[test]
fn alias_loops_of_every_kind_end() {
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("alias-loops");
    let mut alias = |cn: &str, to: &str| {
        let classes = ["alias", "extensibleObject"];
        let dn = format!("cn={cn},{branch}");
        client
            .add(&dn, &[("objectClass", &classes), ("cn", &[cn]), ("aliasedObjectName", &[to])])
            .expect(code::SUCCESS);
        dn
    };
    alias("self", &format!("cn=self,{branch}"));
    alias("there", &format!("cn=back,{branch}"));
    alias("back", &format!("cn=there,{branch}"));
    alias("up", &branch);
    alias("top", SUFFIX);
    // Below an alias that leads to where it stands itself.
    alias("through", &format!("cn=x,cn=through,{branch}"));
    for number in 0..40 {
        alias(&format!("chain{number}"), &format!("cn=chain{},{branch}", (number + 1) % 40));
    }
    for deref in 0..=3 {
        for base in [branch.clone(), SUFFIX.to_owned(), format!("cn=there,{branch}"), format!("cn=chain0,{branch}")] {
            let id = client.send(&Search::subtree(&base, "(uid=ann)").deref(deref).encode());
            let code = client.found_or_canceled(id);
            let sane = [code::SUCCESS, code::ALIAS_PROBLEM, code::ALIAS_DEREFERENCING_PROBLEM, code::NO_SUCH_OBJECT];
            assert!(sane.contains(&code), "{base} {deref}: {code}");
        }
    }
    assert_eq!(client.names(SUFFIX, "(uid=ann)"), ["ann"]);
}

/// T-06: groups that are members of each other and of themselves, asked for in every way that follows them.
#[test]
fn group_loops_end() {
    only_entente!(Foreign);
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("group-loops");
    let name = |number: usize| format!("cn=g{number},{branch}");
    for number in 0..30 {
        group(&mut client, &name(number), &[&name((number + 1) % 30), &name(number), ANN]);
    }
    client.modify(&name(7), &[(ADD, "member", &[BOB])]).expect(code::SUCCESS);
    for filter in [
        format!("(memberOf={})", name(0)),
        format!("(memberOf:1.2.840.113556.1.4.1941:={})", name(0)),
        format!("(member:1.2.840.113556.1.4.1941:={ANN})"),
        format!("(isMemberOf={})", name(3)),
        format!("(&(objectClass=person)(memberOf:1.2.840.113556.1.4.1941:={}))", name(29)),
    ] {
        assert!(!client.names(SUFFIX, &filter).is_empty(), "{filter}");
    }
    let groups = client.read_attributes(BOB, &["memberOf", "isMemberOf"]);
    assert!(groups.values("isMemberOf").len() >= 30, "{groups:?}");
    // A group by search that names itself, and one that names the other.
    for (cn, other) in [("d1", "d2"), ("d2", "d1"), ("d3", "d3")] {
        let url = format!("ldap:///{SUFFIX}??sub?(memberOf=cn={other},{branch})");
        let attributes: [(&str, &[&str]); 3] =
            [("objectClass", &["groupOfURLs"]), ("cn", &[cn]), ("memberURL", &[&url])];
        client.add(&format!("cn={cn},{branch}"), &attributes).expect(code::SUCCESS);
    }
    for cn in ["d1", "d2", "d3"] {
        client.search(&Search::subtree(SUFFIX, &format!("(memberOf=cn={cn},{branch})"))).expect(code::SUCCESS);
        client.read_attributes(&format!("cn={cn},{branch}"), &["*", "+"]);
    }
    // Rules that ask for membership in groups that have no end, and whose members depend on rules.
    for target in [name(0), format!("cn=d1,{branch}")] {
        let rule = format!(
            r#"(targetattr="*")(version 3.0; acl "loop"; allow (read, search, compare, write) groupdn="ldap:///{target}";)"#
        );
        client.modify(&branch, &[(ADD, "aci", &[&rule])]).expect(code::SUCCESS);
    }
    let mut person = server.person("ann");
    person.modify(&name(1), &[(ADD, "description", &["by the rule"])]).expect(code::SUCCESS);
    server.person("dave").modify(&name(1), &[(ADD, "description", &["no"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}

/// T-06: referrals are told, never followed: one that leads here is a line of text like any other.
#[test]
fn referral_loops_are_the_clients_to_follow() {
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("referral-loops");
    let own = format!("ldap://{}/{branch}", server.address());
    let dn = format!("ou=again,{branch}");
    client
        .add(&dn, &[("objectClass", &["referral", "extensibleObject"]), ("ou", &["again"]), ("ref", &[&own])])
        .expect(code::SUCCESS);
    let found = client.search(&Search::subtree(&branch, "(objectClass=*)")).expect(code::SUCCESS);
    assert_eq!((found.entries.len(), found.references.len()), (1, 1));
    client.search(&Search::subtree(format!("ou=below,{dn}"), "(objectClass=*)")).expect(code::REFERRAL);
    client.with(Control::manage_dsa_it()).delete(&dn).expect(code::SUCCESS);
}
