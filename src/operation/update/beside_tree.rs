//! Assertion, pre-read and post-read (RFC 4528, RFC 4527) of what is changed beside the tree: the schema, and the entries below
//! cn=conflicts, cn=deleted and cn=lost+found, as they are told to the requester.
//!
//! Invariant: the entry of the request is asked, never the one that the change is made to in the end.

use super::target::assertion_failed;
use super::{Context, Done};
use crate::dit::{View, Writing};
use crate::model::Dn;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::selection::Selection;
use crate::operation::virtual_entry::{self, VirtualEntry};
use crate::operation::{ConnectionFacts, Session};
use crate::search::{CompiledFilter, evaluate_attributes};
use crate::wire::control::{POST_READ, PRE_READ};
use crate::wire::{ResponseControl, SearchEntry};

impl Context {
    /// The same without what [`before`] has seen to.
    pub(super) fn asked_already(&self) -> Self {
        let mut controls = self.controls.clone();
        (controls.assertion, controls.pre_read) = (None, None);
        Self {
            directory: self.directory.clone(),
            requester: self.requester.clone(),
            controls,
            beside: None,
            verifiers: Vec::new(),
        }
    }
}

/// Asks the assertion and reads the entry before the change.
///
/// # Errors
/// assertionFailed; noSuchObject; storage.
pub(super) fn before(context: &Context, view: View<'_>, dn: &Dn, done: &mut Done) -> Outcome<()> {
    let (assertion, names) = (&context.controls.assertion, &context.controls.pre_read);
    if assertion.is_none() && names.is_none() {
        return Ok(());
    }
    let entry = entry(context, view, dn)?;
    if let Some(filter) = assertion {
        let schema = view.catalog().schema();
        if !evaluate_attributes(&CompiledFilter::compile(schema, filter), schema, &entry.attributes).is_true() {
            return Err(assertion_failed());
        }
    }
    if let Some(names) = names {
        done.controls.push(control(PRE_READ, view, &entry, names));
    }
    Ok(())
}

/// Reads the entry after the change, unless the change has told another one. What is gone by it is not told.
pub(super) fn after(context: &Context, writing: &Writing<'_>, dn: &Dn, done: &mut Done) {
    let Some(names) = &context.controls.post_read else { return };
    if done.controls.iter().any(|control| control.oid == POST_READ) {
        return;
    }
    let view = writing.view();
    if let Ok(entry) = entry(context, view, dn) {
        done.controls.push(control(POST_READ, view, &entry, names));
    }
}

fn entry(context: &Context, view: View<'_>, dn: &Dn) -> Outcome<VirtualEntry> {
    let connection = ConnectionFacts { id: 0, address: context.requester.peer, is_local: false, unix: None, tls: None };
    let session = Session::new(context.requester.clone(), connection);
    let found = virtual_entry::find(&context.directory, &session, view, dn)?;
    found.ok_or_else(|| OperationError::no_such_object(""))
}

fn control(oid: &'static str, view: View<'_>, entry: &VirtualEntry, names: &[String]) -> ResponseControl {
    let selection = Selection::new(view.catalog(), names.iter().map(String::as_str), false);
    let mut value = Vec::with_capacity(512);
    let mut out = SearchEntry::begin_value(&mut value, entry.dn.as_bytes());
    selection.write_attributes(view.catalog().schema(), &entry.attributes, &mut out);
    out.finish(&[]);
    ResponseControl { oid, critical: false, value: Some(value) }
}
