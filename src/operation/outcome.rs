//! How an operation ends: the one table from inner errors to LDAP result codes.
//!
//! Inner floors say what happened; what a client is told about it is decided here and nowhere else, so that the same
//! fault has the same code behind every operation. Faults of the server itself (storage, a broken record) are logged
//! with all that is known and answered in general words, because details of the disk are nothing for clients.

use crate::dit::{DitError, ValueError};
use crate::model::{AttributeDescriptionError, DnError, ResultCode};
use crate::schema::check::Violation;
use crate::schema::{InvalidSyntax, InvalidValue};
use crate::search::SearchError;
use crate::storage::StorageError;
use crate::wire::password_policy::PasswordError;
use crate::wire::{LdapResult, Malformed, ResponseControl, ResponseKind, response};

/// Why an operation did not succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {diagnostic}")]
pub struct OperationError {
    /// The result code.
    pub code: ResultCode,
    /// matchedDN; empty but for noSuchObject and its like.
    pub matched_dn: String,
    /// Text for a person; says what to do where that can be said.
    pub diagnostic: String,
    /// LDAP URLs; only with the code referral.
    pub referrals: Vec<String>,
    /// What a password policy objects to, for those who ask in a control.
    pub password: Option<PasswordError>,
}

/// What operations return.
pub type Outcome<T> = Result<T, OperationError>;

impl OperationError {
    /// A code and a text.
    pub fn new(code: ResultCode, diagnostic: impl Into<String>) -> Self {
        Self { code, matched_dn: String::new(), diagnostic: diagnostic.into(), referrals: Vec::new(), password: None }
    }

    /// The same with matchedDN.
    #[must_use]
    pub fn matched(mut self, dn: impl Into<String>) -> Self {
        self.matched_dn = dn.into();
        self
    }

    /// The same because of a password policy.
    #[must_use]
    pub fn by_policy(mut self, error: PasswordError) -> Self {
        self.password = Some(error);
        self
    }

    /// noSuchObject. `matched_dn`: the deepest superior that the requester may know of.
    pub fn no_such_object(matched_dn: impl Into<String>) -> Self {
        Self::new(ResultCode::NO_SUCH_OBJECT, "there is no such entry").matched(matched_dn)
    }

    /// insufficientAccessRights, saying what is missing.
    pub fn insufficient_access(diagnostic: impl Into<String>) -> Self {
        Self::new(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, diagnostic)
    }

    /// A referral to other servers.
    pub fn referral(urls: Vec<String>) -> Self {
        Self { referrals: urls, ..Self::new(ResultCode::REFERRAL, "these entries are kept by another server") }
    }

    /// A fault of the server: told to the log, not to the client.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "an operation failed inside the server");
        Self::new(ResultCode::OTHER, "the server failed inside; its log says more")
    }

    /// As the wire wants it.
    pub fn as_result(&self) -> LdapResult<'_> {
        LdapResult {
            code: self.code,
            matched_dn: &self.matched_dn,
            diagnostic: &self.diagnostic,
            referrals: &self.referrals,
        }
    }

    /// Appends the response that says so.
    pub fn respond(&self, out: &mut Vec<u8>, id: i32, kind: ResponseKind, controls: &[ResponseControl]) {
        response::result(out, id, kind, &self.as_result(), controls);
    }
}

impl From<StorageError> for OperationError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full(_) => {
                tracing::error!(%error, "no room for more data");
                Self::new(
                    ResultCode::UNWILLING_TO_PERFORM,
                    "the server has no room for more data; it can still be read",
                )
            }
            StorageError::Corrupted { .. }
            | StorageError::Encryption(_)
            | StorageError::Format(_)
            | StorageError::Io(_)
            | StorageError::Lmdb(_)
            | StorageError::Unsound { .. } => Self::internal(&error),
        }
    }
}

impl From<DitError> for OperationError {
    fn from(error: DitError) -> Self {
        match error {
            DitError::UnknownAttribute(name) => Self::new(
                ResultCode::UNDEFINED_ATTRIBUTE_TYPE,
                format!("attribute type {name} is not in the schema; cn=subschema lists what is"),
            ),
            DitError::TooManyAttributes { .. } | DitError::TooManyOptions { .. } => {
                Self::new(ResultCode::ADMIN_LIMIT_EXCEEDED, error.to_string())
            }
            DitError::NoSuchEntry(_) => Self::no_such_object(""),
            DitError::Unavailable(reason) => Self::new(ResultCode::BUSY, reason),
            DitError::Withdrawn => Self::new(ResultCode::NO_OPERATION, error.to_string()),
            DitError::Storage(error) => error.into(),
            DitError::State { .. } => Self::internal(&error),
        }
    }
}

impl From<SearchError> for OperationError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Dit(error) => error.into(),
            SearchError::SchemaChanged => Self::new(ResultCode::BUSY, error.to_string()),
            SearchError::TooLarge { .. } | SearchError::GroupTooLarge { .. } => {
                Self::new(ResultCode::ADMIN_LIMIT_EXCEEDED, error.to_string())
            }
        }
    }
}

impl From<ValueError> for OperationError {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::Invalid { .. } => Self::new(ResultCode::INVALID_ATTRIBUTE_SYNTAX, error.to_string()),
            ValueError::Encrypted { .. } => Self::new(ResultCode::CONSTRAINT_VIOLATION, error.to_string()),
            ValueError::Dit(error) => error.into(),
        }
    }
}

impl From<DnError> for OperationError {
    fn from(error: DnError) -> Self {
        Self::new(ResultCode::INVALID_DN_SYNTAX, error.to_string())
    }
}

impl From<AttributeDescriptionError> for OperationError {
    fn from(error: AttributeDescriptionError) -> Self {
        Self::new(ResultCode::UNDEFINED_ATTRIBUTE_TYPE, error.to_string())
    }
}

impl From<InvalidSyntax> for OperationError {
    fn from(error: InvalidSyntax) -> Self {
        Self::new(ResultCode::INVALID_ATTRIBUTE_SYNTAX, error.to_string())
    }
}

impl From<InvalidValue> for OperationError {
    fn from(error: InvalidValue) -> Self {
        Self::new(ResultCode::INVALID_ATTRIBUTE_SYNTAX, error.to_string())
    }
}

impl From<Malformed> for OperationError {
    fn from(error: Malformed) -> Self {
        Self::new(error.code, error.detail.into_owned())
    }
}

impl From<Violation> for OperationError {
    fn from(violation: Violation) -> Self {
        let code = match violation {
            Violation::SeveralValues { .. } => ResultCode::CONSTRAINT_VIOLATION,
            Violation::NoObjectClass
            | Violation::UnknownClass { .. }
            | Violation::NoStructuralClass { .. }
            | Violation::TwoStructuralClasses { .. }
            | Violation::MissingAttribute { .. }
            | Violation::NotAllowedAttribute { .. }
            | Violation::AuxiliaryNotAllowed { .. }
            | Violation::PrecludedAttribute { .. } => ResultCode::OBJECT_CLASS_VIOLATION,
        };
        Self::new(code, violation.to_string())
    }
}
