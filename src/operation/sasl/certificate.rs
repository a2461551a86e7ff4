//! From a client certificate to an entry, by the rules of the settings.
//!
//! Invariants
//! - A rule that finds several entries finds none: a certificate means one entry or nobody.
//! - Values of the certificate are compared as values, never put into the text of a filter (hostile.md T-54).

use super::options::{AlternativeKind, CertificateRule};
use crate::dit::{Entry, View};
use crate::model::Dn;
use crate::operation::act_as::may_bind;
use crate::operation::lookup;
use crate::operation::{ClientFacts, Directory, Outcome};

/// Alternative names of one kind that are looked at.
const NAMES_MAX: usize = 8;

impl Directory {
    /// The entry that a certificate means.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn entry_of_certificate<'v>(
        &self,
        view: View<'v>,
        certificate: &ClientFacts,
    ) -> Outcome<Option<Entry<'v>>> {
        let options = self.options();
        for rule in &options.sasl.certificate_map {
            let found = match rule {
                CertificateRule::Dn => match Dn::parse(&certificate.subject) {
                    Ok(dn) if !dn.is_root() => lookup::named(view, &dn)?,
                    _ => None,
                },
                CertificateRule::Fingerprint => {
                    let hex: String = certificate.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                    let pairs: Vec<String> = certificate.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                    match self.user_with(view, "certificateFingerprint", &hex)? {
                        Some(entry) => Some(entry),
                        None => self.user_with(view, "certificateFingerprint", &pairs.join(":"))?,
                    }
                }
                CertificateRule::Subject { name, attribute } => match subject_value(&certificate.subject, name) {
                    Some(value) => self.user_with(view, attribute, &value)?,
                    None => None,
                },
                CertificateRule::Alternative { kind, attribute } => {
                    let names = match kind {
                        AlternativeKind::Dns => &certificate.dns_names,
                        AlternativeKind::Mail => &certificate.mail_addresses,
                        AlternativeKind::Uri => &certificate.uris,
                    };
                    self.one_of(view, attribute, names)?
                }
            };
            if let Some(entry) = found.filter(may_bind) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The one entry that all those names lead to which lead anywhere.
    fn one_of<'v>(&self, view: View<'v>, attribute: &str, names: &[String]) -> Outcome<Option<Entry<'v>>> {
        let mut found: Option<Entry<'v>> = None;
        for name in names.iter().take(NAMES_MAX) {
            let Some(entry) = self.user_with(view, attribute, name)? else { continue };
            if found.as_ref().is_some_and(|known| known.id != entry.id) {
                return Ok(None);
            }
            found = Some(entry);
        }
        Ok(found)
    }
}

/// The value that a subject has for this type; `None` for none, and for several.
fn subject_value(subject: &str, name: &str) -> Option<String> {
    let dn = Dn::parse(subject).ok()?;
    let avas = dn.rdns().iter().flat_map(|rdn| rdn.avas());
    let mut values = avas.filter(|ava| ava.attribute.eq_ignore_ascii_case(name)).map(|ava| &ava.value);
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    String::from_utf8(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_gives_a_value_only_where_it_is_the_only_one() {
        let subject = "CN=Ann Baker,UID=ann,OU=a,OU=b,C=GB";
        assert_eq!(subject_value(subject, "uid").as_deref(), Some("ann"));
        assert_eq!(subject_value(subject, "ou"), None);
        assert_eq!(subject_value(subject, "mail"), None);
    }
}
