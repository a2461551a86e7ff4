//! Whether an account can be used: what the account usability control tells of an entry.
//!
//! An account is an entry with a password. What is told is what a bind with the right password would come to: what keeps
//! it from binding at all (switched off, locked, outside its time), and what the password policy says of the password.

use super::Directory;
use super::access::Access;
use super::bind::may_bind;
use super::outcome::Outcome;
use crate::dit::{Entry, View};
use crate::policy::password_policy::{Expiry, Standing};
use crate::wire::control::{Unusable, Usability};

impl Directory {
    /// Whether the account can be used; `None` of an entry that is none, or whose password the requester may not even
    /// compare.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn usability(
        &self,
        view: View<'_>,
        access: &Access<'_>,
        entry: &Entry<'_>,
    ) -> Outcome<Option<Usability>> {
        let catalog = view.catalog();
        let Some(password) = catalog.schema().attribute_type("userPassword") else { return Ok(None) };
        if !catalog.of_type(password.index).iter().any(|attribute| entry.attribute(*attribute).is_some()) {
            return Ok(None);
        }
        if !access.may_compare(entry, password.index) {
            return Ok(None);
        }
        let account = self.account(view, entry)?;
        let policy = account.policy.as_deref();
        let (state, now_us) = (self.state_now(&account), self.now_us());
        let expiry = policy.map_or(Expiry::Never, |policy| state.expiry(policy, now_us));
        let graces_left = match expiry {
            Expiry::Past { graces_left } => Some(u32::try_from(graces_left).unwrap_or(u32::MAX)),
            Expiry::Never | Expiry::In { .. } => None,
        };
        let seconds = |seconds: i64| u32::try_from(seconds).unwrap_or(u32::MAX);
        let is_off = !may_bind(entry);
        let why = Unusable {
            inactive: is_off || state.standing(policy, now_us) != Standing::Open,
            reset: policy.is_some_and(|policy| state.must_change(policy)),
            expired: graces_left.is_some(),
            graces_left,
            unlocks_s: state.opens_in_s(policy, now_us).filter(|_| !is_off).map(seconds),
        };
        Ok(Some(match (why == Unusable::default(), expiry) {
            (false, _) => Usability::Unusable(why),
            (true, Expiry::In { seconds: left }) => Usability::Usable { expires_s: Some(seconds(left)) },
            (true, _) => Usability::Usable { expires_s: None },
        }))
    }
}
