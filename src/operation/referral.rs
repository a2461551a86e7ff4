//! Referral entries (RFC 3296): what is told a client instead of what another server keeps.
//!
//! The `ref` values of the entry name servers, and perhaps what the entry is called there. A client must be able to go
//! on by the URL alone (RFC 4511 4.1.10, 4.5.3), so that it always names the DN, and the scope where one is needed.

use super::access::Access;
use super::outcome::{OperationError, Outcome};
use crate::dit::{Entry, View};
use crate::model::{Dn, LdapUrl, Rdn, Scope};
use crate::storage::EntryId;

/// Referrals of one entry that are sent at most.
const URLS_MAX: usize = 32;

/// The answer to an operation whose entry is at or below the referral entry `id`: a referral, or noSuchObject to who
/// may not know of it. `dn`: what was asked for; `missing`: how many of its RDNs are below the referral entry;
/// `scope`: of a search.
///
/// # Errors
/// Storage.
pub fn instead(
    view: View<'_>,
    access: &Access<'_>,
    id: EntryId,
    dn: &Dn,
    missing: usize,
    scope: Option<Scope>,
) -> Outcome<OperationError> {
    let Some(entry) = view.entry(id)? else { return access.no_such_object(None) };
    if !access.is_visible(&entry) {
        return access.no_such_object(Some(view.superior(&entry)));
    }
    let below = dn.rdns().get(..missing).unwrap_or_default();
    let urls = urls(view, &entry, below, scope)?;
    if urls.is_empty() {
        return access.no_such_object(Some(id));
    }
    Ok(OperationError::referral(urls).matched(view.dn_text(id)?.unwrap_or_default()))
}

/// The URLs of a continuation reference for a referral entry that a search of this scope met.
pub(super) fn continuation(view: View<'_>, entry: &Entry<'_>, scope: Scope) -> Outcome<Vec<String>> {
    let rest = if scope == Scope::OneLevel || scope == Scope::Base { Scope::Base } else { Scope::Subtree };
    urls(view, entry, &[], Some(rest))
}

fn urls(view: View<'_>, entry: &Entry<'_>, below: &[Rdn], scope: Option<Scope>) -> Outcome<Vec<String>> {
    let catalog = view.catalog();
    let attribute = catalog.schema().attribute_type("ref").and_then(|found| catalog.base_of(found));
    let Some(slice) = attribute.and_then(|id| entry.attribute(id)) else { return Ok(Vec::new()) };
    let mut own_name = Vec::new();
    view.write_dn(entry, &mut own_name)?;
    let mut urls = Vec::new();
    for value in view.values(entry, &slice)?.into_iter().take(URLS_MAX) {
        let text = String::from_utf8_lossy(&value).into_owned();
        // As in labeledURI, a label may follow.
        let uri = text.split_ascii_whitespace().next().unwrap_or_default();
        let Ok(mut url) = LdapUrl::parse(uri) else {
            urls.push(uri.to_owned());
            continue;
        };
        let there = if url.dn.is_root() { Dn::parse_bytes(&own_name)? } else { url.dn };
        url.dn = Dn::from_rdns(below.iter().chain(there.rdns()).cloned().collect());
        url.attributes = Vec::new();
        url.scope = scope;
        url.filter = None;
        urls.push(url.to_string());
    }
    Ok(urls)
}
