//! Who has bound with a password that somebody else has set may only change it (draft-behera 7.2, `pwdMustChange`).

use super::outcome::Outcome;
use super::{Directory, OperationError, Session};
use crate::model::{AttributeDescription, Dn};
use crate::wire::password_policy::{PASSWORD_POLICY, PasswordError, password_policy};
use crate::wire::{Message, Request, ResponseControl, extended};

impl Directory {
    /// Why a request of a session that has yet to change its password is refused, with the control that says so; `None`
    /// where it may run. Once the password is changed the session is like any other.
    pub fn restricts(
        &self,
        session: &mut Session,
        message: &Message<'_>,
    ) -> Option<(OperationError, Option<ResponseControl>)> {
        if !session.must_change_password {
            return None;
        }
        let is_allowed = match &message.request {
            Request::Bind(_) | Request::Unbind | Request::Abandon(_) => true,
            Request::Extended(request) => {
                [extended::PASSWORD_MODIFY, extended::START_TLS, extended::WHO_AM_I, extended::CANCEL]
                    .contains(&request.name)
            }
            Request::Modify(request) => {
                let schema_key = |text: &str| {
                    Dn::parse(text).map(|dn| self.dit().catalog().schema().dn_key(&dn)).unwrap_or_default()
                };
                session.requester.dn_key() == Some(schema_key(request.dn).as_slice())
                    && request.modifications.iter().all(|one| is_password(one.attribute))
            }
            _ => false,
        };
        if is_allowed || self.has_changed(session).unwrap_or(false) {
            return None;
        }
        let text = "the password was set by somebody else: change it first; nothing else is allowed until then";
        let error = OperationError::insufficient_access(text).by_policy(PasswordError::ChangeAfterReset);
        let asked = message.controls.find(PASSWORD_POLICY).is_some();
        let control = asked.then(|| password_policy(None, error.password));
        Some((error, control))
    }

    fn has_changed(&self, session: &mut Session) -> Outcome<bool> {
        let Some(uuid) = session.requester.entry_uuid() else { return Ok(false) };
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let Some(entry) = view.by_uuid(uuid)?.map(|id| view.entry(id)).transpose()?.flatten() else {
            return Ok(false);
        };
        session.must_change_password = super::password_policy::state_of(view, &entry)?.reset;
        Ok(!session.must_change_password)
    }
}

/// Whether a description is that of the password people bind with.
pub fn is_password(description: &str) -> bool {
    AttributeDescription::parse(description)
        .is_ok_and(|parsed| parsed.name().eq_ignore_ascii_case("userPassword") || parsed.name() == "2.5.4.35")
}
