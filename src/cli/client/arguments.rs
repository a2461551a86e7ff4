//! The arguments that say which server is meant and who asks.

use super::tls::Trust;
use super::{Identity, Target};
use crate::cli::output::CliError;
use crate::config::Config;
use crate::transport::ListenUrl;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where `entente demo` and a server without `--listen` of its own answer.
const DEFAULT_URL: &str = "ldap://127.0.0.1:3389";
/// Where these arguments stand in the help.
const HEADING: &str = "Connection";
/// Longest password file, in bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;

// Which server, and as whom. A doc comment would stand in the place of that of each command that has these.
#[derive(clap::Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "see above")]
pub struct ConnectArgs {
    /// ldap://HOST:PORT, ldaps://HOST:PORT or ldapi:///PATH; ldap://127.0.0.1:3389 if neither this nor --data is given
    #[arg(help_heading = HEADING, long, short = 'H', value_name = "URL")]
    url: Option<String>,
    /// Ask the node that serves this data directory, over its own socket, as the user who runs this command
    #[arg(help_heading = HEADING, long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// Bind as this DN; the password is asked for, or read from --password-file
    #[arg(help_heading = HEADING, long, short = 'D', value_name = "DN")]
    bind_dn: Option<String>,
    /// A file with the password, or - for standard input; a line end at its end does not count
    #[arg(help_heading = HEADING, long, short = 'y', value_name = "FILE", requires = "bind_dn")]
    password_file: Option<PathBuf>,
    /// Ask for TLS on an ldap:// connection, and go on only with it
    #[arg(help_heading = HEADING, long = "starttls", short = 'Z')]
    start_tls: bool,
    /// A PEM file with the authorities to believe, or with the server's own certificate
    #[arg(help_heading = HEADING, long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Believe the one certificate with this SHA-256 fingerprint, whatever its names and dates say
    #[arg(help_heading = HEADING, long, value_name = "FINGERPRINT", conflicts_with = "ca")]
    insecure_pin: Option<String>,
}

impl ConnectArgs {
    /// The node that serves `data`, asked by the user who runs the command.
    pub fn of_data(data: &Path) -> Self {
        Self { data: Some(data.to_owned()), ..Self::default() }
    }

    /// The server at `url`.
    #[must_use]
    pub fn at(url: &str, bind_dn: Option<String>, password_file: Option<PathBuf>) -> Self {
        Self { url: Some(url.to_owned()), bind_dn, password_file, ..Self::default() }
    }

    /// The same over TLS, with these certificates believed.
    #[must_use]
    pub fn secured(self, start_tls: bool, ca: Option<PathBuf>, insecure_pin: Option<String>) -> Self {
        Self { start_tls, ca, insecure_pin, ..self }
    }

    /// The data directory whose node is asked, where one was named.
    pub fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// What the arguments mean; asks for a password where one is needed.
    ///
    /// # Errors
    /// An argument is wrong, or the password cannot be read.
    pub fn target(&self) -> Result<Target, CliError> {
        let url = match (&self.url, &self.data) {
            (Some(url), _) => parse_url(url)?,
            (None, Some(data)) => {
                let mut config = Config::default();
                config.server.data_dir.clone_from(data);
                ListenUrl::Unix { path: config.own_socket() }
            }
            (None, None) => parse_url(DEFAULT_URL)?,
        };
        if self.start_tls && url.is_tls() {
            return Err(CliError::new("ldaps:// speaks TLS from the first byte: leave out --starttls, or use ldap://"));
        }
        let trust = match (&self.ca, &self.insecure_pin) {
            (Some(file), _) => Trust::File(file.clone()),
            (None, Some(pin)) => Trust::fingerprint(pin)
                .ok_or_else(|| CliError::new("a fingerprint is 64 hexadecimal digits, colons between them or not"))?,
            (None, None) => Trust::System,
        };
        let identity = match &self.bind_dn {
            Some(dn) => Identity::Simple {
                dn: dn.clone(),
                password: read_password(
                    self.password_file.as_deref(),
                    &format!("Password of {dn}"),
                    "--password-file",
                )?,
            },
            None if matches!(url, ListenUrl::Unix { .. }) => Identity::External,
            None => Identity::Anonymous,
        };
        Ok(Target { url, start_tls: self.start_tls, trust, identity })
    }
}

/// `ldapi://%2Frun%2Fentente%2Fldapi` is how other clients write a socket's path; both forms are read.
fn parse_url(text: &str) -> Result<ListenUrl, CliError> {
    let plain = match text.strip_prefix("ldapi://") {
        Some(path) if !path.starts_with('/') => format!("ldapi://{}", path.replace("%2F", "/").replace("%2f", "/")),
        _ => text.to_owned(),
    };
    plain.parse().map_err(|_| {
        CliError::new(format!("{text} is no address: write ldap://HOST:PORT, ldaps://HOST:PORT or ldapi:///PATH"))
    })
}

/// A password from a file, or asked for at the terminal without showing it. `option` is the one that names the file.
///
/// # Errors
/// There is no terminal to ask at, the file cannot be read, or the password is empty.
pub fn read_password(file: Option<&Path>, prompt: &str, option: &str) -> Result<Zeroizing<String>, CliError> {
    let password = match file {
        Some(file) => password_of_file(file)?,
        None => {
            let terminal = console::Term::stderr();
            if !terminal.is_term() || !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
                return Err(CliError::new(format!(
                    "{prompt} is needed and there is no terminal to ask at: name a file that holds it with {option} FILE"
                )));
            }
            let ask = || {
                terminal.write_str(&format!("{prompt}: "))?;
                terminal.read_secure_line()
            };
            Zeroizing::new(ask().map_err(|error| CliError::new(format!("the password cannot be read: {error}")))?)
        }
    };
    // A server takes a DN with an empty password for no bind at all, and the mistake would go unnoticed.
    if password.is_empty() { Err(CliError::new("the password is empty")) } else { Ok(password) }
}

fn password_of_file(file: &Path) -> Result<Zeroizing<String>, CliError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if file == Path::new("-") {
        std::io::stdin().take(PASSWORD_BYTES_MAX).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(PASSWORD_BYTES_MAX).read_to_end(&mut bytes))
    };
    read.map_err(|error| CliError::file(file, &error))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| CliError::new(format!("{}: a password is text in UTF-8", file.display())))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_loses_its_line_end_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pw");
        std::fs::write(&file, " sec ret \r\n").unwrap();
        assert_eq!(*read_password(Some(&file), "", "").unwrap(), " sec ret ");
        std::fs::write(&file, "\n").unwrap();
        assert!(read_password(Some(&file), "", "").is_err());
    }

    #[test]
    fn the_address_is_the_nodes_own_socket_when_its_data_is_named() {
        let target = ConnectArgs::of_data(Path::new("/d")).target().unwrap();
        assert_eq!(target.url, ListenUrl::Unix { path: "/d/ldapi".into() });
        assert!(matches!(target.identity, Identity::External));
        let target = ConnectArgs::default().target().unwrap();
        assert_eq!(target.url.to_string(), DEFAULT_URL);
        assert!(matches!(target.identity, Identity::Anonymous));
        assert!(
            matches!(parse_url("ldapi://%2Frun%2Fs").unwrap(), ListenUrl::Unix { path } if path == Path::new("/run/s"))
        );
        assert!(parse_url("http://x").unwrap_err().to_string().contains("ldap://"));
    }
}
