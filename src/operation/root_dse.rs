//! The root DSE (RFC 4512 5.1): what the server is and can do, for anybody, at the empty DN.

use super::control::SUPPORTED_CONTROLS;
use super::outcome::Outcome;
use super::telling::Feed;
use super::virtual_entry::{VirtualEntry, attribute};
use super::{DefaultSearchBase, Directory, Session, changelog, monitor, subschema_entry};
use crate::dit::View;
use crate::model::Dn;
use crate::storage::EntryId;
use crate::wire::extended;
use crate::wire::transaction::{END_TRANSACTION, START_TRANSACTION};
use std::sync::Arc;

/// Naming contexts that are listed.
const CONTEXTS_MAX: usize = 1_000;

/// RFC 4525, RFC 3673, RFC 4529, RFC 4526, RFC 3866 (tags, ranges).
const FEATURES: [&str; 6] = [
    "1.3.6.1.1.14",
    "1.3.6.1.4.1.4203.1.5.1",
    "1.3.6.1.4.1.4203.1.5.2",
    "1.3.6.1.4.1.4203.1.5.3",
    "1.3.6.1.4.1.4203.1.5.4",
    "1.3.6.1.4.1.4203.1.5.5",
];

pub(super) fn entry(directory: &Directory, session: &Session, view: View<'_>) -> Outcome<VirtualEntry> {
    let options = directory.options();
    let mut contexts = Vec::new();
    for id in view.suffixes()?.into_iter().take(CONTEXTS_MAX) {
        contexts.extend(view.dn_text(id)?);
    }
    let default = match &options.default_search_base {
        DefaultSearchBase::Named(dn) => Some(dn.to_string()),
        other => default_search_base(view, other)?.map(|id| view.dn_text(id)).transpose()?.flatten(),
    };
    let mut extensions = vec![
        extended::APP_PASSWORD,
        extended::CANCEL,
        extended::PASSWORD_MODIFY,
        extended::WHO_AM_I,
        START_TRANSACTION,
        END_TRANSACTION,
    ];
    if options.starttls {
        extensions.push(extended::START_TLS);
    }
    if session.requester.is_administrator() {
        extensions.push(extended::REINDEX);
        extensions.push(extended::CLUSTER_ORDER);
    }
    let access = directory.access(&session.requester, view)?;
    let tells_changes = Feed::Changelog.is_for(view, &access)?;
    let bounds = if tells_changes { Some(changelog::bounds(view, &access)?) } else { None };
    let monitor = Feed::Monitor.is_for(view, &access)?.then_some(monitor::DN);
    let attributes = [
        attribute("objectClass", ["top"]),
        attribute("namingContexts", &contexts),
        attribute("defaultNamingContext", default),
        attribute("subschemaSubentry", [subschema_entry::DN]),
        attribute("supportedLDAPVersion", ["3"]),
        attribute("supportedControl", SUPPORTED_CONTROLS),
        attribute("supportedExtension", extensions),
        attribute("supportedFeatures", FEATURES),
        attribute("supportedSASLMechanisms", directory.mechanisms(session)),
        attribute("altServer", &options.alternative_servers),
        attribute("vendorName", ["Entente"]),
        attribute("vendorVersion", [concat!("Entente ", env!("CARGO_PKG_VERSION"))]),
        attribute("monitorContext", monitor),
        attribute("changelog", tells_changes.then_some(changelog::DN)),
        attribute("firstChangeNumber", bounds.map(|(first, _)| first.to_string())),
        attribute("lastChangeNumber", bounds.map(|(_, last)| last.to_string())),
        attribute("entryDN", [""]),
    ];
    Ok(VirtualEntry { dn: String::new(), attributes: Arc::new(attributes.into_iter().flatten().collect()) })
}

/// Where a search with an empty base starts; `None`: nowhere. Cost: some look-ups.
///
/// # Errors
/// Storage.
pub(super) fn default_search_base(view: View<'_>, configured: &DefaultSearchBase) -> Outcome<Option<EntryId>> {
    match configured {
        DefaultSearchBase::Nowhere => Ok(None),
        DefaultSearchBase::Named(dn) => Ok(view.resolve(dn)?.entry),
        DefaultSearchBase::Suffix => {
            let suffixes = view.suffixes()?;
            if suffixes.len() <= 1 {
                return Ok(suffixes.first().copied());
            }
            let administrator = view.administrator()?.and_then(|(name, _)| Dn::parse(&name).ok());
            let Some(name) = administrator else { return Ok(None) };
            let Some(nearest) = view.resolve(&name)?.matched else { return Ok(None) };
            for suffix in suffixes {
                if view.is_within(nearest, suffix)? {
                    return Ok(Some(suffix));
                }
            }
            Ok(None)
        }
    }
}
