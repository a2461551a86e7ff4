//! Why a right is given or refused, rule by rule; for operators and for tests.

use super::bind_rule::{Case, Expression, Subject, Verdict};
use super::compile::{CompiledPermission, CompiledRules, Judged, Rule};
use super::moves::MoveRule;
use super::{AccessCompiler, AccessContext, EntryFacts, Move, MovePlace, MoveVerdict, RequesterFacts};
use crate::model::Dn;
use crate::policy::aci::{Aci, BindRule, BindTest, Effect, UserAttrKind};
use crate::policy::requester::Authentication;
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use std::fmt;
use std::sync::Arc;

/// A decision and all rules that were looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The right asked about.
    pub right: Right,
    /// What was decided, and by which rule.
    pub outcome: Outcome,
    /// Every permission of every rule handed in, in their order.
    pub rules: Vec<RuleReport>,
}

/// What decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Allowed: the administrator is not judged.
    Administrator,
    /// Allowed by the permission with this index in [`Explanation::rules`], and denied by none.
    AllowedBy(usize),
    /// Denied by the permission with this index.
    DeniedBy(usize),
    /// Denied, because nothing allows it.
    NothingAllows,
}

/// One permission of one rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleReport {
    /// DN of the entry that holds the rule.
    pub holder: String,
    /// The rule's name.
    pub name: String,
    /// Allow or deny.
    pub effect: Effect,
    /// Whether it counts here.
    pub verdict: RuleVerdict,
    /// The part of the rule that does not fit, and what is so instead; empty where all fit.
    pub detail: String,
    /// The whole rule, in one spelling.
    pub text: String,
}

/// Whether a permission counts, or the first reason why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleVerdict {
    /// It counts.
    Applies,
    /// It is about other rights.
    OtherRight,
    /// The entry is not in its target.
    OtherTarget,
    /// It is about moves between other places.
    OtherPlaces,
    /// It is about other attributes.
    OtherAttribute,
    /// It is about attributes, and the question is about the entry as a whole.
    Attributes,
    /// The entry does not match its filter.
    OtherFilter,
    /// The entry has values that the rule does not let come or go.
    OtherValues,
    /// It is about other requesters, connections or times.
    OtherRequester,
    /// It is about some values of the attribute only: an allow does not give all, a deny takes some.
    SomeValues,
    /// A condition cannot be judged: an allow does not count, a deny does.
    Unknown,
}

impl RuleVerdict {
    /// In words, after the name of a rule.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Applies => "applies",
            Self::OtherRight => "is about other rights",
            Self::OtherTarget => "is about other entries (target)",
            Self::OtherPlaces => "is about moves between other places (target_from, target_to)",
            Self::OtherAttribute => "is about other attributes (targetattr)",
            Self::Attributes => "is about attributes (targetattr): ask with --attribute NAME",
            Self::OtherFilter => "is about other entries (targetfilter)",
            Self::OtherValues => "is about entries with other values (targattrfilters)",
            Self::OtherRequester => "is about other requesters (bind rule)",
            Self::SomeValues => "is about some values of the attribute only (targattrfilters)",
            Self::Unknown => "cannot be judged: gives nothing, takes if it is a deny",
        }
    }
}

impl Explanation {
    /// Whether the right is given.
    pub const fn is_allowed(&self) -> bool {
        matches!(self.outcome, Outcome::Administrator | Outcome::AllowedBy(_))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = |index: usize| self.rules.get(index).map_or("", |rule| &rule.name);
        match self.outcome {
            Outcome::Administrator => writeln!(f, "{}: allowed, the administrator is not judged", self.right)?,
            Outcome::AllowedBy(index) => writeln!(f, "{}: allowed by \"{}\"", self.right, rule(index))?,
            Outcome::DeniedBy(index) => writeln!(f, "{}: denied by \"{}\"", self.right, rule(index))?,
            Outcome::NothingAllows => writeln!(f, "{}: denied, nothing allows it", self.right)?,
        }
        for report in &self.rules {
            let effect = if report.effect == Effect::Allow { "allow" } else { "deny" };
            write!(f, "  {effect} \"{}\" of {} {}", report.name, report.holder, report.verdict.text())?;
            if report.detail.is_empty() { writeln!(f)? } else { writeln!(f, ": {}", report.detail)? }
        }
        Ok(())
    }
}

impl AccessCompiler {
    /// Decides one right on one attribute, or (`None`) on the entry as a whole, and tells why. Evaluates every rule
    /// afresh; the answer equals that of [`super::EntryAccess::allows`].
    pub fn explain(
        &self,
        rules: &[Arc<CompiledRules>],
        context: &AccessContext<'_>,
        facts: &dyn RequesterFacts,
        entry: &dyn EntryFacts,
        question: (Right, Option<AttributeTypeIndex>),
    ) -> Explanation {
        let (right, attribute) = question;
        let subject = Subject { schema: &self.schema, context: *context, facts };
        let mut reports = Vec::new();
        for holder in rules {
            for rule in &holder.rules {
                for permission in &rule.permissions {
                    let verdict = verdict(rule, permission, &subject, Judged { entry, right }, attribute);
                    let (target, dn) = rule.target_fits(&self.schema, entry);
                    let blame = Blame { subject: &subject, case: Case { judged: Judged { entry, right }, dn: &dn } };
                    reports.push(RuleReport {
                        holder: holder.holder_dn.clone(),
                        name: rule.name.clone(),
                        effect: permission.effect,
                        verdict,
                        detail: blame.detail(rule, permission, verdict, target),
                        text: rule.source.as_ref().map(ToString::to_string).unwrap_or_default(),
                    });
                }
            }
        }
        let counts = |report: &RuleReport, effect| {
            report.effect == effect
                && match report.verdict {
                    RuleVerdict::Applies => true,
                    RuleVerdict::SomeValues | RuleVerdict::Unknown => effect == Effect::Deny,
                    _ => false,
                }
        };
        let find = |effect| reports.iter().position(|report| counts(report, effect));
        let outcome = if context.requester.is_administrator() {
            Outcome::Administrator
        } else if let Some(index) = find(Effect::Deny) {
            Outcome::DeniedBy(index)
        } else {
            find(Effect::Allow).map_or(Outcome::NothingAllows, Outcome::AllowedBy)
        };
        Explanation { right, outcome, rules: reports }
    }
}

impl AccessCompiler {
    /// Decides a move and tells why: by a rule about moves, or by the rights to leave and to arrive. In the reports the rules
    /// about moves come first; of the others those that have one of these rights.
    pub fn explain_move(
        &self,
        context: &AccessContext<'_>,
        facts: &dyn RequesterFacts,
        moving: &Move<'_>,
    ) -> Explanation {
        let subject = Subject { schema: &self.schema, context: *context, facts };
        let mut told = Explanation { right: Right::ModDn, outcome: Outcome::NothingAllows, rules: Vec::new() };
        for holder in moving.superior.rules {
            for of_move in &holder.moves {
                for permission in of_move.rule.permissions.iter().filter(|of| of.rights.contains(Right::ModDn)) {
                    told.rules.push(move_report(&subject, holder, of_move, permission, moving));
                }
            }
        }
        let decided = |rules: &[RuleReport]| {
            let counts = |report: &RuleReport| match report.effect {
                Effect::Deny => matches!(report.verdict, RuleVerdict::Applies | RuleVerdict::Unknown),
                Effect::Allow => report.verdict == RuleVerdict::Applies,
            };
            let by = |effect| rules.iter().position(|report| report.effect == effect && counts(report));
            (by(Effect::Deny), by(Effect::Allow))
        };
        let (denied, allowed) = decided(&told.rules);
        let mut given_by: Vec<Option<usize>> = Vec::with_capacity(2);
        let mut taken_by = None;
        let places = [
            (moving.leaves, [Right::ModDn, Right::Delete], "to leave"),
            (moving.arrives, [Right::ModDn, Right::Add], "to arrive"),
        ];
        for (MovePlace { entry, rules }, rights, label) in places {
            let mut side_by = None;
            for right in rights {
                let explained = self.explain(rules, context, facts, entry, (right, None));
                let concerned = |report: &RuleReport| report.verdict != RuleVerdict::OtherRight;
                let index = |by: usize| {
                    told.rules.len() + explained.rules.iter().take(by).filter(|report| concerned(report)).count()
                };
                match explained.outcome {
                    Outcome::AllowedBy(by) => side_by = side_by.or_else(|| Some(index(by))),
                    Outcome::DeniedBy(by) if right == Right::ModDn => taken_by = taken_by.or_else(|| Some(index(by))),
                    _ => {}
                }
                told.rules.extend(explained.rules.into_iter().filter(concerned).map(|report| {
                    let detail = match report.detail.as_str() {
                        "" => format!("{label} ({right})"),
                        detail => format!("{label} ({right}): {detail}"),
                    };
                    RuleReport { detail, ..report }
                }));
            }
            given_by.push(side_by);
        }
        let arrives_by = given_by.into_iter().collect::<Option<Vec<usize>>>().and_then(|both| both.last().copied());
        told.outcome = match (self.judge_move(context, facts, moving), arrives_by) {
            _ if context.requester.is_administrator() => Outcome::Administrator,
            (MoveVerdict::Denied, _) => denied.or(taken_by).map_or(Outcome::NothingAllows, Outcome::DeniedBy),
            (MoveVerdict::Allowed, _) => allowed.map_or(Outcome::NothingAllows, Outcome::AllowedBy),
            (MoveVerdict::Unsaid, Some(by)) => Outcome::AllowedBy(by),
            (MoveVerdict::Unsaid, None) => taken_by.map_or(Outcome::NothingAllows, Outcome::DeniedBy),
        };
        told
    }
}

fn move_report(
    subject: &Subject<'_>,
    holder: &CompiledRules,
    of_move: &MoveRule,
    permission: &CompiledPermission,
    moving: &Move<'_>,
) -> RuleReport {
    let judged = Judged { entry: moving.superior.entry, right: Right::ModDn };
    let found =
        match (of_move.places_fit(subject.schema, moving), verdict(&of_move.rule, permission, subject, judged, None)) {
            (Some(false), _) => RuleVerdict::OtherPlaces,
            (None, RuleVerdict::Applies) => RuleVerdict::Unknown,
            (_, found) => found,
        };
    let (target, dn) = of_move.rule.target_fits(subject.schema, judged.entry);
    let blame = Blame { subject, case: Case { judged, dn: &dn } };
    RuleReport {
        holder: holder.holder_dn.clone(),
        name: of_move.rule.name.clone(),
        effect: permission.effect,
        verdict: found,
        detail: blame.detail(&of_move.rule, permission, found, target),
        text: of_move.rule.source.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// The first condition that is false; unknown when one is and none is false.
fn first_reason(conditions: &mut [(RuleVerdict, &mut dyn FnMut() -> Verdict)]) -> RuleVerdict {
    let mut verdict = RuleVerdict::Applies;
    for (reason, holds) in conditions {
        match holds() {
            Some(true) => {}
            Some(false) => return *reason,
            None => verdict = RuleVerdict::Unknown,
        }
    }
    verdict
}

/// Whether a permission counts for the right on the attribute, or (`None`) on the entry as a whole.
fn verdict(
    rule: &Rule,
    permission: &CompiledPermission,
    subject: &Subject<'_>,
    judged: Judged<'_>,
    attribute: Option<AttributeTypeIndex>,
) -> RuleVerdict {
    let (schema, right) = (subject.schema, judged.right);
    let asks_values = right == Right::Write && attribute.is_some_and(|index| rule.has_value_filter_of(index));
    if !permission.rights.contains(right) {
        return RuleVerdict::OtherRight;
    }
    if !asks_values && !rule.is_for(permission.effect, right, attribute) {
        return if attribute.is_some() { RuleVerdict::OtherAttribute } else { RuleVerdict::Attributes };
    }
    let (target, dn) = rule.target_fits(schema, judged.entry);
    let case = Case { judged, dn: &dn };
    let found = first_reason(&mut [
        (RuleVerdict::OtherTarget, &mut || target),
        (RuleVerdict::OtherFilter, &mut || rule.filter_fits(judged.entry, &dn)),
        (RuleVerdict::OtherValues, &mut || rule.values_fit(schema, judged)),
        (RuleVerdict::OtherRequester, &mut || {
            permission.bind_rule.evaluate(&mut |test| subject.answer_entry(test, case))
        }),
    ]);
    match found {
        RuleVerdict::Applies if asks_values => RuleVerdict::SomeValues,
        found => found,
    }
}

/// Finds the part of a rule that does not fit.
struct Blame<'a> {
    subject: &'a Subject<'a>,
    case: Case<'a>,
}

impl Blame<'_> {
    fn detail(&self, rule: &Rule, permission: &CompiledPermission, verdict: RuleVerdict, target: Verdict) -> String {
        let Some(aci) = rule.source.as_deref() else {
            return "the value cannot be read, so that it denies everything; repair or delete it".to_owned();
        };
        let bind_rule = || {
            let place = rule.permissions.iter().position(|known| std::ptr::eq(known, permission));
            let written = place.and_then(|place| aci.permissions.get(place));
            written.map(|written| self.bind_rule(&written.bind_rule)).unwrap_or_default()
        };
        match verdict {
            RuleVerdict::Applies => String::new(),
            RuleVerdict::OtherRight => format!("it has {}", permission.rights),
            RuleVerdict::OtherTarget => target_text(aci),
            RuleVerdict::OtherPlaces => places_text(aci),
            RuleVerdict::OtherAttribute | RuleVerdict::Attributes => {
                part(aci, "targetattr").unwrap_or_else(|| "it has no targetattr".to_owned())
            }
            RuleVerdict::OtherFilter => part(aci, "targetfilter").unwrap_or_default(),
            RuleVerdict::OtherValues | RuleVerdict::SomeValues => part(aci, "targattrfilters").unwrap_or_default(),
            RuleVerdict::OtherRequester => bind_rule(),
            RuleVerdict::Unknown if target.is_none() => target_text(aci),
            RuleVerdict::Unknown if rule.filter_fits(self.case.judged.entry, self.case.dn).is_none() => {
                part(aci, "targetfilter").unwrap_or_default()
            }
            RuleVerdict::Unknown => bind_rule(),
        }
    }

    fn value(&self, rule: &BindRule) -> Verdict {
        let expression = Expression::lower(self.subject.schema, rule);
        expression.evaluate(&mut |test| self.subject.answer_entry(test, self.case))
    }

    /// The part of a bind rule that makes it false or unknown.
    fn bind_rule(&self, rule: &BindRule) -> String {
        match rule {
            BindRule::And(parts) => {
                let wrong = parts.iter().find(|part| self.value(part) == Some(false));
                let wrong = wrong.or_else(|| parts.iter().find(|part| self.value(part).is_none()));
                wrong.map(|part| self.bind_rule(part)).unwrap_or_default()
            }
            BindRule::Or(parts) => parts.iter().map(|part| self.bind_rule(part)).collect::<Vec<_>>().join("; nor "),
            BindRule::Not(_) => rule.to_string(),
            BindRule::Test(test) => {
                let mut text = test.to_string();
                if text.contains("$dn") && !self.case.dn.is_empty() {
                    text = format!("{text} where ($dn) is {}", Dn::from_rdns(self.case.dn.to_vec()));
                }
                match self.fact(test) {
                    Some(fact) => format!("{text}, but {fact}"),
                    None => text,
                }
            }
        }
    }

    /// What is so instead.
    fn fact(&self, test: &BindTest) -> Option<String> {
        let context = self.subject.context;
        let requester = context.requester;
        let identity = |so: &str| match requester.dn() {
            Some(dn) => format!("{dn} {so}"),
            None => "the requester has not authenticated".to_owned(),
        };
        Some(match test {
            BindTest::UserDn { .. } => match requester.dn() {
                Some(dn) => format!("the requester is {dn}"),
                None => identity(""),
            },
            BindTest::GroupDn { negated: false, .. } => identity("is not in it"),
            BindTest::GroupDn { negated: true, .. } => identity("is in it"),
            BindTest::RoleDn { negated: false, .. } => identity("has it not"),
            BindTest::RoleDn { negated: true, .. } => identity("has it"),
            BindTest::UserAttr { negated: false, kind, .. } => identity(match kind {
                UserAttrKind::UserDn => "is not named there",
                UserAttrKind::GroupDn => "is in no group that is named there",
                UserAttrKind::RoleDn => "has no role that is named there",
                UserAttrKind::LdapUrl => "is found by no URL there",
                UserAttrKind::Value(_) => "and the entry do not both have that value",
            }),
            BindTest::UserAttr { negated: true, kind, .. } => identity(match kind {
                UserAttrKind::UserDn => "is named there",
                UserAttrKind::GroupDn => "is in a group that is named there",
                UserAttrKind::RoleDn => "has a role that is named there",
                UserAttrKind::LdapUrl => "is found by a URL there",
                UserAttrKind::Value(_) => "and the entry both have that value",
            }),
            BindTest::Dns { .. } => match &requester.host {
                Some(host) => format!("the connection comes from {host}"),
                None => "the name of the client's host is not known".to_owned(),
            },
            BindTest::Ip { .. } => match requester.peer {
                Some(peer) => format!("the connection comes from {}", peer.to_canonical()),
                None => "the connection is a local socket".to_owned(),
            },
            BindTest::AuthMethod { .. } => match &requester.authentication {
                Authentication::None => "there was no bind".to_owned(),
                Authentication::Simple => "it was a simple bind".to_owned(),
                Authentication::Sasl(mechanism) => format!("it was SASL {mechanism}"),
                Authentication::ClientCertificate => "it was a client certificate".to_owned(),
            },
            BindTest::Ssf(..) => format!("the connection has {} bits", requester.ssf),
            BindTest::TimeOfDay(..) => {
                let minute = context.time.minute_of_day;
                format!("it is {:02}{:02} UTC", minute / 60, minute % 60)
            }
            BindTest::DayOfWeek { .. } => format!("it is {}", context.time.day.word()),
        })
    }
}

/// A target of the rule as written, by its word.
fn part(aci: &Aci, word: &str) -> Option<String> {
    let text = aci.to_string();
    let start = text.find(&format!("({word} "))?;
    let end = text.get(start..)?.find("\")").map(|length| start + length + 1)?;
    text.get(start + 1..end).map(str::to_owned)
}

fn places_text(aci: &Aci) -> String {
    ["target_from", "target_to"].iter().filter_map(|word| part(aci, word)).collect::<Vec<_>>().join(" and ")
}

fn target_text(aci: &Aci) -> String {
    let parts: Vec<String> = ["target", "targetscope"].iter().filter_map(|word| part(aci, word)).collect();
    if parts.is_empty() { "rules of the root are about the root alone".to_owned() } else { parts.join(" and ") }
}
