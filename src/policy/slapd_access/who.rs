//! Who asks, as bind rules: functions of questions written out, names side by side where they can stand so.

use super::decision::{Function, Question};
use super::evaluate::{Ask, Evaluation, USERS};
use super::render::{Result, escaped, macro_names};
use crate::model::{Dn, Scope};
use crate::policy::aci::{
    BIND_RULE_TESTS_MAX, BindRule, BindTest, Comparison, IpNetwork, NamePattern, UserAttrKind, UserPattern,
};
use std::net::{IpAddr, Ipv4Addr};

/// The bind rule of a function.
///
/// # Errors
/// It is longer than one may be.
pub(super) fn rule(evaluation: &Evaluation<'_>, function: Function) -> Result<BindRule> {
    check_size(evaluation, function, &mut 0)?;
    let rule = bind_rule(evaluation, function);
    if count_tests(&rule) > BIND_RULE_TESTS_MAX { Err(()) } else { Ok(rule) }
}

fn users_test(user: UserPattern) -> BindRule {
    BindRule::Test(BindTest::UserDn { negated: false, users: vec![user] })
}

fn search(base: String, scope: Scope, filter: &str) -> BindRule {
    users_test(UserPattern::Search { base, scope, filter: filter.to_owned() })
}

/// All people directly below an entry, perhaps under names of one type.
fn people(base: &Dn, scope: Scope, rdn_type: Option<&String>) -> BindRule {
    let found = search(base.to_string(), scope, "(objectClass=*)");
    match rdn_type {
        Some(rdn_type) => {
            let pattern = UserPattern::Name(NamePattern::Pattern(format!("{rdn_type}=*,{base}")));
            BindRule::And(vec![users_test(pattern), found])
        }
        None => found,
    }
}

fn network(text: &str) -> Option<IpNetwork> {
    let (address, bits) = match text.split_once('+') {
        Some((address, mask)) => {
            let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits().leading_ones();
            (address.parse::<IpAddr>().ok()?, u8::try_from(bits).ok()?)
        }
        None => {
            let address = text.parse::<IpAddr>().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    IpNetwork::new(address, bits)
}

fn nobody() -> BindRule {
    BindRule::Test(BindTest::UserDn { negated: true, users: vec![UserPattern::Anyone] })
}

/// A question as a test.
fn test(evaluation: &Evaluation<'_>, question: Question) -> BindRule {
    if question == USERS {
        return users_test(UserPattern::All);
    }
    match evaluation.asked(question) {
        Some(Ask::Attribute { name, level }) => BindRule::Test(BindTest::UserAttr {
            negated: false,
            levels: vec![*level],
            attribute: name.clone(),
            kind: UserAttrKind::UserDn,
        }),
        Some(Ask::Domain(hosts)) => BindRule::Test(BindTest::Dns { negated: false, hosts: hosts.clone() }),
        Some(Ask::Group { dn, is_nested }) => {
            let groups = vec![NamePattern::Dn(dn.to_string())];
            let member = BindRule::Test(BindTest::GroupDn { negated: false, groups });
            if *is_nested {
                return member;
            }
            // slapd takes members of member groups for no members.
            let directly = search(String::new(), Scope::Subtree, &format!("(memberOf={})", escaped(&dn.to_string())));
            BindRule::And(vec![member, directly])
        }
        Some(Ask::Ip(text)) => match network(text) {
            Some(network) => BindRule::Test(BindTest::Ip { negated: false, networks: vec![network] }),
            None => nobody(),
        },
        Some(Ask::Owner { base, rdn_type }) => {
            let Some(dn) = evaluation.tree.dn(*base) else { return nobody() };
            match macro_names(&dn.to_string()) {
                Ok((_, owner)) => BindRule::And(vec![
                    users_test(UserPattern::Name(owner)),
                    people(dn, Scope::OneLevel, rdn_type.as_ref()),
                ]),
                Err(()) => nobody(),
            }
        }
        Some(Ask::Region { base, scope, rdn_type }) => people(base, *scope, rdn_type.as_ref()),
        Some(Ask::SelfEntry) => users_test(UserPattern::SelfEntry),
        Some(Ask::Ssf(bits)) => {
            // A local connection counts as protected here; slapd gives it less.
            let every = [IpAddr::from([0, 0, 0, 0]), IpAddr::from([0_u16; 8])];
            let networks = every.into_iter().filter_map(|address| IpNetwork::new(address, 0)).collect();
            BindRule::And(vec![
                BindRule::Test(BindTest::Ssf(Comparison::GreaterOrEqual, *bits)),
                BindRule::Test(BindTest::Ip { negated: false, networks }),
            ])
        }
        Some(Ask::Superior) => users_test(UserPattern::Parent),
        Some(Ask::User(dn)) => users_test(UserPattern::Name(NamePattern::Dn(dn.to_string()))),
        Some(Ask::Filter(_) | Ask::Rdn { .. } | Ask::Unknown { .. }) | None => nobody(),
    }
}

fn negated(rule: BindRule) -> BindRule {
    match rule {
        BindRule::Test(BindTest::UserDn { negated, users }) => {
            BindRule::Test(BindTest::UserDn { negated: !negated, users })
        }
        BindRule::Test(BindTest::UserAttr { negated, levels, attribute, kind }) => {
            BindRule::Test(BindTest::UserAttr { negated: !negated, levels, attribute, kind })
        }
        BindRule::Test(BindTest::GroupDn { negated, groups }) => {
            BindRule::Test(BindTest::GroupDn { negated: !negated, groups })
        }
        BindRule::Test(BindTest::Ip { negated, networks }) => {
            BindRule::Test(BindTest::Ip { negated: !negated, networks })
        }
        rule => BindRule::Not(Box::new(rule)),
    }
}

/// Joins rules, names side by side in one test: in an or those that are meant, in an and those that are not.
fn joined(is_or: bool, parts: Vec<BindRule>) -> BindRule {
    let mut names: Vec<UserPattern> = Vec::new();
    let mut rest = Vec::new();
    for part in parts {
        match part {
            BindRule::Test(BindTest::UserDn { negated, users }) if negated != is_or => names.extend(users),
            BindRule::Or(inner) if is_or => rest.extend(inner),
            BindRule::And(inner) if !is_or => rest.extend(inner),
            part => rest.push(part),
        }
    }
    // Inner lists may have had names of their own.
    let mut others = Vec::new();
    for part in rest {
        match part {
            BindRule::Test(BindTest::UserDn { negated, users }) if negated != is_or => names.extend(users),
            part => others.push(part),
        }
    }
    let is_somebody = |user: &UserPattern| !matches!(user, UserPattern::Anyone);
    if names.contains(&UserPattern::All) && names.iter().all(is_somebody) {
        names = vec![UserPattern::All];
    }
    let all = users_test(UserPattern::All);
    if is_or && names == [UserPattern::All] {
        others.retain(|part| !implies_users(part));
    } else if !is_or && others.iter().any(|part| *part != all && implies_users(part)) {
        others.retain(|part| *part != all);
    }
    if !names.is_empty() {
        others.insert(0, BindRule::Test(BindTest::UserDn { negated: !is_or, users: names }));
    }
    match (others.len(), is_or) {
        (1, _) => others.pop().unwrap_or_else(nobody),
        (_, true) => BindRule::Or(others),
        (_, false) => BindRule::And(others),
    }
}

/// Whether only somebody who has authenticated can fit.
fn implies_users(rule: &BindRule) -> bool {
    match rule {
        BindRule::And(parts) => parts.iter().any(implies_users),
        BindRule::Or(parts) => parts.iter().all(implies_users),
        BindRule::Not(_) => false,
        BindRule::Test(BindTest::UserDn { negated, users }) => !negated && !users.contains(&UserPattern::Anyone),
        BindRule::Test(
            BindTest::UserAttr { negated, .. } | BindTest::GroupDn { negated, .. } | BindTest::RoleDn { negated, .. },
        ) => !negated,
        BindRule::Test(_) => false,
    }
}

/// A function of questions about who asks.
fn bind_rule(evaluation: &Evaluation<'_>, function: Function) -> BindRule {
    let Some(node) = evaluation.functions.node(function) else {
        return if function == Function::ALWAYS { users_test(UserPattern::Anyone) } else { nobody() };
    };
    let yes = || test(evaluation, node.question);
    let no = || negated(test(evaluation, node.question));
    match (node.yes, node.no) {
        (Function::ALWAYS, Function::NEVER) => yes(),
        (Function::NEVER, Function::ALWAYS) => no(),
        (Function::ALWAYS, other) => joined(true, vec![yes(), bind_rule(evaluation, other)]),
        (other, Function::ALWAYS) => joined(true, vec![no(), bind_rule(evaluation, other)]),
        (Function::NEVER, other) => joined(false, vec![no(), bind_rule(evaluation, other)]),
        (other, Function::NEVER) => joined(false, vec![yes(), bind_rule(evaluation, other)]),
        (when_yes, when_no) => joined(
            true,
            vec![
                joined(false, vec![yes(), bind_rule(evaluation, when_yes)]),
                joined(false, vec![no(), bind_rule(evaluation, when_no)]),
            ],
        ),
    }
}

/// A function of many questions is written out as a tree, which may be much larger than itself.
fn check_size(evaluation: &Evaluation<'_>, function: Function, tests: &mut usize) -> Result<()> {
    let Some(node) = evaluation.functions.node(function) else { return Ok(()) };
    *tests += 1;
    if *tests > BIND_RULE_TESTS_MAX {
        return Err(());
    }
    check_size(evaluation, node.yes, tests)?;
    check_size(evaluation, node.no, tests)
}

fn count_tests(rule: &BindRule) -> usize {
    let mut count = 0;
    rule.visit(&mut |_| count += 1);
    count
}
