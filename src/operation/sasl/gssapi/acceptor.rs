//! The library that knows Kerberos (MIT krb5 by its GSS-API), as one side of one exchange.
//!
//! Its binding has no way to say which keytab is meant but a variable of the environment, which belongs to the whole process;
//! so the key is asked for here, by `gss_acquire_cred_from`, which takes the file. It is asked for anew by each exchange: a
//! keytab that was replaced counts from the next bind on.
//!
//! The library keeps its messages by thread: an error is put into words where it occurs.
#![expect(unsafe_code, reason = "the binding has no safe way to name a keytab; see acquire")]

use libgssapi::context::{SecurityContext, ServerCtx};
use libgssapi::credential::Cred;
use libgssapi::error::{Error, MajorFlags};
use libgssapi::oid::GSS_MECH_KRB5;
use libgssapi_sys as gss;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// The errors of Kerberos (RFC 4120 7.5.9) begin here in what the library says.
const KERBEROS_ERRORS: u32 = (-1_765_328_384_i32).cast_unsigned();
/// No such key in the keytab.
const KEYTAB_HAS_NO_ENTRY: u32 = (-1_765_328_203_i32).cast_unsigned();
/// The key is there, in another version.
const KEYTAB_HAS_NO_SUCH_VERSION: u32 = (-1_765_328_154_i32).cast_unsigned();

/// One exchange, on the server's side.
#[derive(Debug)]
pub(super) struct Acceptor(ServerCtx);

/// Why it did not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum AcceptError {
    /// Before any client came.
    #[error("the key of {principal} cannot be had from {keytab} (sasl.keytab): {reason}; {advice}")]
    Key { principal: String, keytab: String, reason: String, advice: String },
    /// What a client sent is not taken.
    #[error("{reason}{advice}")]
    Token { reason: String, advice: &'static str },
    /// SPNEGO and the like.
    #[error("the token is none of Kerberos")]
    OtherMechanism,
    /// A principal that is no text.
    #[error("the client's principal is not UTF-8")]
    NoText,
}

impl AcceptError {
    fn token(error: Error) -> Self {
        let number = error.minor.wrapping_sub(KERBEROS_ERRORS);
        let advice = match (number, error.minor) {
            (32, _) => "; the client's ticket has expired: it is to get a new one (kinit)",
            (33, _) => "; the ticket is for later: compare the clocks of the KDC and of this machine",
            (34, _) => "; the same message was seen before: it was sent twice, or somebody recorded it",
            (37, _) => {
                "; set the clocks of client and server by the same time servers: five minutes may lie between them"
            }
            (31 | 35 | 41 | 45, _) | (_, KEYTAB_HAS_NO_ENTRY) => {
                "; sasl.principal must be the name by which clients know this server, and sasl.keytab must have its present key"
            }
            (44, _) | (_, KEYTAB_HAS_NO_SUCH_VERSION) => {
                "; the key was changed since: put the new one into the keytab (kadmin: ktadd), or have the client get a new ticket"
            }
            _ if error.major.contains(MajorFlags::GSS_S_BAD_BINDINGS) => {
                "; the client bound its ticket to another TLS channel: something between it and here ends TLS, or it binds by other means than tls-server-end-point"
            }
            _ => "",
        };
        Self::Token { reason: error.to_string(), advice }
    }
}

impl Acceptor {
    /// One side of an exchange as `principal`, with its key from `keytab`. Reads the file.
    ///
    /// # Errors
    /// [`AcceptError::Key`].
    pub(super) fn new(keytab: &Path, principal: &str) -> Result<Self, AcceptError> {
        let failure = |reason: String, advice: String| AcceptError::Key {
            principal: principal.to_owned(),
            keytab: keytab.display().to_string(),
            reason,
            advice,
        };
        if let Err(error) = std::fs::File::open(keytab) {
            let advice = format!(
                "make it by kadmin, ktadd -k {} {principal}, readable by the user of this server alone",
                keytab.display()
            );
            return Err(failure(error.to_string(), advice));
        }
        match acquire(keytab, principal) {
            Ok(key) => Ok(Self(ServerCtx::new(Some(key)))),
            Err(error) => {
                let advice = format!(
                    "see what it holds by klist -k {}; add the key by kadmin, ktadd, or set sasl.principal to one that it has",
                    keytab.display()
                );
                Err(failure(error.map_or_else(|| "a NUL in a name".to_owned(), |error| error.to_string()), advice))
            }
        }
    }

    /// The client's token; what it is to be answered.
    ///
    /// # Errors
    /// [`AcceptError::Token`], [`AcceptError::OtherMechanism`].
    pub(super) fn accept(&mut self, token: &[u8], binding: Option<&[u8]>) -> Result<Option<Vec<u8>>, AcceptError> {
        let answer = self.0.step(token, binding).map_err(AcceptError::token)?;
        if self.0.is_complete() && self.0.mechanism().map_err(AcceptError::token)? != GSS_MECH_KRB5 {
            return Err(AcceptError::OtherMechanism);
        }
        Ok(answer.map(|token| token.to_vec()))
    }

    /// Whether it is known who the client is.
    pub(super) fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// Signs a message, without hiding it.
    ///
    /// # Errors
    /// [`AcceptError::Token`].
    pub(super) fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, AcceptError> {
        self.0.wrap(false, message).map(|wrapped| wrapped.to_vec()).map_err(AcceptError::token)
    }

    /// A message that the client signed.
    ///
    /// # Errors
    /// [`AcceptError::Token`].
    pub(super) fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, AcceptError> {
        self.0.unwrap(message).map(|text| text.to_vec()).map_err(AcceptError::token)
    }

    /// The client's principal, with its realm.
    ///
    /// # Errors
    /// [`AcceptError::NoText`], [`AcceptError::Token`].
    pub(super) fn client(&self) -> Result<String, AcceptError> {
        let name = self.0.source_name().map_err(AcceptError::token)?;
        let text = name.display_name().map_err(AcceptError::token)?;
        String::from_utf8(text.to_vec()).map_err(|_| AcceptError::NoText)
    }
}

/// The key of a service, by RFC 5588's `gss_acquire_cred_from`; `Err(None)`: a NUL in one of the names.
fn acquire(keytab: &Path, principal: &str) -> Result<Cred, Option<Error>> {
    let keytab = CString::new([b"FILE:", keytab.as_os_str().as_bytes()].concat()).map_err(|_| None)?;
    let mut text = gss::gss_buffer_desc { length: principal.len(), value: principal.as_ptr().cast_mut().cast() };
    let kerberos: &[u8] = &GSS_MECH_KRB5;
    let kind: &[u8] = &libgssapi::oid::GSS_NT_KRB5_PRINCIPAL;
    let describe = |oid: &[u8]| gss::gss_OID_desc {
        length: u32::try_from(oid.len()).unwrap_or_default(),
        elements: oid.as_ptr().cast_mut().cast(),
    };
    let (mut mechanism, mut kind) = (describe(kerberos), describe(kind));
    let mut mechanisms = gss::gss_OID_set_desc { count: 1, elements: &mut mechanism };
    let mut element = gss::gss_key_value_element_desc { key: c"keytab".as_ptr(), value: keytab.as_ptr() };
    let store = gss::gss_key_value_set_desc { count: 1, elements: &mut element };
    let (mut minor, mut name, mut key) = (0, ptr::null_mut(), ptr::null_mut());
    // SAFETY: every pointer is to a value above that outlives the call, none of which the library changes or keeps: it
    // copies what it needs (RFC 2744 3). Results go to variables of the right types.
    let major = unsafe { gss::gss_import_name(&mut minor, &mut text, &mut kind, &mut name) };
    if major != gss::GSS_S_COMPLETE {
        return Err(Some(Error { major: MajorFlags::from_bits_retain(major), minor }));
    }
    // SAFETY: as above; `name` was made by the call before.
    let major = unsafe {
        gss::gss_acquire_cred_from(
            &mut minor,
            name,
            gss::_GSS_C_INDEFINITE,
            &mut mechanisms,
            gss::gss_cred_usage_t::try_from(gss::GSS_C_ACCEPT).unwrap_or_default(),
            &store,
            &mut key,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    let failure = Error { major: MajorFlags::from_bits_retain(major), minor };
    let mut ignored = 0;
    // SAFETY: `name` is ours and not used again.
    unsafe { gss::gss_release_name(&mut ignored, &mut name) };
    if major != gss::GSS_S_COMPLETE {
        return Err(Some(failure));
    }
    // SAFETY: `key` was just made, and nobody else has it.
    Ok(unsafe { Cred::from_c(key) })
}
