//! A certificate made on the spot, so that `entente demo` speaks TLS on a machine that has none.
//!
//! It vouches for nobody: a client that wants to check it must be given the file. It is valid for the names by which
//! this machine reaches itself, and is made again when it is about to end.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::TransportError;
use super::certificate::expires_unix_s;

/// How long the certificate lasts: the longest that clients of all makers accept.
const VALID_DAYS: i64 = 825;
/// So many days before its end it is made again.
const RENEW_DAYS: i64 = 7;
const DAY_S: i64 = 24 * 60 * 60;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfSigned {
    /// PEM file with the certificate; what a client is given to trust.
    pub certificate: PathBuf,
    /// PEM file with the key, mode 0600.
    pub key: PathBuf,
}

/// Makes `certificate.pem` and `key.pem` in `folder`, or keeps those that are there and not about to end.
///
/// Names: `localhost`, 127.0.0.1, ::1 and `host_name`. `now_unix_s` is the present time in unix seconds.
///
/// # Errors
/// - [`TransportError::Write`]: the folder cannot be written to.
/// - [`TransportError::Certificate`]: no key could be made, or `host_name` cannot stand in a certificate.
pub fn ensure_self_signed(folder: &Path, host_name: &str, now_unix_s: i64) -> Result<SelfSigned, TransportError> {
    let files = SelfSigned { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    let ends = CertificateDer::from_pem_file(&files.certificate).ok().and_then(|der| expires_unix_s(&der));
    if files.key.is_file() && ends.is_some_and(|ends| ends - now_unix_s > RENEW_DAYS * DAY_S) {
        return Ok(files);
    }
    let (certificate, key) = make(host_name, now_unix_s)
        .map_err(|detail| TransportError::Certificate { path: files.certificate.clone(), detail })?;
    // The key first: a certificate without its key would be taken for good the next time.
    write(&files.key, &key, 0o600)?;
    write(&files.certificate, &certificate, 0o644)?;
    Ok(files)
}

/// Certificate and key in PEM.
fn make(host_name: &str, now_unix_s: i64) -> Result<(String, String), String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !host_name.is_empty() && !names.iter().any(|name| name == host_name) {
        names.push(host_name.to_owned());
    }
    let mut params = CertificateParams::new(names).map_err(|error| error.to_string())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, if host_name.is_empty() { "localhost" } else { host_name });
    subject.push(DnType::OrganizationName, "Entente, self-signed");
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let at = |unix_s| time::OffsetDateTime::from_unix_timestamp(unix_s).map_err(|error| error.to_string());
    // A day back, for clients whose clock is behind.
    params.not_before = at(now_unix_s - DAY_S)?;
    params.not_after = at(now_unix_s + (VALID_DAYS - 1) * DAY_S)?;
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    let certificate = params.self_signed(&key).map_err(|error| error.to_string())?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Writes a file whole or not at all, with its mode from the first byte.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), TransportError> {
    let fault = |source| TransportError::Write { path: path.to_owned(), source };
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft).map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    fs::rename(&draft, path).map_err(fault)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: i64 = 1_795_000_000;

    #[test]
    fn a_certificate_is_made_once_and_made_again_before_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let files = ensure_self_signed(folder.path(), "box.example.com", NOW).unwrap();
        assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        let first = fs::read(&files.certificate).unwrap();
        ensure_self_signed(folder.path(), "box.example.com", NOW + 800 * DAY_S).unwrap();
        assert_eq!(fs::read(&files.certificate).unwrap(), first);
        ensure_self_signed(folder.path(), "box.example.com", NOW + 820 * DAY_S).unwrap();
        assert_ne!(fs::read(&files.certificate).unwrap(), first);
        fs::write(&files.certificate, "nonsense").unwrap();
        ensure_self_signed(folder.path(), "", NOW).unwrap();
        assert_ne!(fs::read(&files.certificate).unwrap(), b"nonsense");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = ensure_self_signed(Path::new("/nowhere/at/all"), "x", NOW).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all/key"), "{error}");
    }
}
