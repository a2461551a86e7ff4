//! Why somebody may or may not: the decision for one entry told rule by rule, as the same rules decide it in operations.

use super::Access;
use super::decided::{Decided, RuleBook};
use super::facts::{OwnFacts, ProspectiveEntry, TreeEntry};
use crate::dit::Dit;
use crate::model::{Dn, ResultCode};
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::virtual_entry;
use crate::policy::access::{AccessContext, EntryFacts, Explanation, LocalTime};
use crate::policy::requester::{Requester, RequesterKind};
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use std::sync::Arc;

/// Who wants what.
#[derive(Clone, Debug)]
pub struct AccessQuestion<'q> {
    /// Who asks, over what connection.
    pub requester: Requester,
    /// The entry; one that is not there is taken as one about to be added, without attributes.
    pub entry: &'q Dn,
    /// The attribute by name; `None`: the entry as a whole.
    pub attribute: Option<&'q str>,
    /// The rights asked about.
    pub rights: &'q [Right],
    /// When.
    pub time: LocalTime,
}

/// The answers, one for each right.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Whether the entry is there.
    pub is_there: bool,
    /// Of an entry that is not in the tree (`cn=monitor` and its like): the suffix and the attribute whose reading is
    /// explained instead, because that decides.
    pub instead: Option<(String, &'static str)>,
    /// In the order of the rights asked about.
    pub explanations: Vec<Explanation>,
}

/// Who a DN is, to ask for: an entry, the administrator, or nobody for an empty one. `connection`: over which connection.
///
/// # Errors
/// noSuchObject; storage.
pub fn requester_named(dit: &Dit, dn: &Dn, connection: &Requester) -> Outcome<Requester> {
    let authentication = connection.authentication.clone();
    if dn.is_root() {
        return Ok(connection.with_identity(RequesterKind::Anonymous, crate::policy::requester::Authentication::None));
    }
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let schema = view.catalog().schema();
    let dn_key = schema.dn_key(dn);
    if let Some((text, _)) = dit.administrator()?
        && Dn::parse(&text).is_ok_and(|administrator| schema.dn_key(&administrator) == dn_key)
    {
        return Ok(connection.with_identity(RequesterKind::Administrator { dn: text }, authentication));
    }
    let found = view.resolve(dn)?.entry.map(|id| view.entry(id)).transpose()?.flatten();
    let Some(entry) = found else { return Err(absent(dn)) };
    let text = view.dn_text(entry.id)?.unwrap_or_default();
    let kind = RequesterKind::Entry { uuid: entry.record.uuid(), dn: text, dn_key };
    Ok(connection.with_identity(kind, authentication))
}

fn absent(dn: &Dn) -> OperationError {
    OperationError::new(ResultCode::NO_SUCH_OBJECT, format!("there is no entry {dn}"))
}

/// Answers a question from the tree as it is.
///
/// # Errors
/// noSuchObject where neither the entry nor its superior is there; undefinedAttributeType; storage.
pub fn explain_access(dit: &Dit, question: &AccessQuestion<'_>) -> Outcome<Explained> {
    let Some(feed) = virtual_entry::feed_of(question.entry) else { return explain_in_tree(dit, question) };
    let suffixes: Vec<String> = {
        let snapshot = dit.read()?;
        let view = snapshot.view();
        let names = view.suffixes()?.into_iter().map(|suffix| view.dn_text(suffix)).collect::<Result<Vec<_>, _>>()?;
        names.into_iter().flatten().collect()
    };
    let mut told = None;
    for suffix in suffixes {
        let dn = Dn::parse(&suffix)?;
        let asked = AccessQuestion {
            requester: question.requester.clone(),
            entry: &dn,
            attribute: Some(feed.marker()),
            rights: &[Right::Read],
            time: question.time,
        };
        let explained = Explained { instead: Some((suffix, feed.marker())), ..explain_in_tree(dit, &asked)? };
        let is_allowed = explained.explanations.iter().all(Explanation::is_allowed);
        if is_allowed || told.is_none() {
            told = Some(explained);
        }
        if is_allowed {
            break;
        }
    }
    told.ok_or_else(|| absent(question.entry))
}

fn explain_in_tree(dit: &Dit, question: &AccessQuestion<'_>) -> Outcome<Explained> {
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let schema = view.catalog().schema();
    let attribute = question.attribute.map(|name| {
        let found = schema.attribute_type(name.split(';').next().unwrap_or_default()).map(|found| found.index);
        found.ok_or_else(|| {
            OperationError::new(ResultCode::UNDEFINED_ATTRIBUTE_TYPE, format!("{name} is not in the schema"))
        })
    });
    let attribute: Option<AttributeTypeIndex> = attribute.transpose()?;
    let book = Arc::new(RuleBook::load(dit, dit.rules_generation(), schema, None)?);
    let decided = Arc::new(Decided::new(dit, &question.requester, book, question.time)?);
    let access = Access::new(view, Some(Arc::clone(&decided)));
    let found = view.resolve(question.entry)?;
    let Some(at) = found.entry.or_else(|| found.matched.filter(|_| found.missing == 1)) else {
        return Err(absent(question.entry));
    };
    let entry = view.entry(at)?.ok_or_else(|| absent(question.entry))?;
    let there = TreeEntry { access: &access, view, entry };
    let new = ProspectiveEntry { access: &access, view, dn: question.entry, superior: at, attributes: &[] };
    let facts: &dyn EntryFacts = if found.entry.is_some() { &there } else { &new };
    let rules = decided.rules_at(access.holder_above(&decided, at)?);
    let own = OwnFacts { decided: &decided, view };
    let context = AccessContext { requester: &decided.requester, time: question.time };
    let explain = |right: &Right| decided.book.compiler.explain(&rules, &context, &own, facts, (*right, attribute));
    let explanations = question.rights.iter().map(explain).collect();
    Ok(Explained { is_there: found.entry.is_some(), instead: None, explanations })
}
