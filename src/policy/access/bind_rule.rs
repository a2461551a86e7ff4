//! Bind rules, lowered to tests on facts, in three-valued logic.
//!
//! The same tree serves twice: [`Expression::reduce`] replaces every test that depends on requester and connection by
//! its value and folds the tree; what is left asks about the entry only and is small.

use super::compile::Judged;
use super::macros::{MacroKind, MacroName};
use super::{AccessContext, RequesterFacts};
use crate::model::{Dn, Filter, Rdn, Scope};
use crate::policy::aci::{
    AuthMethod, BindRule, BindTest, Comparison, Day, HostPattern, IpNetwork, NamePattern, UserAttrKind, UserPattern,
    values,
};
use crate::policy::name_pattern::{NameGlob, normal_name};
use crate::policy::requester::{Authentication, Requester};
use crate::policy::rights::Right;
use crate::schema::{AttributeTypeIndex, Schema};
use std::borrow::Cow;

/// True, false, or not known.
pub(super) type Verdict = Option<bool>;

/// A bind rule.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    Known(Verdict),
    Test(Test),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// A single question.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Authenticated,
    UserKey(Vec<u8>),
    UserGlob(NameGlob),
    UserSearch(UserSearch),
    Group(Vec<u8>),
    Role(Vec<u8>),
    Ip(Vec<IpNetwork>),
    Host(Vec<HostPattern>),
    AuthMethod(AuthMethod),
    Ssf(Comparison, u32),
    TimeOfDay(Comparison, u16),
    DayOfWeek(Vec<Day>),
    SelfEntry,
    Parent,
    UserAttr(UserAttr),
    Macro(MacroName),
}

/// `ldap:///BASE??SCOPE?FILTER`
#[derive(Clone, Debug)]
pub(super) struct UserSearch {
    base: Vec<u8>,
    base_rdns: usize,
    scope: Scope,
    filter: Filter<'static>,
}

/// `userattr`
#[derive(Clone, Debug)]
pub(super) struct UserAttr {
    levels: Vec<u8>,
    attribute: AttributeTypeIndex,
    kind: UserAttrTest,
}

#[derive(Clone, Debug)]
enum UserAttrTest {
    User,
    Group,
    Role,
    Url,
    /// The equality key of the value, and the filter that finds it in the requester's entry.
    Value(Vec<u8>, Filter<'static>),
}

/// Whether a name lies in a scope; keys are those of `Schema::dn_key`, `…_rdns` their number of RDNs.
pub(super) fn is_in_scope(
    scope: Scope,
    base: &[u8],
    base_rdns: usize,
    name: &[u8],
    rdns: impl FnOnce() -> usize,
) -> bool {
    match scope {
        Scope::Base => name == base,
        Scope::OneLevel => name.starts_with(base) && rdns() == base_rdns + 1,
        Scope::Subtree => name.starts_with(base),
        Scope::Subordinate => name.starts_with(base) && name != base,
    }
}

/// Key and number of RDNs of a DN text.
pub(super) fn name_key(schema: &Schema, dn: &str) -> Option<(Vec<u8>, usize)> {
    let dn = Dn::parse(dn).ok()?;
    Some((schema.dn_key(&dn), dn.rdns().len()))
}

fn negate(expression: Expression, negated: bool) -> Expression {
    if negated { Expression::Not(Box::new(expression)) } else { expression }
}

fn user(schema: &Schema, pattern: &UserPattern) -> Expression {
    let test = match pattern {
        UserPattern::Anyone => return Expression::Known(Some(true)),
        UserPattern::All => Some(Test::Authenticated),
        UserPattern::SelfEntry => Some(Test::SelfEntry),
        UserPattern::Parent => Some(Test::Parent),
        UserPattern::Name(NamePattern::Dn(dn)) => name_key(schema, dn).map(|(key, _)| Test::UserKey(key)),
        UserPattern::Name(NamePattern::Macro(template)) => Some(Test::Macro(MacroName::new(template, MacroKind::User))),
        UserPattern::Name(NamePattern::Pattern(text)) => NameGlob::new(schema, text).map(Test::UserGlob),
        UserPattern::Search { base, scope, filter } => name_key(schema, base)
            .zip(Filter::parse(filter).ok())
            .map(|((base, base_rdns), filter)| Test::UserSearch(UserSearch { base, base_rdns, scope: *scope, filter })),
    };
    test.map_or(Expression::Known(None), Expression::Test)
}

fn user_attr(schema: &Schema, levels: &[u8], attribute: &str, kind: &UserAttrKind) -> Option<Test> {
    let attribute = schema.attribute_type(attribute)?;
    let kind = match kind {
        UserAttrKind::UserDn => UserAttrTest::User,
        UserAttrKind::GroupDn => UserAttrTest::Group,
        UserAttrKind::RoleDn => UserAttrTest::Role,
        UserAttrKind::LdapUrl => UserAttrTest::Url,
        UserAttrKind::Value(value) => {
            let mut key = Vec::new();
            attribute.equality?.key(schema, value.as_bytes(), &mut key).ok()?;
            let assertion = crate::model::Assertion {
                attribute: Cow::Owned(attribute.name().to_owned()),
                value: Cow::Owned(value.clone().into_bytes()),
            };
            UserAttrTest::Value(key, Filter::Equality(assertion))
        }
    };
    Some(Test::UserAttr(UserAttr { levels: levels.to_vec(), attribute: attribute.index, kind }))
}

/// Being a member of one of these, or having one of these roles.
fn holders(
    schema: &Schema,
    negated: bool,
    names: &[NamePattern],
    plain: fn(Vec<u8>) -> Test,
    kind: MacroKind,
) -> Expression {
    let test = |name: &NamePattern| match name {
        NamePattern::Dn(dn) => name_key(schema, dn).map(|(key, _)| plain(key)),
        NamePattern::Macro(template) => Some(Test::Macro(MacroName::new(template, kind))),
        NamePattern::Pattern(_) => None,
    };
    let known = |test: Option<Test>| test.map_or(Expression::Known(None), Expression::Test);
    negate(Expression::Any(names.iter().map(|name| known(test(name))).collect()), negated)
}

fn lower_test(schema: &Schema, test: &BindTest) -> Expression {
    match test {
        BindTest::UserDn { negated, users } => {
            negate(Expression::Any(users.iter().map(|pattern| user(schema, pattern)).collect()), *negated)
        }
        BindTest::GroupDn { negated, groups } => holders(schema, *negated, groups, Test::Group, MacroKind::Group),
        BindTest::RoleDn { negated, roles } => holders(schema, *negated, roles, Test::Role, MacroKind::Role),
        BindTest::UserAttr { negated, levels, attribute, kind } => {
            let test = user_attr(schema, levels, attribute, kind);
            negate(test.map_or(Expression::Known(None), Expression::Test), *negated)
        }
        BindTest::Ip { negated, networks } => negate(Expression::Test(Test::Ip(networks.clone())), *negated),
        BindTest::Dns { negated, hosts } => {
            let patterns = hosts.iter().map(|host| HostPattern::new(host)).collect();
            negate(Expression::Test(Test::Host(patterns)), *negated)
        }
        BindTest::AuthMethod { negated, method } => {
            negate(Expression::Test(Test::AuthMethod(method.clone())), *negated)
        }
        BindTest::Ssf(comparison, bits) => Expression::Test(Test::Ssf(*comparison, *bits)),
        BindTest::TimeOfDay(comparison, minutes) => Expression::Test(Test::TimeOfDay(*comparison, *minutes)),
        BindTest::DayOfWeek { negated, days } => negate(Expression::Test(Test::DayOfWeek(days.clone())), *negated),
    }
}

impl Expression {
    /// Lowers a parsed bind rule. Recursion is bounded by the parser's limits.
    pub(super) fn lower(schema: &Schema, rule: &BindRule) -> Self {
        match rule {
            BindRule::And(parts) => Self::All(parts.iter().map(|part| Self::lower(schema, part)).collect()),
            BindRule::Or(parts) => Self::Any(parts.iter().map(|part| Self::lower(schema, part)).collect()),
            BindRule::Not(inner) => Self::Not(Box::new(Self::lower(schema, inner))),
            BindRule::Test(test) => lower_test(schema, test),
        }
    }

    /// Replaces every test that `answer` knows (`Some`) and folds what follows.
    pub(super) fn reduce(&self, answer: &mut dyn FnMut(&Test) -> Option<Verdict>) -> Self {
        match self {
            Self::Known(verdict) => Self::Known(*verdict),
            Self::Test(test) => answer(test).map_or_else(|| Self::Test(test.clone()), Self::Known),
            Self::Not(inner) => match inner.reduce(answer) {
                Self::Known(verdict) => Self::Known(verdict.map(|truth| !truth)),
                inner => Self::Not(Box::new(inner)),
            },
            Self::All(parts) => Self::fold(parts, false, answer, Self::All),
            Self::Any(parts) => Self::fold(parts, true, answer, Self::Any),
        }
    }

    /// `decisive` ends the whole (false in an and, true in an or); the opposite drops out; the unknown stays once.
    fn fold(
        parts: &[Self],
        decisive: bool,
        answer: &mut dyn FnMut(&Test) -> Option<Verdict>,
        whole: fn(Vec<Self>) -> Self,
    ) -> Self {
        let mut left = Vec::new();
        let mut is_unknown = false;
        for part in parts {
            match part.reduce(answer) {
                Self::Known(Some(truth)) if truth == decisive => return Self::Known(Some(decisive)),
                Self::Known(Some(_)) => {}
                Self::Known(None) => is_unknown = true,
                part => left.push(part),
            }
        }
        if left.is_empty() {
            return Self::Known(if is_unknown { None } else { Some(!decisive) });
        }
        if is_unknown {
            left.push(Self::Known(None));
        }
        if left.len() == 1 { left.pop().unwrap_or(Self::Known(None)) } else { whole(left) }
    }

    /// The value when every test has an answer.
    pub(super) fn evaluate(&self, answer: &mut dyn FnMut(&Test) -> Verdict) -> Verdict {
        match self {
            Self::Known(verdict) => *verdict,
            Self::Test(test) => answer(test),
            Self::Not(inner) => inner.evaluate(answer).map(|truth| !truth),
            Self::All(parts) => Self::evaluate_until(parts, false, answer),
            Self::Any(parts) => Self::evaluate_until(parts, true, answer),
        }
    }

    fn evaluate_until(parts: &[Self], decisive: bool, answer: &mut dyn FnMut(&Test) -> Verdict) -> Verdict {
        let mut verdict = Some(!decisive);
        for part in parts {
            match part.evaluate(answer) {
                Some(truth) if truth == decisive => return Some(decisive),
                Some(_) => {}
                None => verdict = None,
            }
        }
        verdict
    }

    /// Whether any test asks for the time.
    pub(super) fn depends_on_time(&self) -> bool {
        self.any(&|test| matches!(test, Test::TimeOfDay(..) | Test::DayOfWeek(_)))
    }

    /// Whether any test asks for the name of the client's host.
    pub(super) fn depends_on_host(&self) -> bool {
        self.any(&|test| matches!(test, Test::Host(_)))
    }

    fn any(&self, is_so: &dyn Fn(&Test) -> bool) -> bool {
        match self {
            Self::Known(_) => false,
            Self::Test(test) => is_so(test),
            Self::Not(inner) => inner.any(is_so),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.any(is_so)),
        }
    }
}

fn authmethod_fits(method: &AuthMethod, authentication: &Authentication) -> bool {
    match method {
        AuthMethod::None => true,
        AuthMethod::Simple => *authentication == Authentication::Simple,
        AuthMethod::Ssl => *authentication == Authentication::ClientCertificate,
        AuthMethod::Sasl(None) => matches!(authentication, Authentication::Sasl(_) | Authentication::ClientCertificate),
        AuthMethod::Sasl(Some(wanted)) => match authentication {
            Authentication::Sasl(mechanism) => mechanism.eq_ignore_ascii_case(wanted),
            Authentication::ClientCertificate => wanted == "EXTERNAL",
            _ => false,
        },
    }
}

impl UserSearch {
    fn finds(&self, schema: &Schema, requester: &Requester, facts: &dyn RequesterFacts) -> Verdict {
        let (Some(key), Some(dn)) = (requester.dn_key(), requester.dn()) else {
            return Some(false);
        };
        let rdns = || name_key(schema, dn).map_or(0, |(_, rdns)| rdns);
        if !is_in_scope(self.scope, &self.base, self.base_rdns, key, rdns) {
            return Some(false);
        }
        facts.requester_matches(&self.filter)
    }
}

/// About what a bind rule is judged.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) judged: Judged<'a>,
    /// What `($dn)` of the rule's target is.
    pub(super) dn: &'a [Rdn],
}

/// Who a test is judged for.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) schema: &'a Schema,
    pub(super) context: AccessContext<'a>,
    pub(super) facts: &'a dyn RequesterFacts,
}

impl Subject<'_> {
    /// Answers tests on requester and connection; `None` for those on the entry.
    pub(super) fn answer(&self, test: &Test) -> Option<Verdict> {
        let requester = self.context.requester;
        let verdict = match test {
            Test::SelfEntry | Test::Parent | Test::UserAttr(_) | Test::Macro(_) => {
                // Only an entry can be another's self, parent or manager.
                return requester.entry_uuid().is_none().then_some(Some(false));
            }
            Test::Authenticated => Some(!requester.is_anonymous()),
            Test::UserKey(key) => Some(requester.dn_key() == Some(key)),
            Test::UserGlob(glob) => {
                let dn = requester.dn().filter(|_| requester.entry_uuid().is_some());
                let name = dn.and_then(|dn| normal_name(self.schema, dn));
                Some(name.is_some_and(|name| glob.fits(&name)))
            }
            Test::UserSearch(search) => search.finds(self.schema, requester, self.facts),
            Test::Group(key) => Some(requester.entry_uuid().is_some() && self.facts.is_member(key)),
            Test::Role(key) => Some(requester.entry_uuid().is_some() && self.facts.has_role(key)),
            Test::Ip(networks) => {
                Some(requester.peer.is_some_and(|peer| networks.iter().any(|network| network.contains(peer))))
            }
            // What could not be looked up may be any name.
            Test::Host(patterns) => {
                requester.host.as_deref().map(|host| patterns.iter().any(|pattern| pattern.fits(host)))
            }
            Test::AuthMethod(method) => Some(authmethod_fits(method, &requester.authentication)),
            Test::Ssf(comparison, bits) => Some(comparison.holds(&requester.ssf, bits)),
            Test::TimeOfDay(comparison, minutes) => Some(comparison.holds(&self.context.time.minute_of_day, minutes)),
            Test::DayOfWeek(days) => Some(days.contains(&self.context.time.day)),
        };
        Some(verdict)
    }

    /// Answers tests on an entry; the right matters for `userattr`, whose level 0 never lets anybody add an entry
    /// (else an added entry could name its own author as manager; 389-DS holds it the same way).
    pub(super) fn answer_entry(&self, test: &Test, case: Case<'_>) -> Verdict {
        let uuid = self.context.requester.entry_uuid();
        let entry = case.judged.entry;
        match test {
            Test::SelfEntry => Some(uuid.is_some() && uuid == entry.uuid()),
            Test::Parent => Some(uuid.is_some() && uuid == entry.superior_uuid()),
            Test::UserAttr(test) => self.user_attr(test, case.judged),
            Test::Macro(_) if uuid.is_none() => Some(false),
            Test::Macro(name) => name.names(self, entry, case.dn),
            test => self.answer(test).unwrap_or(None),
        }
    }

    fn user_attr(&self, test: &UserAttr, judged: Judged<'_>) -> Verdict {
        let Judged { entry, right } = judged;
        if self.context.requester.entry_uuid().is_none() {
            return Some(false);
        }
        let attribute = self.schema.attribute_type_at(test.attribute);
        if let UserAttrTest::Value(_, filter) = &test.kind
            && self.facts.requester_matches(filter) != Some(true)
        {
            return Some(false);
        }
        let levels = test.levels.iter().filter(|level| **level != 0 || right != Right::Add);
        for level in levels {
            let mut found = false;
            entry.values(*level, attribute, &mut |value| {
                found = found || self.value_names_requester(test, value);
            });
            if found {
                return Some(true);
            }
        }
        Some(false)
    }

    fn value_names_requester(&self, test: &UserAttr, value: &[u8]) -> bool {
        let key = || Dn::parse_bytes(value).ok().map(|dn| self.schema.dn_key(&dn));
        match &test.kind {
            UserAttrTest::User => key().is_some_and(|key| self.context.requester.dn_key() == Some(&key)),
            UserAttrTest::Group => key().is_some_and(|key| self.facts.is_member(&key)),
            UserAttrTest::Role => key().is_some_and(|key| self.facts.has_role(&key)),
            UserAttrTest::Url => {
                let pattern = std::str::from_utf8(value).ok().and_then(values::user_url);
                let expression = pattern.map(|pattern| user(self.schema, &pattern));
                expression.is_some_and(|expression| {
                    expression.evaluate(&mut |test| self.answer(test).unwrap_or(Some(false))) == Some(true)
                })
            }
            UserAttrTest::Value(wanted, _) => {
                let rule = self.schema.attribute_type_at(test.attribute).equality;
                let mut key = Vec::new();
                rule.is_some_and(|rule| rule.key(self.schema, value, &mut key).is_ok()) && key == *wanted
            }
        }
    }
}
