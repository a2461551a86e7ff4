//! SASL PLAIN (RFC 4616): name and password in clear text, and whom to act as.

use super::malformed;
use crate::model::Dn;
use crate::operation::bind::{Ask, BindStep, invalid_credentials};
use crate::operation::lookup;
use crate::operation::{Directory, Outcome};
use std::sync::Arc;

impl Directory {
    /// `authzid NUL authcid NUL passwd`; the name is `dn:DN`, `u:NAME`, a DN or a user's name.
    pub(super) fn plain(self: &Arc<Self>, ask: &mut Ask, credentials: Option<&[u8]>) -> Outcome<BindStep> {
        let message = credentials.unwrap_or_default();
        let mut parts = message.split(|byte| *byte == 0);
        let (Some(authorization), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("PLAIN: authzid, NUL, name, NUL, password (RFC 4616)"));
        };
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| malformed("PLAIN: not UTF-8 (RFC 4616)"));
        let (authorization, name) = (text(authorization)?, text(name)?);
        if name.is_empty() || password.is_empty() {
            return Err(invalid_credentials());
        }
        authorization.clone_into(&mut ask.authorization_id);
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let (dn, user) = names(name);
        let attempt = self.attempt(ask.address, dn.as_ref(), user.unwrap_or(name));
        self.admit(attempt)?;
        let entry = match (&dn, user) {
            (Some(dn), _) => lookup::named(view, dn)?,
            (None, Some(user)) => self.user_named(view, user)?,
            (None, None) => None,
        };
        self.by_password(ask, view, (entry, dn.as_ref(), name), attempt, password)
    }
}

/// What the name of an authentication identity means: a DN, or the name of a user.
pub(super) fn names(text: &str) -> (Option<Dn>, Option<&str>) {
    let prefix = |wanted: &str| {
        text.split_at_checked(wanted.len())
            .filter(|(prefix, _)| prefix.eq_ignore_ascii_case(wanted))
            .map(|(_, rest)| rest)
    };
    if let Some(dn) = prefix("dn:") {
        return (Dn::parse(dn).ok(), None);
    }
    if let Some(user) = prefix("u:") {
        return (None, Some(user));
    }
    match Dn::parse(text) {
        Ok(dn) if !dn.is_root() => (Some(dn), None),
        _ => (None, Some(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dn_or_a_user() {
        let dn = Dn::parse("uid=ann,dc=x").unwrap();
        assert_eq!(names("uid=ann,dc=x"), (Some(dn.clone()), None));
        assert_eq!(names("DN:uid=ann,dc=x"), (Some(dn), None));
        assert_eq!(names("dn:ann"), (None, None));
        assert_eq!(names("u:uid=ann,dc=x"), (None, Some("uid=ann,dc=x")));
        assert_eq!(names("ann"), (None, Some("ann")));
        assert_eq!(names("\u{e9}"), (None, Some("\u{e9}")));
    }
}
