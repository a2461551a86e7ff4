//! One line in the log for each operation, where `log.operations` asks for it.
//!
//! What a client asked is described when it asks; what came of it is read off the response itself, so that the line
//! says what was sent, whoever wrote it. Nothing of this costs anything while nobody asks for it.
//!
//! Invariants
//! - No password and no value of an entry: of an add or a modify only attribute names are shown, filters that name a
//!   secret are not shown.
//! - Every piece that came from the network is escaped and bounded.

use std::fmt::Write;
use std::time::Duration;

use crate::model::{Filter, ResultCode, Scope, escape_for_log};
use crate::wire::control::{PROXIED_AUTHORIZATION, SESSION_TRACKING, SessionTracking};
use crate::wire::{self, Authentication, Message, Request, ber};

/// Where the lines go; `telemetry` filters by it.
const TARGET: &str = "entente::operations";
/// Most attributes named of an add, a modify or a search.
const ATTRIBUTES_SHOWN_MAX: usize = 32;
/// Most letters shown of each part of a session tracking control.
const TRACKED_SHOWN_MAX: usize = 128;

const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_REFERENCE: u8 = 0x73;
const INTERMEDIATE: u8 = 0x79;

/// One operation while it runs.
pub(super) struct Record {
    started: Duration,
    operation: &'static str,
    asked: String,
    entries: u64,
    code: Option<ResultCode>,
}

/// Whether lines are wanted now.
pub(super) fn is_wanted() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

impl Record {
    /// Begins a record of `message`, taken at `started`.
    pub(super) fn new(message: &Message<'_>, started: Duration) -> Box<Self> {
        let mut asked = String::new();
        // Writing to a String does not fail.
        let _ = describe(message, &mut asked);
        Box::new(Self { started, operation: message.request.name(), asked, entries: 0, code: None })
    }

    /// Counts entries in `responses` and remembers the result; whole PDUs.
    pub(super) fn count(&mut self, responses: &[u8]) {
        let mut rest = responses;
        while let Ok(Some(length)) = wire::frame_length(rest, usize::MAX) {
            let Some((frame, behind)) = rest.split_at_checked(length) else { return };
            rest = behind;
            match response(frame) {
                Some((SEARCH_ENTRY | SEARCH_REFERENCE, _)) => self.entries += 1,
                Some((INTERMEDIATE, _)) | None => {}
                Some((_, content)) => {
                    let code = ber::Reader::new(content).enumerated();
                    self.code = code.ok().and_then(|code| u32::try_from(code).ok()).map(ResultCode);
                }
            }
        }
    }

    /// Writes the line.
    pub(super) fn finish(&self, connection: u64, id: i32, requester: Option<&str>, now: Duration) {
        let micros = u64::try_from(now.saturating_sub(self.started).as_micros()).unwrap_or(u64::MAX);
        let (code, result) = self.code.map_or((-1, "none"), |code| (i64::from(code.0), code.name()));
        tracing::info!(
            target: TARGET,
            connection,
            id,
            by = %escape_for_log(requester.unwrap_or("")),
            code,
            result,
            entries = self.entries,
            micros,
            "{} {}",
            self.operation,
            self.asked,
        );
    }
}

/// Tag and content of the operation in one response.
fn response(frame: &[u8]) -> Option<(u8, &[u8])> {
    let mut message = ber::Reader::new(frame).enter(ber::SEQUENCE).ok()?;
    message.integer().ok()?;
    message.element().ok()
}

fn describe(message: &Message<'_>, out: &mut String) -> std::fmt::Result {
    match &message.request {
        Request::Abandon(id) => write!(out, "target={id}")?,
        Request::Add(add) => {
            write!(out, "dn=\"{}\"", escape_for_log(add.dn))?;
            names(out, add.attributes.iter().map(|attribute| attribute.attribute))?;
        }
        Request::Bind(bind) => {
            write!(out, "dn=\"{}\" method=", escape_for_log(bind.name))?;
            match &bind.authentication {
                Authentication::Simple(_) => out.write_str("simple")?,
                Authentication::Sasl { mechanism, .. } => write!(out, "\"{}\"", escape_for_log(*mechanism))?,
                Authentication::Unknown(tag) => write!(out, "{tag:#04x}")?,
            }
        }
        Request::Compare(compare) => {
            write!(out, "dn=\"{}\"", escape_for_log(compare.dn))?;
            names(out, std::iter::once(compare.attribute))?;
        }
        Request::Delete { dn } => write!(out, "dn=\"{}\"", escape_for_log(*dn))?,
        Request::Extended(extended) => write!(out, "oid=\"{}\"", escape_for_log(extended.name))?,
        Request::Modify(modify) => {
            write!(out, "dn=\"{}\"", escape_for_log(modify.dn))?;
            names(out, modify.modifications.iter().map(|modification| modification.attribute))?;
        }
        Request::ModifyDn(rename) => {
            let (dn, rdn) = (escape_for_log(rename.dn), escape_for_log(rename.new_rdn));
            write!(out, "dn=\"{dn}\" newrdn=\"{rdn}\" deleteoldrdn={}", rename.delete_old_rdn)?;
            if let Some(superior) = rename.new_superior {
                write!(out, " newsuperior=\"{}\"", escape_for_log(superior))?;
            }
        }
        Request::Search(search) => {
            let scope = match search.scope {
                Scope::Base => "base",
                Scope::OneLevel => "one",
                Scope::Subtree => "sub",
                Scope::Subordinate => "subordinate",
            };
            let filter = shown_filter(&search.filter);
            write!(out, "base=\"{}\" scope={scope}", escape_for_log(search.base))?;
            write!(out, " filter=\"{}\"", escape_for_log(&filter))?;
            names(out, search.attributes.iter().copied())?;
        }
        Request::Unbind => {}
    }
    if !message.controls.is_empty() {
        out.write_str(" controls=\"")?;
        for (index, control) in message.controls.iter().enumerate() {
            let mark = if control.critical { "!" } else { "" };
            write!(out, "{}{mark}{}", if index == 0 { "" } else { " " }, escape_for_log(control.oid))?;
        }
        out.push('"');
        track(message, out)?;
    }
    Ok(())
}

/// As whom the request is to be made (proxied authorization), and for whom the client says it asks (session tracking).
fn track(message: &Message<'_>, out: &mut String) -> std::fmt::Result {
    if let Some(identity) = message.controls.find(PROXIED_AUTHORIZATION).and_then(|control| control.value) {
        let shown = String::from_utf8_lossy(identity).replace('"', "'");
        let cut = shown.char_indices().nth(TRACKED_SHOWN_MAX).map_or(shown.len(), |(at, _)| at);
        write!(out, " as=\"{}\"", escape_for_log(shown.get(..cut).unwrap_or_default()))?;
    }
    let control = message.controls.find(SESSION_TRACKING).and_then(|control| control.value);
    let Some(Ok(session)) = control.map(SessionTracking::decode) else { return Ok(()) };
    for (name, text) in [
        ("source", session.source_address),
        ("host", session.source_name),
        ("format", session.format),
        ("session", session.identifier),
    ] {
        if !text.is_empty() {
            let cut = text.char_indices().nth(TRACKED_SHOWN_MAX).map_or(text.len(), |(at, _)| at);
            let shown = text.get(..cut).unwrap_or_default().replace('"', "'");
            write!(out, " {name}=\"{}\"", escape_for_log(&shown))?;
        }
    }
    Ok(())
}

fn names<'a>(out: &mut String, attributes: impl ExactSizeIterator<Item = &'a str>) -> std::fmt::Result {
    let count = attributes.len();
    if count == 0 {
        return Ok(());
    }
    out.write_str(" attributes=\"")?;
    for (index, attribute) in attributes.take(ATTRIBUTES_SHOWN_MAX).enumerate() {
        write!(out, "{}{}", if index == 0 { "" } else { " " }, escape_for_log(attribute))?;
    }
    if count > ATTRIBUTES_SHOWN_MAX {
        write!(out, " and {} more", count - ATTRIBUTES_SHOWN_MAX)?;
    }
    out.push('"');
    Ok(())
}

/// The filter's text, unless it asks for a secret by value.
fn shown_filter(filter: &Filter<'_>) -> String {
    let text = filter.to_string();
    let lower = text.to_ascii_lowercase();
    let names_secret = ["passw", "2.5.4.35", "secret", "krb", "pkcs12"].iter().any(|word| lower.contains(word));
    if names_secret { "(hidden: names a secret)".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{LdapResult, ResponseKind, SearchEntry, response};

    #[test]
    fn entries_and_result_are_read_off_the_response() {
        let mut out = Vec::new();
        for _ in 0..3 {
            SearchEntry::begin(&mut out, 2, b"dc=x").finish(&[]);
        }
        response::search_reference(&mut out, 2, &["ldap://y/".to_owned()], &[]);
        let mut record =
            Record { started: Duration::ZERO, operation: "search", asked: String::new(), entries: 0, code: None };
        record.count(&out);
        assert_eq!((record.entries, record.code), (4, None));
        out.clear();
        let result = LdapResult::plain(ResultCode::SIZE_LIMIT_EXCEEDED);
        response::result(&mut out, 2, ResponseKind::SearchDone, &result, &[]);
        record.count(&out);
        assert_eq!((record.entries, record.code), (4, Some(ResultCode::SIZE_LIMIT_EXCEEDED)));
        record.count(b"\x30\x05\x02");
    }

    #[test]
    fn filters_with_secrets_are_hidden() {
        let shown = |text: &str| shown_filter(&Filter::parse(text).unwrap());
        assert_eq!(shown("(uid=ann)"), "(uid=ann)");
        for text in ["(userPassword=s3)", "(|(uid=a)(UserPassword=*s*))", "(2.5.4.35=s)"] {
            assert!(shown(text).starts_with("(hidden"), "{text}");
        }
    }
}
