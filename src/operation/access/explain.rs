//! Why somebody may or may not: the decision for one entry told rule by rule, as the same rules decide it in operations.

use super::decided::{Decided, RuleBook};
use super::facts::{OwnFacts, ProspectiveEntry, TreeEntry};
use super::{Access, attributes_of};
use crate::dit::{Dit, View};
use crate::model::{Attribute, Dn, EntryUuid, ResultCode};
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::telling::Feed;
use crate::operation::{conflict_entry, deleted_entry, lost_entry, virtual_entry};
use crate::policy::access::{AccessContext, EntryFacts, Explanation, LocalTime};
use crate::policy::requester::{Requester, RequesterKind};
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use crate::storage::EntryId;
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
    /// The superior to which the entry is to be moved: whether it may be moved there is explained instead of rights.
    pub moved_to: Option<&'q Dn>,
    /// When.
    pub time: LocalTime,
}

/// The answers, one for each right.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Whether the entry is there.
    pub is_there: bool,
    /// Of an entry that is not in the tree (`cn=monitor` and its like): the name and the attribute whose reading is explained
    /// instead, because that decides: of a suffix, or of the entry that it is about, where that stands or stood.
    pub instead: Option<(String, String)>,
    /// Of an entry as a whole that is there: whether it is seen at all (`v` of get effective rights).
    pub is_seen: Option<bool>,
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
    if dn.is_root() {
        let text = "the root DSE is judged by no rule: everybody reads it; name an entry";
        return OperationError::new(ResultCode::NO_SUCH_OBJECT, text);
    }
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
            moved_to: None,
            time: question.time,
        };
        let explained =
            Explained { instead: Some((suffix, feed.marker().to_owned())), ..explain_in_tree(dit, &asked)? };
        let is_allowed = explained.explanations.iter().all(Explanation::is_allowed);
        if is_allowed || told.is_none() {
            told = Some(explained);
        }
        if is_allowed {
            break;
        }
    }
    let told = told.ok_or_else(|| absent(question.entry))?;
    if !told.explanations.iter().all(Explanation::is_allowed) {
        return Ok(told);
    }
    Ok(explain_subject(dit, question, feed)?.unwrap_or(told))
}

/// Of what is below one of them: why it is told or not, by the rules for the entry that it is about; and if it is told, why an
/// attribute of that is. `None` where it is about the server.
fn explain_subject(dit: &Dit, question: &AccessQuestion<'_>, feed: Feed) -> Outcome<Option<Explained>> {
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let Some(subject) = subject_of(view, question.entry)? else {
        let is_below =
            question.entry.rdns().len() > 1 && matches!(feed, Feed::Conflicts | Feed::Deleted | Feed::LostFound);
        return if is_below { Err(absent(question.entry)) } else { Ok(None) };
    };
    let dn = Dn::parse(&subject.name)?;
    let in_tree = view.by_uuid(subject.uuid)?.map(|id| view.entry(id)).transpose()?.flatten();
    let (book, decided) = rules_for(dit, view, question)?;
    let access = Access::new(view, Some(Arc::clone(&decided)));
    let superior = view.resolve(&dn)?.matched.unwrap_or(EntryId::NONE);
    let new = ProspectiveEntry { access: &access, view, dn: &dn, superior, attributes: &subject.attributes };
    let there = in_tree.map(|entry| TreeEntry { access: &access, view, entry });
    let (facts, at): (&dyn EntryFacts, EntryId) = match &there {
        Some(there) => (there, there.entry.id),
        None => (&new, superior),
    };
    let rules = decided.rules_at(access.holder_above(&decided, at)?);
    let own = OwnFacts { decided: &decided, view };
    let context = AccessContext { requester: &decided.requester, time: question.time };
    let explain = |name: &str| {
        let attribute = attribute_named(view, name)?;
        let explanation = book.compiler.explain(&rules, &context, &own, facts, (Right::Read, Some(attribute)));
        let instead = Some((subject.name.clone(), name.to_owned()));
        Ok(Explained { is_there: true, instead, is_seen: None, explanations: vec![explanation] })
    };
    let told = explain(feed.marker())?;
    match question.attribute {
        Some(name) if told.explanations.iter().all(Explanation::is_allowed) => explain(name).map(Some),
        _ => Ok(Some(told)),
    }
}

/// The entry that something below cn=conflicts, cn=deleted or cn=lost+found is about.
struct Subject {
    /// Of an entry that may be in the tree; else nil.
    uuid: EntryUuid,
    name: String,
    attributes: Vec<Attribute>,
}

fn subject_of(view: View<'_>, dn: &Dn) -> Outcome<Option<Subject>> {
    let [conflict, deleted, lost] = virtual_entry::below(dn);
    if let Some(rdn) = conflict {
        return Ok(conflict_entry::about(view, rdn)?.map(|(uuid, name)| Subject {
            uuid,
            name,
            attributes: Vec::new(),
        }));
    }
    let found = match (deleted.and_then(deleted_entry::uuid_of), lost.and_then(lost_entry::uuid_of)) {
        (Some(uuid), _) => deleted_entry::former(view, uuid)?,
        (_, Some(uuid)) => lost_entry::former(view, uuid)?,
        _ => None,
    };
    Ok(found.map(|(name, attributes)| Subject { uuid: EntryUuid::NIL, name, attributes }))
}

fn attribute_named(view: View<'_>, name: &str) -> Outcome<AttributeTypeIndex> {
    let found = view.catalog().schema().attribute_type(name.split(';').next().unwrap_or_default());
    found.map(|found| found.index).ok_or_else(|| {
        OperationError::new(ResultCode::UNDEFINED_ATTRIBUTE_TYPE, format!("{name} is not in the schema"))
    })
}

/// The rules as they are, and what they come to for who asks.
fn rules_for(dit: &Dit, view: View<'_>, question: &AccessQuestion<'_>) -> Outcome<(Arc<RuleBook>, Arc<Decided>)> {
    let book = Arc::new(RuleBook::load(dit, dit.rules_generation(), view.catalog().schema(), None)?);
    let decided = Arc::new(Decided::new(dit, &question.requester, Arc::clone(&book), question.time)?);
    Ok((book, decided))
}

fn explain_move(view: View<'_>, access: &Access<'_>, dn: &Dn, superior: &Dn) -> Outcome<Explained> {
    let found = |dn: &Dn| -> Outcome<EntryId> { view.resolve(dn)?.entry.ok_or_else(|| absent(dn)) };
    let (id, to) = (found(dn)?, found(superior)?);
    let entry = view.entry(id)?.ok_or_else(|| absent(dn))?;
    let Some(rdn) = dn.rdns().first() else { return Err(absent(dn)) };
    let attributes = attributes_of(view, &entry)?;
    let explained = access.explain_move(&entry, (&superior.child(rdn.clone()), to, &attributes))?;
    Ok(Explained { is_there: true, instead: None, is_seen: None, explanations: explained.into_iter().collect() })
}

fn explain_in_tree(dit: &Dit, question: &AccessQuestion<'_>) -> Outcome<Explained> {
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let attribute = question.attribute.map(|name| attribute_named(view, name)).transpose()?;
    let (book, decided) = rules_for(dit, view, question)?;
    let access = Access::new(view, Some(Arc::clone(&decided)));
    let found = view.resolve(question.entry)?;
    let Some(at) = found.entry.or_else(|| found.matched.filter(|_| found.missing == 1)) else {
        return Err(absent(question.entry));
    };
    let entry = view.entry(at)?.ok_or_else(|| absent(question.entry))?;
    if let Some(superior) = question.moved_to {
        return explain_move(view, &access, question.entry, superior);
    }
    let is_whole = attribute.is_none() && found.entry.is_some();
    let is_seen = is_whole.then(|| question.requester.is_administrator() || access.is_visible(&entry));
    let there = TreeEntry { access: &access, view, entry };
    let new = ProspectiveEntry { access: &access, view, dn: question.entry, superior: at, attributes: &[] };
    let facts: &dyn EntryFacts = if found.entry.is_some() { &there } else { &new };
    let rules = decided.rules_at(access.holder_above(&decided, at)?);
    let own = OwnFacts { decided: &decided, view };
    let context = AccessContext { requester: &decided.requester, time: question.time };
    let explain = |right: &Right| book.compiler.explain(&rules, &context, &own, facts, (*right, attribute));
    let explanations = question.rights.iter().map(explain).collect();
    Ok(Explained { is_there: found.entry.is_some(), instead: None, is_seen, explanations })
}
