//! All pairs of controls, on each operation, critical and not: every request is answered with the one code that the
//! documents of its controls come to ([`expected`]), and the server goes on. The pairs are generated; what each control does
//! has its own file.

use crate::support::ber::{boolean, enumerated, integer, octets, sequence};
use crate::support::client::Client;
use crate::support::request::{self, Control, ONE, REPLACE, Search};
use crate::support::server::{Server, Setup, check};
use crate::support::{code, oid};
use crate::{ANN, BOB, PEOPLE, add_person};

/// MS-ADTS 3.1.1.3.4.1.14.
pub(crate) const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// Every control that the root DSE announces and that a request may have, with a value that is right.
pub(crate) fn controls() -> Vec<Control> {
    let with_value = |oid: &str, value: Vec<u8>| Control::critical(oid, Some(value));
    vec![
        Control::paged(3, b""),
        Control::sort(&["sn", "-cn"]),
        Control::view_at(1, 2, 1, 0),
        Control::matched_values(&["(cn=*)"]),
        Control::dereference(&[("manager", &["cn"])]),
        with_value(oid::EFFECTIVE_RIGHTS, format!("dn:{BOB}").into_bytes()),
        Control::plain(oid::ACCOUNT_USABILITY),
        Control::plain(oid::DONT_USE_COPY),
        with_value(oid::PERSISTENT_SEARCH, sequence(&[integer(15), boolean(false), boolean(true)])),
        with_value(oid::SYNC_REQUEST, sequence(&[enumerated(1)])),
        with_value(oid::SUBENTRIES, boolean(false)),
        Control::plain(oid::SUBENTRIES_ALONE),
        Control::assertion("(objectClass=*)"),
        Control::read_entry(oid::PRE_READ, &["cn"]),
        Control::read_entry(oid::POST_READ, &["cn"]),
        Control::plain(oid::TREE_DELETE),
        Control::plain(oid::PERMISSIVE_MODIFY),
        Control::plain(oid::NO_OPERATION),
        Control::plain(oid::RELAX_RULES),
        Control::proxied(&format!("dn:{BOB}")),
        Control::plain(oid::AUTHORIZATION_IDENTITY_REQUEST),
        Control::plain(oid::PASSWORD_POLICY),
        with_value(oid::SESSION_TRACKING, sequence(&[octets("::1"), octets("h"), octets("1.2"), octets("u")])),
        with_value(oid::TRANSACTION, b"none such".to_vec()),
        Control::manage_dsa_it(),
        Control::plain(oid::SESSION_TOKEN),
        with_value(oid::DURABILITY, sequence(&[enumerated(0), integer(0), integer(1)])),
        Control::plain("2.25.226734431000227364254570923804739913085.3.10"),
        Control::plain(SHOW_DELETED),
        Control::plain(oid::UNKNOWN),
    ]
}

/// The operations that pairs are tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Bind,
    Compare,
    Delete,
    /// Who am I?, for those that are not updates.
    Extended,
    Modify,
    ModifyDn,
    /// RFC 3062: an extended operation that may be part of a transaction.
    PasswordModify,
    Search,
    /// From what is not in the tree and is for everybody: the root DSE, the subschema.
    SearchVirtual,
    /// From what is not in the tree and not for everybody.
    SearchFeed,
    /// From `cn=changelog`, which can be followed.
    SearchChangelog,
}

use Operation::{
    Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, PasswordModify, SearchChangelog, SearchFeed, SearchVirtual,
};

impl Operation {
    fn is_search(self) -> bool {
        matches!(self, Self::Search) || self.is_virtual()
    }

    fn is_virtual(self) -> bool {
        matches!(self, SearchVirtual | SearchFeed | SearchChangelog)
    }
}

/// What is not in the tree, as it is searched.
fn virtual_searches() -> Vec<(Operation, Search)> {
    let all = |base: &str| Search::base(base).scope(ONE).attributes(&["cn"]);
    vec![
        (SearchVirtual, Search::base("")),
        (SearchVirtual, Search::base("cn=subschema").attributes(&["cn"])),
        (SearchFeed, all("cn=monitor")),
        (SearchFeed, all("cn=conflicts")),
        (SearchFeed, all("cn=lost\\+found")),
        (SearchFeed, Search::base("cn=deleted")),
        (SearchChangelog, all("cn=changelog").filter("(changeNumber<=12)")),
    ]
}

/// Which operations a control belongs to, as its document says; no other takes it.
pub(crate) fn belongs(oid: &str, operation: Operation) -> bool {
    let is_search = operation.is_search();
    let is_update = matches!(operation, Add | Delete | Modify | ModifyDn);
    match oid {
        oid::PASSWORD_POLICY | oid::SESSION_TRACKING => true,
        oid::AUTHORIZATION_IDENTITY_REQUEST => operation == Bind,
        oid::PROXIED_AUTHORIZATION => operation != Bind,
        oid::DONT_USE_COPY => is_search || operation == Compare,
        oid::ASSERTION | oid::MANAGE_DSA_IT | oid::SESSION_TOKEN => is_search || is_update || operation == Compare,
        oid::TRANSACTION if operation == PasswordModify => true,
        oid::TRANSACTION | oid::NO_OPERATION | oid::RELAX_RULES | oid::DURABILITY => is_update,
        oid::PRE_READ => is_update && operation != Add,
        oid::POST_READ => is_update && operation != Delete,
        oid::TREE_DELETE => operation == Delete,
        oid::PERMISSIVE_MODIFY => operation == Modify,
        SHOW_DELETED => is_search || operation == Modify,
        oid::UNKNOWN => false,
        _ => is_search,
    }
}

/// RFC 4370 3, RFC 5805 2.2, RFC 6171 2: these are protocol errors when they come as not critical.
const ALWAYS_CRITICAL: [&str; 3] = [oid::PROXIED_AUTHORIZATION, oid::TRANSACTION, oid::DONT_USE_COPY];

/// Pairs on a search of which the second gives way: critical, the request is refused, else it is passed over.
const APART: [(&str, &[&str]); 3] = [
    (
        oid::SYNC_REQUEST,
        &[
            oid::PAGED_RESULTS,
            oid::SORT_REQUEST,
            oid::VLV_REQUEST,
            oid::MATCHED_VALUES,
            oid::DEREFERENCE,
            oid::EFFECTIVE_RIGHTS,
            oid::ACCOUNT_USABILITY,
            oid::PERSISTENT_SEARCH,
        ],
    ),
    (oid::PERSISTENT_SEARCH, &[oid::PAGED_RESULTS, oid::SORT_REQUEST, oid::VLV_REQUEST]),
    (oid::VLV_REQUEST, &[oid::PAGED_RESULTS]),
];

/// The one code that a request with these controls ends with. `is_there`: whether the entry that it is about exists.
fn expected(operation: Operation, pair: &[Control; 2], is_there: bool) -> u32 {
    // RFC 4511 4.1.11, one control after another.
    for control in pair {
        if !belongs(&control.oid, operation) {
            if control.critical {
                return code::UNAVAILABLE_CRITICAL_EXTENSION;
            }
        } else if ALWAYS_CRITICAL.contains(&control.oid.as_str()) && !control.critical {
            return code::PROTOCOL_ERROR;
        }
    }
    let mut held: Vec<&Control> = pair.iter().filter(|control| belongs(&control.oid, operation)).collect();
    let has = |held: &[&Control], oid: &str| held.iter().any(|control| control.oid == oid);
    if has(&held, oid::NO_OPERATION) && has(&held, oid::TRANSACTION) {
        return code::UNWILLING_TO_PERFORM;
    }
    for (stays, others) in APART {
        if has(&held, stays) {
            if held.iter().any(|control| others.contains(&control.oid.as_str()) && control.critical) {
                return code::UNWILLING_TO_PERFORM;
            }
            held.retain(|control| !others.contains(&control.oid.as_str()));
        }
    }
    // What is not in the tree has no changes to be told of, but for the changelog.
    let is_none = |control: &&Control| match control.oid.as_str() {
        oid::SYNC_REQUEST => operation.is_virtual(),
        oid::PERSISTENT_SEARCH => matches!(operation, SearchVirtual | SearchFeed),
        _ => false,
    };
    if held.iter().any(|control| is_none(control) && control.critical) {
        return code::UNAVAILABLE_CRITICAL_EXTENSION;
    }
    held.retain(|control| !is_none(control));
    let has = |oid: &str| has(&held, oid);
    let as_bob = has(oid::PROXIED_AUTHORIZATION);
    match operation {
        Bind | Extended => code::SUCCESS,
        Compare => code::COMPARE_TRUE,
        // Bob is not told that they are there.
        SearchFeed | SearchChangelog if as_bob => code::NO_SUCH_OBJECT,
        // It never ends by itself.
        Operation::Search | SearchChangelog if has(oid::PERSISTENT_SEARCH) => code::CANCELED,
        // The draft, section 6: it is understood, so it is kept or refused.
        _ if operation.is_search() && has(oid::VLV_REQUEST) && !has(oid::SORT_REQUEST) => code::VIRTUAL_LIST_VIEW_ERROR,
        _ if operation.is_search() => code::SUCCESS,
        // RFC 5805: of a transaction that nobody began.
        _ if has(oid::TRANSACTION) => code::OPERATIONS_ERROR,
        // Relaxed rules are the administrator's, whatever it is about.
        _ if as_bob && has(oid::RELAX_RULES) => code::INSUFFICIENT_ACCESS_RIGHTS,
        Delete | ModifyDn if !is_there => code::NO_SUCH_OBJECT,
        _ if as_bob => code::INSUFFICIENT_ACCESS_RIGHTS,
        _ if has(oid::NO_OPERATION) => code::NO_OPERATION,
        _ => code::SUCCESS,
    }
}

fn judge(is: u32, right: u32, what: &str, wrong: &mut Vec<String>) {
    if is != right {
        wrong.push(format!("{what}: {is} instead of {right}"));
    }
}

/// Sends a search and what ends it if it does not end itself.
fn search(client: &mut Client, search: &Search, right: u32, what: &str, wrong: &mut Vec<String>) {
    let id = client.send(&search.encode());
    let is_endless = right == code::CANCELED;
    let early = is_endless.then(|| client.send(&request::cancel(id)));
    let is = client.found_or_canceled(id);
    let cancel = early.unwrap_or_else(|| client.send(&request::cancel(id)));
    // What had ended is not there to be canceled any more.
    let canceled = if is_endless { code::SUCCESS } else { code::NO_SUCH_OPERATION };
    judge(client.outcome_of(cancel).code, canceled, &format!("{what}: its cancel"), wrong);
    judge(is, right, what, wrong);
}

/// T-12: each request has the one code that the documents of its controls come to.
#[test]
fn all_pairs_of_controls_are_answered() {
    only_entente!(Own);
    let mut server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("pairs");
    let (all, virtual_searches) = (controls(), virtual_searches());
    let (first_name, second_name) = (format!("cn=p,{branch}"), format!("cn=q,{branch}"));
    let person: [(&str, &[&str]); 2] = [("objectClass", &["person"]), ("sn", &["p"])];
    // Each bind is another identity, also of a connection that was bound before.
    let mut binding = server.anonymous();
    let reset = add_person(&mut client, &branch, "reset");
    let mut asked = 0_u32;
    let mut wrong = Vec::new();
    for (at, first) in all.iter().enumerate() {
        for second in all.iter().skip(at + 1) {
            for criticality in [[true, true], [true, false], [false, true], [false, false]] {
                let pair = [(first, criticality[0]), (second, criticality[1])]
                    .map(|(control, critical)| Control { critical, ..control.clone() });
                let mut with = |operation: Operation, is_there: bool, client: &mut Client| {
                    asked += 1;
                    for control in &pair {
                        client.with(control.clone());
                    }
                    let what = format!("{operation:?} with {} and {}, critical {criticality:?}", first.oid, second.oid);
                    (expected(operation, &pair, is_there), what)
                };
                let (code, what) = with(Operation::Search, true, &mut client);
                search(&mut client, &Search::subtree(PEOPLE, "(uid=*)"), code, &what, &mut wrong);
                for (operation, asked) in &virtual_searches {
                    let (code, what) = with(*operation, true, &mut client);
                    let what = format!("{what} at {:?}", String::from_utf8_lossy(&asked.base));
                    search(&mut client, asked, code, &what, &mut wrong);
                }
                let (code, what) = with(Compare, true, &mut client);
                judge(client.compare(ANN, "sn", "Example").code, code, &what, &mut wrong);
                let (code, what) = with(Modify, true, &mut client);
                judge(client.modify(ANN, &[(REPLACE, "title", &["Director"])]).code, code, &what, &mut wrong);
                let (code, what) = with(Add, false, &mut client);
                judge(client.add(&first_name, &person).code, code, &what, &mut wrong);
                let is_added = code == code::SUCCESS;
                let (code, what) = with(ModifyDn, is_added, &mut client);
                judge(client.modify_dn(&first_name, "cn=q", true, None).code, code, &what, &mut wrong);
                let is_renamed = code == code::SUCCESS;
                let is_there = [is_added && !is_renamed, is_renamed];
                for (name, is_there) in [&first_name, &second_name].into_iter().zip(is_there) {
                    let (code, what) = with(Delete, is_there, &mut client);
                    judge(client.delete(name).code, code, &what, &mut wrong);
                    if is_there && code != code::SUCCESS {
                        client.delete(name).expect(code::SUCCESS);
                    }
                }
                let (code, what) = with(Extended, true, &mut client);
                judge(client.perform(&request::extended(oid::WHO_AM_I, None)).code, code, &what, &mut wrong);
                let (code, what) = with(PasswordModify, true, &mut client);
                let change = request::password_modify(Some(&reset), None, Some("reset-secret"));
                judge(client.perform(&change).code, code, &what, &mut wrong);
                let (code, what) = with(Bind, true, &mut binding);
                judge(binding.bind(ANN, "ann-secret").code, code, &what, &mut wrong);
            }
        }
    }
    assert!(asked > 29_000, "{asked} requests");
    assert!(wrong.is_empty(), "{} of {asked}: {:#?}", wrong.len(), &wrong[..wrong.len().min(400)]);
    // The server is as it was.
    add_person(&mut client, &branch, "last");
    assert_eq!(client.names(&branch, "(uid=*)"), ["last", "reset"]);
    drop((client, binding));
    server.stop();
    check(&server.data());
}

/// What the root DSE announces is what the pairs are made of.
#[test]
fn the_pairs_are_made_of_all_controls_that_are_announced() {
    only_entente!(Own);
    let announced = Server::shared().anonymous().read_attributes("", &["supportedControl"]).values("supportedControl");
    let responses = [
        oid::SORT_RESPONSE,
        oid::VLV_RESPONSE,
        oid::ENTRY_CHANGE,
        oid::AUTHORIZATION_IDENTITY_RESPONSE,
        oid::PASSWORD_EXPIRED,
        oid::PASSWORD_EXPIRING,
    ];
    let paired: Vec<_> = controls().into_iter().map(|control| control.oid).collect();
    for control in announced.iter().filter(|control| !responses.contains(&control.as_str())) {
        assert!(paired.contains(control), "{control} is announced and in no pair");
    }
    for control in paired.iter().filter(|control| *control != oid::UNKNOWN) {
        assert!(announced.contains(control), "{control} is served and not announced");
    }
}
