//! What a search found, as LDIF or as JSON.

use crate::cli::output::{CliError, Output};
use crate::model::ldif::LdifWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ldap3_proto::proto::LdapSearchResultEntry;
use serde_json::{Value, json};

/// Prints an entry: an LDIF record, or one JSON object on a line.
///
/// In JSON every attribute is a list of texts; a value that is no text is an object `{"base64": ...}`.
///
/// # Errors
/// The output cannot be written.
pub fn print_entry(entry: &LdapSearchResultEntry, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        let attributes: serde_json::Map<String, Value> = entry
            .attributes
            .iter()
            .map(|attribute| {
                (attribute.atype.clone(), attribute.vals.iter().map(|value| text_or_base64(value)).collect())
            })
            .collect();
        return output.line(&json!({ "dn": entry.dn, "attributes": attributes }).to_string());
    }
    let mut ldif = LdifWriter::new(output);
    let lines = entry.attributes.iter().flat_map(|attribute| {
        // Types without values (typesOnly) stand with an empty one, as other clients print them.
        let empty = attribute.vals.is_empty().then_some(&[][..]);
        let values = attribute.vals.iter().map(Vec::as_slice).chain(empty);
        values.map(move |value| (attribute.atype.as_str(), value))
    });
    Ok(ldif.entry(&entry.dn, lines)?)
}

/// Prints where else to search.
///
/// # Errors
/// The output cannot be written.
pub fn print_reference(urls: &[String], output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.line(&json!({ "references": urls }).to_string());
    }
    let mut ldif = LdifWriter::new(output);
    for url in urls {
        ldif.comment(&format!("search goes on at {url}"))?;
    }
    output.write(b"\n")
}

/// A value in JSON: text, or an object `{"base64": ...}` where it is none.
pub fn text_or_base64(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => json!({ "base64": STANDARD.encode(value) }),
    }
}
