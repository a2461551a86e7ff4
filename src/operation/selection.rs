//! Which attributes of an entry are sent, and under which names (RFC 4511 4.5.1.8, RFC 4529, RFC 3673).
//!
//! A request's list is resolved once: against the schema into what was meant, and against the catalog into attribute
//! numbers in ascending order. An entry's record has its attributes in the same order, so that picking is one walk
//! over both, and what is picked is copied as it stands. Whoever named a description gets it under the name as
//! spelled; what comes along (subtypes, options, `*`, `+`, `@class`) has the schema's name.
//!
//! Invariants
//! - Unknown, empty and repeated names are nothing; a list of unknown names never means all.
//! - Nothing is written that the requester may not read; an attribute without visible values is not written at all.

use super::access::{Access, Granted};
use super::outcome::Outcome;
use super::search::ValuesFilter;
use super::sync::context_csns;
use crate::dit::{Catalog, Entry, View};
use crate::model::attribute::{option_is_meant, split_options};
use crate::model::{Attribute, AttributeDescription};
use crate::policy::rights::Right;
use crate::schema::{AttributeTypeIndex, Schema};
use crate::search::{Collective, Computed, MEMBER, member_url, searched_members};
use crate::state::AttributeId;
use crate::storage::{AttributeSlice, EntryId};
use crate::wire::SearchEntry;
use std::ops::Range;
use std::sync::Arc;

/// One attribute description that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    index: AttributeTypeIndex,
    options: Vec<String>,
    /// As spelled, in `text`; `None`: not named itself (`@class`).
    name: Option<Range<usize>>,
}

/// An attribute of the catalog that is to be sent.
#[derive(Clone, Debug)]
struct Stored {
    id: AttributeId,
    name: Option<Range<usize>>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    text: Vec<u8>,
    asked: Vec<Asked>,
    stored: Vec<Stored>,
    computed: Vec<(Computed, AttributeTypeIndex, Option<Range<usize>>)>,
    all_user: bool,
    all_operational: bool,
    types_only: bool,
    /// For a copy: `+` leaves out what only this kind of server understands.
    is_copy: bool,
    /// contextCSN is asked for; its type, and the name as spelled.
    context_csn: Option<(AttributeTypeIndex, Option<Range<usize>>)>,
    /// What entryCSN shows instead of the entry's own.
    entry_csn: Option<String>,
    /// pwdPolicySubentry is asked for; its type, and the name as spelled.
    policy: Option<(AttributeTypeIndex, Option<Range<usize>>)>,
    /// What it shows instead of what is written.
    policy_name: Option<Vec<u8>>,
    /// A value of cn that the entry does not have.
    passing_name: Option<Vec<u8>>,
    /// Only values that fit are sent.
    values: Option<ValuesFilter>,
    /// How many descriptions the catalog had when `stored` was made.
    catalog_length: usize,
    /// Who shares collective attributes in the snapshot at hand.
    collective: Option<Arc<Collective>>,
    /// Values of `member` that groups find by search are asked for; its type, and the name as spelled.
    members: Option<(AttributeTypeIndex, Option<Range<usize>>)>,
    /// By what such groups are known, where there ever was one.
    member_url: Option<AttributeId>,
}

impl Selection {
    /// What a request's list means. Cost: one look-up for each name.
    pub(super) fn new<'n>(catalog: &Catalog, names: impl IntoIterator<Item = &'n str>, types_only: bool) -> Self {
        let mut selection = Self {
            text: Vec::new(),
            asked: Vec::new(),
            stored: Vec::new(),
            computed: Vec::new(),
            all_user: false,
            all_operational: false,
            types_only,
            is_copy: false,
            context_csn: None,
            entry_csn: None,
            policy: None,
            policy_name: None,
            passing_name: None,
            values: None,
            catalog_length: 0,
            collective: None,
            members: None,
            member_url: None,
        };
        let mut is_empty = true;
        for name in names {
            is_empty = false;
            selection.ask(catalog.schema(), name);
        }
        selection.all_user |= is_empty;
        selection.compute(catalog.schema());
        selection.resolve(catalog);
        selection
    }

    fn ask(&mut self, schema: &Schema, name: &str) {
        match name {
            "*" => self.all_user = true,
            "+" => self.all_operational = true,
            _ => {
                // `*@class` is how 389 asks for the rights to the attributes of a class.
                if let Some(class) = name.strip_prefix("*@").or_else(|| name.strip_prefix('@')) {
                    let Some(class) = schema.object_class(class) else { return };
                    let mut indexes = [class.must.as_slice(), class.may.as_slice()].concat();
                    indexes.sort_unstable();
                    indexes.dedup();
                    let plain = |index| Asked { index, options: Vec::new(), name: None };
                    self.asked.extend(indexes.into_iter().map(plain));
                    return;
                }
                let (bare, _) = split_options(name);
                let Some(found) = schema.attribute_type(bare) else { return };
                let options = if bare.len() == name.len() {
                    Vec::new()
                } else {
                    match AttributeDescription::parse(name) {
                        Ok(description) if schema.attribute_options().unknown_in(&description).is_none() => {
                            description.options().to_vec()
                        }
                        _ => return,
                    }
                };
                let start = self.text.len();
                self.text.extend_from_slice(name.as_bytes());
                self.asked.push(Asked { index: found.index, options, name: Some(start..self.text.len()) });
            }
        }
    }

    fn compute(&mut self, schema: &Schema) {
        let named = |name: &str| {
            let found = schema.attribute_type(name)?;
            let asked = self.asked.iter().find(|asked| asked.index == found.index && asked.options.is_empty());
            let name = asked.map(|asked| asked.name.clone());
            name.or_else(|| self.all_operational.then_some(None)).map(|name| (found.index, name))
        };
        (self.context_csn, self.policy) = (named("contextCSN"), named("pwdPolicySubentry"));
        self.members = schema.attribute_type(MEMBER).and_then(|member| {
            let plain = || self.asked.iter().filter(|asked| asked.options.is_empty());
            let is_meant = |asked: &Asked| schema.attribute_type_at(asked.index).subtypes.contains(&member.index);
            let itself = plain().find(|asked| asked.index == member.index && asked.name.is_some());
            let is_wanted = self.all_user || plain().any(is_meant);
            is_wanted.then(|| (member.index, itself.and_then(|asked| asked.name.clone())))
        });
        for asked in &self.asked {
            let Some(computed) = Computed::of(schema.attribute_type_at(asked.index)) else { continue };
            if asked.options.is_empty() && !self.computed.iter().any(|(known, ..)| *known == computed) {
                self.computed.push((computed, asked.index, asked.name.clone()));
            }
        }
        if self.all_operational {
            for computed in Computed::ALL.iter().filter(|computed| !computed.is_alias()) {
                let Some(found) = schema.attribute_type(computed.name()) else { continue };
                if !self.computed.iter().any(|(known, ..)| known == computed) {
                    self.computed.push((*computed, found.index, None));
                }
            }
        }
    }

    fn resolve(&mut self, catalog: &Catalog) {
        self.stored.clear();
        self.catalog_length = catalog.len();
        self.member_url = member_url(catalog);
        for asked in &self.asked {
            for id in catalog.of_type(asked.index) {
                let Some(info) = catalog.attribute(*id) else { continue };
                if !has_options(&info.options, &asked.options) {
                    continue;
                }
                let is_itself =
                    info.attribute_type == Some(asked.index) && is_same_options(&info.options, &asked.options);
                let name = asked.name.clone().filter(|_| is_itself);
                self.stored.push(Stored { id: *id, name });
            }
        }
        // Stable: of those that were named, the first spelling counts.
        self.stored.sort_by_key(|stored| (stored.id, stored.name.is_none()));
        self.stored.dedup_by_key(|stored| stored.id);
    }

    /// For copies: what another server computes itself, or could not make sense of (slapd's back-mdb stores no
    /// attribute that its schema does not have), is not sent for `+`, only when it was named.
    pub(super) fn leave_out_what_is_local(&mut self) {
        self.is_copy = true;
        (self.context_csn, self.policy, self.members) = (None, None, None);
        self.computed.retain(|(computed, _, name)| {
            name.is_some()
                || matches!(
                    computed,
                    Computed::CreateTimestamp
                        | Computed::EntryCsn
                        | Computed::EntryUuid
                        | Computed::ModifyTimestamp
                        | Computed::StructuralObjectClass
                )
        });
    }

    /// Sends only values that fit (RFC 3876).
    pub(super) fn only_values(&mut self, filter: ValuesFilter) {
        self.values = Some(filter);
    }

    /// The attribute types that are meant, with the names to show: those named, whether the entry has them or not, and
    /// those of the entry that come along.
    pub(super) fn named_types(&self, view: View<'_>, entry: &Entry<'_>) -> Vec<(String, AttributeTypeIndex)> {
        let catalog = view.catalog();
        let infos = entry.record.attributes().filter_map(|slice| catalog.attribute(slice.id));
        let present = infos.filter(|info| !info.sealed).filter_map(|info| info.attribute_type);
        self.named_among(catalog.schema(), present)
    }

    /// The types that are asked for by name, and of those `present` the ones that `*` and `+` mean; spelled as asked.
    pub(super) fn named_among(
        &self,
        schema: &Schema,
        present: impl Iterator<Item = AttributeTypeIndex>,
    ) -> Vec<(String, AttributeTypeIndex)> {
        let spelled =
            |range: &Range<usize>| self.text.get(range.clone()).map(|name| String::from_utf8_lossy(name).into_owned());
        let shown = |asked: &Asked| match asked.name.as_ref().and_then(spelled) {
            Some(name) => name,
            None => schema.attribute_type_at(asked.index).name().to_owned(),
        };
        let mut types: Vec<_> = self.asked.iter().map(|asked| (shown(asked), asked.index)).collect();
        for index in present {
            let is_operational = schema.attribute_type_at(index).is_operational();
            let is_meant = if is_operational { self.all_operational } else { self.all_user };
            if is_meant && !types.iter().any(|(_, known)| *known == index) {
                types.push((schema.attribute_type_at(index).name().to_owned(), index));
            }
        }
        types
    }

    /// Shows this as entryCSN of the entries to come; `None`: their own.
    pub(super) fn show_entry_csn(&mut self, text: Option<String>) {
        self.entry_csn = text;
    }

    /// Whether the name of the password policy in force is to be shown.
    pub(super) fn wants_policy(&self) -> bool {
        self.policy.is_some()
    }

    /// Shows this policy as the one in force for the entry to come; `None`: what is written there.
    pub(super) fn show_policy(&mut self, name: Option<Vec<u8>>) {
        self.policy_name = name;
    }

    /// Shows this value of cn with the entries to come: they are sent under a name made of it, and a consumer that keeps a
    /// tree must find the value again when it takes the name away.
    pub(super) fn show_passing_name(&mut self, value: Option<Vec<u8>>) {
        self.passing_name = value;
    }

    /// Takes in what the catalog has learned since, and who shares attributes; to be called with every new snapshot.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn renew(&mut self, view: View<'_>) -> Outcome<()> {
        if view.catalog().len() != self.catalog_length {
            self.resolve(view.catalog());
        }
        // A copy has the subentries themselves.
        self.collective = match view.catalog().has_collective() && !self.is_copy {
            true => Some(Arc::new(Collective::load(view)?)).filter(|found| !found.is_empty()),
            false => None,
        };
        Ok(())
    }

    /// Writes what the entry shows of subentries (RFC 3671).
    fn write_shared(
        &self,
        collective: &Collective,
        view: View<'_>,
        entry: &Entry<'_>,
        granted: &Granted,
        out: &mut SearchEntry<'_>,
    ) -> Outcome<()> {
        for (id, values) in collective.values_of(view, entry)? {
            let chosen = self.stored.iter().find(|stored| stored.id == id);
            let Some(info) = view.catalog().attribute(id) else { continue };
            let is_wanted = chosen.is_some() || (self.all_user && !info.operational);
            if !is_wanted || info.sealed || !granted.for_attribute(info.attribute_type) {
                continue;
            }
            let spelled = chosen.and_then(|chosen| chosen.name.clone()).and_then(|range| self.text.get(range));
            self.write_fitting(view.catalog(), &info.name, spelled.unwrap_or(info.name.as_bytes()), values, out);
        }
        Ok(())
    }

    /// The members that a group finds by search, of whom the requester may know.
    fn searched_members(
        &self,
        view: View<'_>,
        entry: &Entry<'_>,
        (access, granted): (&Access<'_>, &Granted),
    ) -> Outcome<Vec<Vec<u8>>> {
        let Some((member, _)) = &self.members else { return Ok(Vec::new()) };
        let is_group = self.member_url.is_some_and(|url| entry.attribute(url).is_some());
        if !is_group || !granted.for_attribute(Some(*member)) {
            return Ok(Vec::new());
        }
        Ok(searched_members(view, entry, access)?)
    }

    /// Writes the attributes of `entry` that were asked for and may be read (`granted`) by whom `access` is for.
    ///
    /// Cost: a copy of the values; links that are out of date, values of very long attributes and computed ones are
    /// rendered, members of a group by search searched for.
    pub(super) fn write<'t>(
        &self,
        view: View<'t>,
        entry: &Entry<'t>,
        (access, granted): (&Access<'_>, &Granted),
        out: &mut SearchEntry<'_>,
    ) -> Outcome<()> {
        let catalog = view.catalog();
        let mut members = self.searched_members(view, entry, (access, granted))?;
        let member = self.members.as_ref().map(|(member, _)| *member).filter(|_| !members.is_empty());
        let cn = self.passing_name.as_ref().and_then(|_| catalog.schema().attribute_type("cn")).map(|cn| cn.index);
        let mut passing = self.passing_name.as_ref();
        let policy = self.policy.as_ref().zip(self.policy_name.as_ref());
        let is_policy = |index| policy.is_some_and(|((policy, _), _)| index == Some(*policy));
        let mut stored = self.stored.iter().peekable();
        for slice in entry.record.attributes() {
            while stored.next_if(|stored| stored.id < slice.id).is_some() {}
            let chosen = stored.next_if(|stored| stored.id == slice.id);
            if chosen.is_none() && !self.all_user && !self.all_operational {
                if stored.peek().is_none() {
                    break;
                }
                continue;
            }
            let Some(info) = catalog.attribute(slice.id) else { continue };
            let is_wanted = chosen.is_some()
                || if info.operational {
                    self.all_operational && !(self.is_copy && is_private(&info.key))
                } else {
                    self.all_user
                };
            if !is_wanted || info.sealed || !granted.for_attribute(info.attribute_type) {
                continue;
            }
            if is_policy(info.attribute_type) && info.options.is_empty() {
                continue;
            }
            let spelled = chosen.and_then(|chosen| chosen.name.clone()).and_then(|range| self.text.get(range));
            let name = spelled.unwrap_or(info.name.as_bytes());
            let is_member = member.is_some() && info.attribute_type == member && info.options.is_empty();
            if is_member || (self.values.is_some() && !self.types_only) {
                let mut values = view.values(entry, &slice)?;
                if is_member {
                    values.append(&mut members);
                }
                self.write_fitting(catalog, &info.name, name, values, out);
                continue;
            }
            match passing.take_if(|_| info.attribute_type == cn && info.options.is_empty()) {
                Some(value) => {
                    let mut values = view.values(entry, &slice)?;
                    values.push(value.clone());
                    self.write_values(name, &values, out);
                }
                None => self.write_stored(view, entry, &slice, name, out)?,
            }
        }
        if let Some(value) = passing.filter(|_| self.all_user || self.asked.iter().any(|asked| Some(asked.index) == cn))
        {
            self.write_values(b"cn", std::slice::from_ref(value), out);
        }
        if let Some((_, name)) = &self.members {
            let spelled = name.clone().and_then(|range| self.text.get(range));
            self.write_fitting(catalog, "member", spelled.unwrap_or(b"member"), members, out);
        }
        if let Some(collective) = &self.collective {
            self.write_shared(collective, view, entry, granted, out)?;
        }
        for (computed, index, name) in &self.computed {
            if !granted.for_attribute(Some(*index)) {
                continue;
            }
            if *computed == Computed::CollectiveAttributeSubentries && self.collective.is_none() {
                continue;
            }
            let values = match (&self.entry_csn, computed) {
                (Some(text), Computed::EntryCsn) => vec![text.clone().into_bytes()],
                _ => computed.values(view, entry)?,
            };
            let spelled = name.clone().and_then(|range| self.text.get(range));
            let spelled = spelled.unwrap_or_else(|| computed.name().as_bytes());
            self.write_fitting(catalog, computed.name(), spelled, values, out);
        }
        if let Some(((index, name), policy)) = policy
            && granted.for_attribute(Some(*index))
        {
            let spelled = name.clone().and_then(|range| self.text.get(range));
            let spelled = spelled.unwrap_or(b"pwdPolicySubentry");
            self.write_fitting(catalog, "pwdPolicySubentry", spelled, vec![policy.clone()], out);
        }
        if let Some((index, name)) = &self.context_csn
            && entry.record.parent() == EntryId::NONE
            && granted.for_attribute(Some(*index))
        {
            let values: Vec<_> = context_csns(view)?.into_iter().map(String::into_bytes).collect();
            let spelled = name.clone().and_then(|range| self.text.get(range));
            self.write_values(spelled.unwrap_or(b"contextCSN"), &values, out);
        }
        Ok(())
    }

    #[inline]
    fn write_stored<'t>(
        &self,
        view: View<'t>,
        entry: &Entry<'t>,
        slice: &AttributeSlice<'t>,
        name: &[u8],
        out: &mut SearchEntry<'_>,
    ) -> Outcome<()> {
        if !view.is_current(entry, slice) {
            self.write_values(name, &view.values(entry, slice)?, out);
        } else if self.types_only {
            out.attribute_names_only(name);
        } else {
            out.attribute(name, slice.set);
        }
        Ok(())
    }

    /// Writes those values of the attribute `description` that are wanted (RFC 3876), as `name`.
    fn write_fitting(
        &self,
        catalog: &Catalog,
        description: &str,
        name: &[u8],
        mut values: Vec<Vec<u8>>,
        out: &mut SearchEntry<'_>,
    ) {
        if let Some(filter) = self.values.as_ref().filter(|_| !self.types_only) {
            filter.retain(catalog.schema(), description, &mut values);
        }
        self.write_values(name, &values, out);
    }

    fn write_values(&self, name: &[u8], values: &[Vec<u8>], out: &mut SearchEntry<'_>) {
        if values.is_empty() {
            return;
        }
        if self.types_only {
            out.attribute_names_only(name);
        } else {
            out.attribute_values(name, values);
        }
    }

    /// Writes what was asked for of an entry that is not in the tree.
    pub(super) fn write_attributes(&self, schema: &Schema, attributes: &[Attribute], out: &mut SearchEntry<'_>) {
        for attribute in attributes {
            let description = &attribute.description;
            let Some(found) = schema.attribute_type(description.name()) else { continue };
            let is_meant = |asked: &&Asked| {
                schema.attribute_type_at(asked.index).subtypes.contains(&found.index)
                    && has_options(description.options(), &asked.options)
            };
            let is_itself = |asked: &&Asked| asked.index == found.index && asked.name.is_some();
            let mut meant = self.asked.iter().filter(is_meant);
            let chosen = meant.clone().find(is_itself).or_else(|| meant.next());
            let all = if found.is_operational() { self.all_operational } else { self.all_user };
            if chosen.is_none() && !all {
                continue;
            }
            let spelled = chosen.filter(|asked| is_itself(asked)).and_then(|asked| asked.name.clone());
            let name = spelled
                .and_then(|range| self.text.get(range))
                .map_or_else(|| description.to_string().into_bytes(), <[u8]>::to_vec);
            match self.values.as_ref().filter(|_| !self.types_only) {
                None => self.write_values(&name, &attribute.values, out),
                Some(filter) => {
                    let mut values = attribute.values.clone();
                    filter.retain(schema, &description.to_string(), &mut values);
                    self.write_values(&name, &values, out);
                }
            }
        }
    }
}

/// Access rules, and attributes of our own: by the key of the attribute.
fn is_private(key: &str) -> bool {
    key.starts_with("2.16.840.1.113730.3.1.55") || key.starts_with("2.25.226734431000227364254570923804739913085.")
}

/// Whether a description with options `has` is meant when one with `asked` is (RFC 4512 2.5.2.1). `;binary` is how to
/// send it, not which (RFC 4522); an option that ends in `-` is a range of languages (RFC 3866).
fn has_options(has: &[String], asked: &[String]) -> bool {
    asked.iter().all(|asked| asked == "binary" || has.iter().any(|option| option_is_meant(asked, option)))
}

/// Whether two lists of options differ in `;binary` at most.
fn is_same_options(has: &[String], asked: &[String]) -> bool {
    let plain =
        |options: &'_ [String]| options.iter().filter(|option| *option != "binary").cloned().collect::<Vec<_>>();
    has == asked || (asked.iter().any(|option| option == "binary") && plain(has) == plain(asked))
}

/// The value of a pre-read or post-read response (RFC 4527): the attributes of `entry` in `view`, as far as the
/// requester may read them; of a group by search the members that are stored.
///
/// # Errors
/// Storage.
pub fn read_entry_control<'t>(
    view: View<'t>,
    access: &Access<'_>,
    entry: &Entry<'t>,
    attributes: &[String],
) -> Outcome<Vec<u8>> {
    let mut selection = Selection::new(view.catalog(), attributes.iter().map(String::as_str), false);
    // It is read while the change is made, which no search may hold up.
    selection.members = None;
    selection.renew(view)?;
    let mut name = Vec::with_capacity(96);
    view.write_dn(entry, &mut name)?;
    let mut value = Vec::with_capacity(512);
    let mut out = SearchEntry::begin_value(&mut value, &name);
    selection.write(view, entry, (access, &access.granted(entry, Right::Read)), &mut out)?;
    out.finish(&[]);
    Ok(value)
}
