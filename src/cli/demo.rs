//! `entente demo`: an example company, served at once.
//!
//! The first thing that a person sees of Entente, so it needs nothing (the data is inside the program), asks nothing, and
//! ends with lines that can be pasted as they stand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::output::{CliError, Output};
use super::{init, serve};
use crate::clock::Clock;
use crate::config::Config;
use crate::dit::DitError;
use crate::node::{NodeError, SettingsSource};
use crate::storage::StorageError;
use crate::transport::{ListenUrl, ensure_self_signed};

/// The example company.
const EXAMPLE: &str = include_str!("../../ldif/example.ldif");
const ADMINISTRATOR: &str = "cn=admin,dc=example,dc=com";
/// Known to everybody, and fine for data that everybody knows, on a machine of one's own.
const PASSWORD: &str = "secret";
/// Colleagues are asked for names typed in part; the demo must never be in their way.
const SETTINGS: [&str; 1] = ["limits.anonymous_size=0"];

/// Serve an example company at once.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  entente demo\n  entente demo --listen ldap://127.0.0.1:4389 --listen ldaps://127.0.0.1:4636\n\nMakes ./entente-demo with an example company if it is not there, and serves it until Ctrl-C. Remove the folder to begin anew."
)]
pub struct DemoArgs {
    /// Folder of the data
    #[arg(long, value_name = "DIR", default_value = "entente-demo")]
    data: PathBuf,
    /// Address to listen on, as often as wanted [default: ldap://127.0.0.1:3389 ldaps://127.0.0.1:3636]
    #[arg(long, value_name = "URL")]
    listen: Vec<ListenUrl>,
    /// One setting
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// The data could not be made or served; the text says what to do.
pub fn run(args: DemoArgs, output: &Output) -> Result<ExitCode, CliError> {
    let DemoArgs { data, mut listen, sets } = args;
    if listen.is_empty() {
        let usual = ["ldap://127.0.0.1:3389", "ldaps://127.0.0.1:3636"];
        listen = usual.iter().filter_map(|url| url.parse().ok()).collect();
    }
    if !data.join("data.mdb").exists() {
        let mut config = Config::load(None, &sets)?;
        config.server.data_dir.clone_from(&data);
        // Who takes the data away and leaves the rest of the folder begins anew.
        let own = ["certificate.pem", "key.pem"].map(Path::new);
        init::make_from(&config, &own, (EXAMPLE, Path::new("example.ldif")), ADMINISTRATOR, PASSWORD.as_bytes())?;
    }
    let now_s = i64::try_from(Clock::system().wall_ms() / 1000).unwrap_or(i64::MAX);
    // libldap puts the machine's own name in the place of `localhost`.
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = ensure_self_signed(&data, host_name.trim(), now_s).map_err(|error| CliError::new(error.to_string()))?;
    let mut settings: Vec<String> = SETTINGS.map(str::to_owned).to_vec();
    settings.push(format!("tls.certificate={}", own.certificate.display()));
    settings.push(format!("tls.key={}", own.key.display()));
    settings.extend(sets);
    let source = SettingsSource { file: None, sets: settings, data_dir: Some(data.clone()), listen };
    let failed = |error: NodeError| failed(&data, &error);
    serve::serve(source, failed, |urls| output.report(&json!({ "ready": urls }), || lines_to_paste(&data, urls)))
}

/// What to do when the demo does not start. Its data are nobody's: of another format they are made anew.
fn failed(data: &Path, error: &NodeError) -> CliError {
    match error {
        NodeError::Dit(DitError::Storage(StorageError::Format(_))) => CliError::new(format!(
            "{} was made by another version of this program, whose data this one cannot use; remove the folder and run \
             `entente demo` again, which makes the example anew, or choose another one with --data",
            data.display()
        )),
        error => CliError::new(error.to_string()),
    }
}

/// What to try, with the addresses that are really served.
fn lines_to_paste(data: &Path, urls: &[String]) -> String {
    let of = |scheme: &str| urls.iter().find(|url| url.starts_with(scheme)).map(String::as_str);
    let mut text = format!("ready {}\n", urls.join(" "));
    let mut add = |title: &str, line: &str| text.push_str(&format!("\n{title}\n  {line}\n"));
    if let Some(url) = of("ldap://") {
        add(
            "Find somebody by name:",
            &format!("ldapsearch -x -H {url} -b dc=example,dc=com '(cn=ann*)' cn mail telephoneNumber"),
        );
        add(
            "The same with our own client:",
            &format!("entente search --url {url} -b dc=example,dc=com '(cn=ann*)' cn mail"),
        );
    }
    if let Some(url) = of("ldaps://") {
        let certificate = std::path::absolute(data).unwrap_or_else(|_| data.to_owned()).join("certificate.pem");
        add(
            "Find somebody by mail, over TLS:",
            &format!(
                "LDAPTLS_CACERT={} ldapsearch -x -H {url} -b dc=example,dc=com '(mail=ann*)' cn mail",
                certificate.display()
            ),
        );
    }
    if let Some((host, port)) = of("ldap://").and_then(|url| url.strip_prefix("ldap://")?.rsplit_once(':')) {
        text.push_str(&format!(
            "\nAddress book of a mail client (Thunderbird: Address Book, New, LDAP directory):\n  host name {host}, port {port}, base DN dc=example,dc=com, no bind DN, no TLS\n"
        ));
    }
    text.push_str(&format!("\nPeople log in as uid=ann,ou=people,dc=example,dc=com and the administrator as\n{ADMINISTRATOR}, both with the password {PASSWORD}. Ctrl-C ends it."));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_version_are_to_be_removed() {
        let error = |text: &str| NodeError::Dit(DitError::Storage(StorageError::Format(text.to_owned())));
        let said =
            failed(Path::new("./entente-demo"), &error("the data has format 6: restore it from a backup")).to_string();
        assert!(said.contains("./entente-demo") && said.contains("remove the folder"), "{said}");
        assert!(!said.contains("backup"), "{said}");
        let other = NodeError::Settings("limits.size".to_owned());
        assert_eq!(failed(Path::new("x"), &other).to_string(), "limits.size");
    }

    #[test]
    fn lines_name_the_real_addresses() {
        let urls = ["ldap://127.0.0.1:4389".to_owned(), "ldaps://127.0.0.1:4636".to_owned()];
        let text = lines_to_paste(Path::new("/x"), &urls);
        assert!(text.contains("-H ldap://127.0.0.1:4389") && text.contains("-H ldaps://127.0.0.1:4636"), "{text}");
        assert!(text.contains("LDAPTLS_CACERT=/x/certificate.pem") && text.contains("port 4389"), "{text}");
    }
}
