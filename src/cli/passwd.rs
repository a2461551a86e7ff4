//! `entente passwd`: a new password, by the password modify operation (RFC 3062).

use super::client::{self, ConnectArgs, Connection, read_password};
use super::output::{CliError, Output};
use ldap3_proto::proto::{LdapExtendedRequest, LdapOp, LdapPasswordModifyRequest, LdapPasswordModifyResponse};
use std::path::PathBuf;
use std::process::ExitCode;

/// The option that names the file of a new password.
const NEW_FILE: &str = "--new-password-file";

/// Set a password: one's own, or as an administrator somebody else's.
///
/// Passwords are asked for at the terminal, or read from files; never from the command line, which every user of the
/// machine can read.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente passwd -H ldaps://ldap.example.com:636 -D uid=ann,ou=people,dc=example,dc=com\n  \
    entente passwd --data /var/lib/entente --generate uid=ann,ou=people,dc=example,dc=com")]
pub struct PasswdArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Whose password; that of --bind-dn if not given
    #[arg(value_name = "DN")]
    user: Option<String>,
    /// A file with the new password, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    new_password_file: Option<PathBuf>,
    /// A file with the present password, where the server asks for it besides the bind
    #[arg(long, value_name = "FILE")]
    old_password_file: Option<PathBuf>,
    /// Let the server choose the password, and print it
    #[arg(long)]
    generate: bool,
}

/// Runs the command.
///
/// # Errors
/// The password is as it was.
pub fn run(args: PasswdArgs, output: &Output) -> Result<ExitCode, CliError> {
    let target = args.connect.target()?;
    if args.user.is_none() && matches!(target.identity, client::Identity::Anonymous | client::Identity::External) {
        return Err(CliError::new("say whose password to set: a DN, or --bind-dn DN for one's own"));
    }
    let old = args.old_password_file.as_deref().map(|file| read_password(Some(file), "", "")).transpose()?;
    let new = if args.generate {
        None
    } else {
        let first = read_password(args.new_password_file.as_deref(), "New password", NEW_FILE)?;
        if args.new_password_file.is_none() && read_password(None, "The same again", NEW_FILE)? != first {
            return Err(CliError::new("the two are not the same; nothing was changed"));
        }
        Some(first)
    };
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let request = LdapPasswordModifyRequest {
            user_identity: args.user,
            old_password: old.map(|password| password.to_string()),
            new_password: new.map(|password| password.to_string()),
        };
        let request = LdapOp::ExtendedRequest(LdapExtendedRequest::from(request));
        let LdapOp::ExtendedResponse(response) = connection.request(request).await? else {
            return Err(CliError::new("the server's answer is not one to this request"));
        };
        client::expect_success(&response.res)?;
        let generated = match &response.value {
            Some(_) => LdapPasswordModifyResponse::try_from(&response).ok().and_then(|answer| answer.gen_password),
            None => None,
        };
        if args.generate && generated.is_none() {
            return Err(CliError::new("the server answered success without the password it chose; set one by name"));
        }
        let value = match &generated {
            Some(password) => serde_json::json!({ "changed": true, "generated": password }),
            None => serde_json::json!({ "changed": true }),
        };
        output.report(&value, || generated.unwrap_or_else(|| "the password is changed".to_owned()))?;
        connection.close().await;
        Ok(ExitCode::SUCCESS)
    })
}
