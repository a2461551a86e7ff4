//! DN values whose target was not there when they were written, and are kept as text.
//!
//! While a text is the name of an entry it is shown and found as a link to it. That alone would end with the name: who renames
//! or deletes the entry would leave a name behind in groups, for whoever has it next. So the node that takes a name away
//! first makes links of the texts that say it, in the same transaction and as ordinary changes of their entries, whoever
//! wrote them; what the renaming or the deletion does to links then holds for them too. An add costs nothing for that.
//! Where there are very many, operations make links of them ahead, in commits of their own: text and link agree until then.
//!
//! What no node does is to change texts when an update comes from elsewhere: a text that the node of the renaming did not have
//! stays the name that was written, on every node. So does one whose name two masters gave at the same time: it names who has
//! the name from then on, on every node.
//!
//! Invariant: after a local change no text names an entry by a name that the change took from it or from another, but where
//! the index does not know who refers to what, and beyond [`LOOKED_AT_MAX`] names of nobody.

use super::DitError;
use super::derive::named_entry;
use super::index_keys::text_link_key;
use super::text_names::{Found, TakenName, Taking, TextWalk};
use super::undelete::there;
use super::writing::{Target, Writing};
use crate::model::{Dn, EntryUuid};
use crate::state::{AttributeId, CellValue, Delta, EntryState, Stamp, ValueKey};
use crate::storage::EntryId;

/// Texts that one commit makes links of: under a second of the writer.
const TEXTS_AT_ONCE_MAX: usize = 16_384;
/// Texts that one change looks at, those that name nobody among them: about a second of the writer.
const LOOKED_AT_MAX: usize = 65_536;
/// Texts in one update.
const TEXTS_PER_UPDATE: usize = 1_024;

/// A text that is to become a link.
pub(super) struct Text {
    referrer: EntryId,
    attribute: AttributeId,
    key: ValueKey,
    target: EntryUuid,
    /// Whether the link is there as well.
    is_linked: bool,
}

impl Writing<'_> {
    /// The texts that say a name that a change takes away, at most [`TEXTS_AT_ONCE_MAX`]; and whether there may be more.
    pub(super) fn texts_left_by(&self, id: EntryId, taking: Taking) -> Result<(Vec<Text>, bool), DitError> {
        let (mut texts, mut looked_at, mut are_more) = (Vec::new(), 0, false);
        'all: for name in self.names_taken(id, taking)? {
            for attribute in self.catalog.link_attributes() {
                let mut walk = TextWalk::new(self.txn.reader(), *attribute, &name.normal, name.with_subordinates)?;
                loop {
                    let room = TEXTS_AT_ONCE_MAX - texts.len();
                    let found = walk.next(room.min(LOOKED_AT_MAX - looked_at))?;
                    if found.is_empty() {
                        break;
                    }
                    looked_at += found.len();
                    self.resolve_texts(found, &name, &mut texts)?;
                    if texts.len() >= TEXTS_AT_ONCE_MAX || looked_at >= LOOKED_AT_MAX {
                        are_more = true;
                        break 'all;
                    }
                }
            }
        }
        if taking == Taking::Ends {
            texts.retain(|text| text.referrer != id);
        }
        texts.sort_by_key(|text| text.referrer);
        Ok((texts, are_more))
    }

    /// What of `found` names entries.
    fn resolve_texts(&self, found: Vec<Found>, name: &TakenName, texts: &mut Vec<Text>) -> Result<(), DitError> {
        let view = self.view();
        let schema = self.catalog.schema();
        let mut held: Option<(EntryId, EntryState)> = None;
        for (referrer, base, key) in found {
            if held.as_ref().is_none_or(|(of, _)| *of != referrer) {
                held = self.state(referrer)?.map(|state| (referrer, state));
            }
            let Some((_, state)) = held.as_ref().filter(|(of, _)| *of == referrer) else { continue };
            for (attribute, cell_key, cell) in self.cells_meant((referrer, state), base, key.as_ref())? {
                let (CellValue::Text(text), Some(info)) = (&cell.value, self.catalog.attribute(attribute)) else {
                    continue;
                };
                let is_below =
                    || Dn::parse_bytes(text).is_ok_and(|dn| text_link_key(schema, &dn).starts_with(&name.normal));
                let is_shown = !info.single_value
                    || state.view_cells(attribute, true).first().is_some_and(|shown| shown.key == Some(&cell_key));
                if !is_shown || (key.is_none() && !is_below()) {
                    continue;
                }
                let Some(target) = named_entry(&view, text)? else { continue };
                let link = ValueKey::link(target);
                let is_linked = match state.attribute(attribute).map(|held| &held.spilled) {
                    Some(Some(_)) => self.spilled_cell(referrer, attribute, &link)?.is_some_and(|cell| cell.present),
                    Some(None) => state.attribute(attribute).is_some_and(|held| held.is_present(&link)),
                    None => false,
                };
                texts.push(Text { referrer, attribute, key: cell_key, target, is_linked });
            }
        }
        Ok(())
    }

    /// Before a change that takes the name from the entry `id` (`with_subordinates`: and theirs from those below it): where
    /// more texts say it than one commit should make links of, makes links of some. Returns whether it did: then that is to be
    /// committed, and to be called again before the change.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn link_texts_ahead(
        &mut self,
        id: EntryId,
        requester: &str,
        with_subordinates: bool,
    ) -> Result<bool, DitError> {
        let taking = if with_subordinates { Taking::WithSubordinates } else { Taking::Ends };
        let (texts, are_more) = self.texts_left_by(id, taking)?;
        if !are_more || texts.is_empty() {
            return Ok(false);
        }
        self.link_texts(&texts, requester)?;
        Ok(true)
    }

    /// Makes links of `texts`.
    pub(super) fn link_texts(&mut self, texts: &[Text], requester: &str) -> Result<(), DitError> {
        for of_entry in texts.chunk_by(|one, other| one.referrer == other.referrer) {
            for some in of_entry.chunks(TEXTS_PER_UPDATE) {
                let mut linking = Vec::with_capacity(2 * some.len());
                for (order, text) in some.iter().enumerate() {
                    linking.push(Delta::Cell {
                        attribute: text.attribute,
                        key: text.key.clone(),
                        order: 0,
                        present: false,
                        value: CellValue::Text(Vec::new()),
                    });
                    if !text.is_linked {
                        let (key, link) = (ValueKey::link(text.target), CellValue::Link(text.target));
                        linking.push(there(text.attribute, key, order, link));
                    }
                }
                if let Some(first) = some.first() {
                    self.change_alone(Target::Existing(first.referrer), requester, linking)?;
                }
            }
        }
        Ok(())
    }

    /// Makes links of `texts`, and then the change that takes their names away.
    pub(super) fn change_after_texts(
        &mut self,
        texts: &[Text],
        target: Target,
        requester: &str,
        deltas: Vec<Delta>,
    ) -> Result<(EntryId, Stamp), DitError> {
        self.link_texts(texts, requester)?;
        self.change_alone(target, requester, deltas)
    }
}
