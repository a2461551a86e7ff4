//! Controls of a request as an operation wants them: known, fitting the operation, values decoded.
//!
//! RFC 4511 4.1.11 in one place: a critical control that is unknown, or that does not belong to the operation, refuses
//! it; one that is not critical is passed over. A known control with a value that cannot be read refuses its request
//! whether critical or not, because it must never pass as absent.
//!
//! Not here: what a control does (the operation that it belongs to).

mod combination;

use super::assurance::{DurabilityRequest, TokenRequest, durability_request, token_request};
use super::outcome::{OperationError, Outcome};
use crate::model::{Filter, ResultCode};
use crate::search::Subentries;
use crate::wire::assurance::{DURABILITY, SESSION_TOKEN};
use crate::wire::control::{
    self, Dereference, EffectiveRights, ListView, PagedResults, PersistentSearch, SessionTracking, SortKey,
    dereferences, values_filter,
};
use crate::wire::password_policy::{PASSWORD_EXPIRED, PASSWORD_EXPIRING, PASSWORD_POLICY};
use crate::wire::sync::{SYNC_REQUEST, SyncRequest};
use crate::wire::transaction::TRANSACTION;
use crate::wire::{Control, Controls};

/// Subentries (RFC 3672 3).
pub const SUBENTRIES: &str = "1.3.6.1.4.1.4203.1.10.1";

/// Subentries, as the draft before that document has them (draft-ietf-ldup-subentry-08): without a value, subentries alone.
pub const SUBENTRIES_ALONE: &str = "1.3.6.1.4.1.7628.5.101.1";

/// Every control that is served, for the root DSE.
pub const SUPPORTED_CONTROLS: &[&str] = &[
    control::PAGED_RESULTS,
    control::SORT_REQUEST,
    control::SORT_RESPONSE,
    control::LIST_VIEW_REQUEST,
    control::LIST_VIEW_RESPONSE,
    control::MATCHED_VALUES,
    control::DEREFERENCE,
    control::EFFECTIVE_RIGHTS,
    control::ACCOUNT_USABILITY,
    control::DONT_USE_COPY,
    control::PERSISTENT_SEARCH,
    control::ENTRY_CHANGE,
    control::ASSERTION,
    control::PRE_READ,
    control::POST_READ,
    control::TREE_DELETE,
    control::PERMISSIVE_MODIFY,
    control::NO_OPERATION,
    control::RELAX_RULES,
    control::PROXIED_AUTHORIZATION,
    control::AUTHORIZATION_IDENTITY_REQUEST,
    control::AUTHORIZATION_IDENTITY_RESPONSE,
    control::SESSION_TRACKING,
    TRANSACTION,
    SUBENTRIES,
    SUBENTRIES_ALONE,
    control::MANAGE_DSA_IT,
    SYNC_REQUEST,
    SESSION_TOKEN,
    DURABILITY,
    control::MANAGE_CONFLICTS,
    control::SHOW_DELETED,
    PASSWORD_POLICY,
    PASSWORD_EXPIRED,
    PASSWORD_EXPIRING,
];

/// The operation that controls came with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// RFC 4511 4.7.
    Add,
    /// RFC 4511 4.2.
    Bind,
    /// RFC 4511 4.10.
    Compare,
    /// RFC 4511 4.8.
    Delete,
    /// RFC 4511 4.12.
    Extended,
    /// RFC 4511 4.6.
    Modify,
    /// RFC 4511 4.9.
    ModifyDn,
    /// RFC 3062: an extended operation that may be part of a transaction (RFC 5805 2.2).
    PasswordModify,
    /// RFC 4511 4.5.
    Search,
}

/// The paged results control of a request (RFC 2696).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paging {
    /// Entries wanted; 0 ends the search.
    pub size: u32,
    /// Empty: the first page.
    pub cookie: Vec<u8>,
}

/// See the module.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RequestControls {
    /// Paged results.
    pub paged: Option<Paging>,
    /// ManageDsaIT: referral entries are entries like others.
    pub manage_dsa_it: bool,
    /// The entry must match this filter.
    pub assertion: Option<Filter<'static>>,
    /// Attributes of the entry before the change.
    pub pre_read: Option<Vec<String>>,
    /// Attributes of the entry after the change.
    pub post_read: Option<Vec<String>>,
    /// Deleted entries are shown too, to whoever may see them.
    pub show_deleted: bool,
    /// What a search does with subentries.
    pub subentries: Subentries,
    /// Content synchronisation.
    pub sync: Option<SyncRequest>,
    /// The response tells a session token. That this node holds the one of the request was seen to before.
    pub session_token: Option<TokenRequest>,
    /// Who else must hold the change.
    pub durability: Option<DurabilityRequest>,
    /// What a password policy has to say is said in a control.
    pub password_policy: bool,
    /// Whether a search finds entries whose name another one has.
    pub manage_conflicts: bool,
    /// In which order entries come.
    pub sort: Option<Vec<SortKey>>,
    /// Which part of a sorted list is wanted.
    pub list_view: Option<ListView>,
    /// Which values of an entry are sent.
    pub matched_values: Option<Vec<Filter<'static>>>,
    /// Which names in an entry are followed.
    pub dereference: Option<Vec<Dereference>>,
    /// Whose rights on each entry are told.
    pub effective_rights: Option<EffectiveRights>,
    /// Whether accounts can be used is told.
    pub account_usability: bool,
    /// Of which transaction the update is a part: its identifier.
    pub transaction: Option<Vec<u8>>,
    /// Changes are told as they come.
    pub persistent: Option<PersistentSearch>,
    /// Only a node that holds the data itself may answer.
    pub dont_use_copy: bool,
    /// What is below goes too.
    pub tree_delete: bool,
    /// What is there is added without complaint, what is not is deleted so.
    pub permissive_modify: bool,
    /// The change is tried and not made.
    pub no_op: bool,
    /// Attributes that only the server writes may be given.
    pub relax: bool,
    /// As whom the request is made: an authorisation identity.
    pub proxied: Option<String>,
    /// The response to a bind tells who the client is now.
    pub authorization_identity: bool,
    /// Which of [`SUPPORTED_CONTROLS`] came as critical: a bit for each.
    critical: u64,
}

const _: () = assert!(SUPPORTED_CONTROLS.len() <= 64, "the set of critical controls has 64 bits");

impl RequestControls {
    /// Reads the controls of a request of this kind.
    ///
    /// # Errors
    /// unavailableCriticalExtension; protocolError for a value that cannot be read.
    pub fn read(controls: &Controls<'_>, kind: RequestKind) -> Outcome<Self> {
        Self::read_without(controls, kind, &[])
    }

    /// As [`Self::read`]; those in `forbidden` are not served to who asks.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_without(controls: &Controls<'_>, kind: RequestKind, forbidden: &[&str]) -> Outcome<Self> {
        let mut read = Self::default();
        for control in controls {
            if forbidden.contains(&control.oid) {
                if control.critical {
                    return Err(OperationError::new(
                        ResultCode::UNAVAILABLE_CRITICAL_EXTENSION,
                        format!(
                            "an access rule (targetcontrol) keeps the critical control {} from you here",
                            printable(control.oid)
                        ),
                    ));
                }
                continue;
            }
            if !read.take(&control, kind)? && control.critical {
                return Err(OperationError::new(
                    ResultCode::UNAVAILABLE_CRITICAL_EXTENSION,
                    format!("the critical control {} is not served with this operation", printable(control.oid)),
                ));
            }
            if control.critical {
                read.critical |= bit_of(control.oid);
            }
        }
        read.settle()?;
        Ok(read)
    }

    /// Whether the control came, and as critical.
    pub fn is_critical(&self, oid: &str) -> bool {
        self.critical & bit_of(oid) != 0
    }

    /// Whether the control is one of ours and belongs to the operation.
    fn take(&mut self, control: &Control<'_>, kind: RequestKind) -> Outcome<bool> {
        use RequestKind::{Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, PasswordModify, Search};
        let belongs = match (control.oid, kind) {
            (PASSWORD_POLICY, _) => true,
            (control::SESSION_TRACKING, _) => true,
            (control::AUTHORIZATION_IDENTITY_REQUEST, Bind) => true,
            (_, Bind) => false,
            (control::PROXIED_AUTHORIZATION, _) => true,
            (TRANSACTION, PasswordModify) => true,
            (_, Extended | PasswordModify) => false,
            (control::MATCHED_VALUES | control::DEREFERENCE | control::PERSISTENT_SEARCH, Search) => true,
            (control::EFFECTIVE_RIGHTS | control::ACCOUNT_USABILITY, Search) => true,
            (control::DONT_USE_COPY, Compare | Search) => true,
            (control::TREE_DELETE, Delete) => true,
            (control::PERMISSIVE_MODIFY, Modify) => true,
            (TRANSACTION | control::NO_OPERATION | control::RELAX_RULES, Add | Delete | Modify | ModifyDn) => true,
            (control::PAGED_RESULTS | control::MANAGE_CONFLICTS | SUBENTRIES | SYNC_REQUEST, Search) => true,
            (control::SORT_REQUEST | control::LIST_VIEW_REQUEST | SUBENTRIES_ALONE, Search) => true,
            (control::SHOW_DELETED, Modify | Search) => true,
            (control::MANAGE_DSA_IT | control::ASSERTION, Add | Compare | Delete | Modify | ModifyDn | Search) => true,
            (SESSION_TOKEN, Add | Compare | Delete | Modify | ModifyDn | Search) => true,
            (DURABILITY, Add | Delete | Modify | ModifyDn) => true,
            (control::PRE_READ, Delete | Modify | ModifyDn) => true,
            (control::POST_READ, Add | Modify | ModifyDn) => true,
            _ => false,
        };
        if !belongs {
            return Ok(false);
        }
        match control.oid {
            control::AUTHORIZATION_IDENTITY_REQUEST => self.authorization_identity = no_value(control)?,
            control::ACCOUNT_USABILITY => self.account_usability = no_value(control)?,
            control::TREE_DELETE => self.tree_delete = no_value(control)?,
            control::PERMISSIVE_MODIFY => self.permissive_modify = no_value(control)?,
            control::NO_OPERATION => self.no_op = no_value(control)?,
            control::RELAX_RULES => self.relax = no_value(control)?,
            control::DONT_USE_COPY => self.dont_use_copy = only_critical(control)? && no_value(control)?,
            control::PROXIED_AUTHORIZATION => {
                only_critical(control)?;
                let value = control.required_value()?;
                self.proxied = Some(identity(value)?);
            }
            control::SESSION_TRACKING => {
                SessionTracking::decode(control.required_value()?)?;
            }
            TRANSACTION => {
                only_critical(control)?;
                self.transaction = Some(control.required_value()?.to_vec());
            }
            control::PERSISTENT_SEARCH => {
                self.persistent = Some(PersistentSearch::decode(control.required_value()?)?);
            }
            control::MATCHED_VALUES => self.matched_values = Some(values_filter(control.required_value()?)?),
            control::DEREFERENCE => self.dereference = Some(dereferences(control.required_value()?)?),
            control::EFFECTIVE_RIGHTS => self.effective_rights = Some(EffectiveRights::decode(control.value)?),
            PASSWORD_POLICY => self.password_policy = no_value(control)?,
            control::MANAGE_DSA_IT => self.manage_dsa_it = no_value(control)?,
            control::MANAGE_CONFLICTS => self.manage_conflicts = no_value(control)?,
            control::SHOW_DELETED => self.show_deleted = no_value(control)?,
            control::PAGED_RESULTS => {
                let PagedResults { size, cookie } = PagedResults::decode(control.required_value()?)?;
                self.paged = Some(Paging { size: size.unsigned_abs(), cookie: cookie.to_vec() });
            }
            control::SORT_REQUEST => self.sort = Some(control::sort_keys(control.required_value()?)?),
            control::LIST_VIEW_REQUEST => self.list_view = Some(ListView::decode(control.required_value()?)?),
            control::ASSERTION => {
                self.assertion = Some(control::assertion_filter(control.required_value()?)?.into_owned());
            }
            SESSION_TOKEN => self.session_token = Some(token_request(control)?),
            DURABILITY => self.durability = Some(durability_request(control)?),
            SYNC_REQUEST => self.sync = Some(SyncRequest::decode(control)?),
            control::PRE_READ => self.pre_read = Some(selection(control)?),
            control::POST_READ => self.post_read = Some(selection(control)?),
            SUBENTRIES_ALONE => {
                no_value(control)?;
                self.subentries = Subentries::Only;
            }
            _ => self.subentries = subentries(control.required_value()?)?,
        }
        Ok(true)
    }
}

/// Says that the control came; it has nothing more to say.
fn no_value(control: &Control<'_>) -> Outcome<bool> {
    match control.value {
        None | Some([]) => Ok(true),
        Some(_) => Err(OperationError::new(
            ResultCode::PROTOCOL_ERROR,
            format!("the control {} has no value", printable(control.oid)),
        )),
    }
}

/// RFC 4370 3, RFC 6171 2: a server that passed over this control would do what the client does not want.
fn only_critical(control: &Control<'_>) -> Outcome<bool> {
    if control.critical {
        return Ok(true);
    }
    let text = format!("the control {} must be critical", printable(control.oid));
    Err(OperationError::new(ResultCode::PROTOCOL_ERROR, text))
}

/// An authorisation identity; some clients wrap it into an OCTET STRING, as the draft of RFC 4370 had it.
fn identity(value: &[u8]) -> Outcome<String> {
    let inner = match value {
        [crate::wire::ber::OCTET_STRING, length, rest @ ..] if usize::from(*length) == rest.len() => rest,
        value => value,
    };
    std::str::from_utf8(inner)
        .map(str::to_owned)
        .map_err(|_| OperationError::new(ResultCode::PROTOCOL_ERROR, "an authorization identity is UTF-8 text"))
}

/// The bit of a control in the set of critical ones.
fn bit_of(oid: &str) -> u64 {
    SUPPORTED_CONTROLS.iter().position(|known| *known == oid).map_or(0, |at| 1 << at)
}

fn selection(control: &Control<'_>) -> Outcome<Vec<String>> {
    let names = control::read_entry_selection(control.required_value()?)?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// The value is one BOOLEAN: TRUE shows subentries alone, FALSE everything else.
fn subentries(value: &[u8]) -> Outcome<Subentries> {
    match value {
        [1, 1, 0] => Ok(Subentries::Hidden),
        [1, 1, 0xff] => Ok(Subentries::Only),
        _ => Err(OperationError::new(ResultCode::PROTOCOL_ERROR, "the subentries control takes one BOOLEAN")),
    }
}

/// An OID that a client sent, short and without surprises.
fn printable(oid: &str) -> String {
    oid.chars().take(64).map(|letter| if letter.is_ascii_graphic() { letter } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Message;

    /// A delete request whose controls are `list` (each: OID, critical, value).
    fn delete_with(list: &[(&str, bool, Option<&[u8]>)]) -> Vec<u8> {
        fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
            let mut out = vec![tag, 0x82, (content.len() >> 8) as u8, content.len() as u8];
            out.extend_from_slice(content);
            out
        }
        let controls: Vec<u8> = list
            .iter()
            .flat_map(|(oid, critical, value)| {
                let mut content = tlv(4, oid.as_bytes());
                if *critical {
                    content.extend_from_slice(&[1, 1, 0xff]);
                }
                content.extend(value.map(|value| tlv(4, value)).unwrap_or_default());
                tlv(0x30, &content)
            })
            .collect();
        let content = [tlv(2, &[1]), tlv(0x4a, b"dc=x"), tlv(0xa0, &controls)].concat();
        tlv(0x30, &content)
    }

    fn read(list: &[(&str, bool, Option<&[u8]>)], kind: RequestKind) -> Outcome<RequestControls> {
        let pdu = delete_with(list);
        RequestControls::read(&Message::decode(&pdu).unwrap().controls, kind)
    }

    #[test]
    fn unknown_controls_count_only_when_critical() {
        assert_eq!(read(&[("1.2.3", false, None)], RequestKind::Search).unwrap(), RequestControls::default());
        let refused = read(&[("1.2.3", true, None)], RequestKind::Search).unwrap_err();
        assert_eq!(refused.code, ResultCode::UNAVAILABLE_CRITICAL_EXTENSION);
    }

    #[test]
    fn a_control_of_another_operation_is_an_unknown_one() {
        let paged = PagedResults { size: 5, cookie: b"c" }.encode();
        let list = [(control::PAGED_RESULTS, true, Some(paged.as_slice()))];
        assert_eq!(read(&list, RequestKind::Delete).unwrap_err().code, ResultCode::UNAVAILABLE_CRITICAL_EXTENSION);
        let read = read(&list, RequestKind::Search).unwrap();
        assert_eq!(read.paged, Some(Paging { size: 5, cookie: b"c".to_vec() }));
    }

    #[test]
    fn a_bad_value_never_passes_as_absent() {
        for (oid, value) in [
            (control::PAGED_RESULTS, None),
            (control::PAGED_RESULTS, Some(&[0x30, 0][..])),
            (control::ASSERTION, Some(&[][..])),
            (SUBENTRIES, Some(&[1, 1][..])),
        ] {
            let refused = read(&[(oid, false, value)], RequestKind::Search).unwrap_err();
            assert_eq!(refused.code, ResultCode::PROTOCOL_ERROR, "{oid}");
        }
    }

    #[test]
    fn subentries_are_asked_for_by_a_boolean() {
        let only = read(&[(SUBENTRIES, true, Some(&[1, 1, 0xff]))], RequestKind::Search).unwrap();
        assert_eq!(only.subentries, Subentries::Only);
        let only = read(&[(SUBENTRIES_ALONE, true, None)], RequestKind::Search).unwrap();
        assert_eq!(only.subentries, Subentries::Only);
        let refused = read(&[(SUBENTRIES_ALONE, false, Some(&[1, 1, 0xff]))], RequestKind::Search).unwrap_err();
        assert_eq!(refused.code, ResultCode::PROTOCOL_ERROR);
    }
}
