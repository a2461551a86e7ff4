//! `entente whoami`: as whom the server sees us (RFC 4532).

use super::client::{self, ConnectArgs, Connection};
use super::output::{CliError, Output};
use ldap3_proto::proto::{LdapExtendedRequest, LdapOp};
use std::process::ExitCode;

/// Tell as whom the server takes this client: a quick test of a name and a password.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente whoami -D uid=ann,ou=people,dc=example,dc=com\n  \
    entente whoami --data ./data")]
pub struct WhoamiArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the command.
///
/// # Errors
/// The server cannot be asked, or refuses the bind.
pub fn run(args: &WhoamiArgs, output: &Output) -> Result<ExitCode, CliError> {
    let target = args.connect.target()?;
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let request = LdapExtendedRequest { name: crate::wire::extended::WHO_AM_I.to_owned(), value: None };
        let LdapOp::ExtendedResponse(response) = connection.request(LdapOp::ExtendedRequest(request)).await? else {
            return Err(CliError::new("the server's answer is not one to this question"));
        };
        client::expect_success(&response.res)?;
        let identity = String::from_utf8_lossy(&response.value.unwrap_or_default()).into_owned();
        output.report(&serde_json::json!({ "authzid": identity }), || match identity.as_str() {
            "" => "anonymous".to_owned(),
            named => named.to_owned(),
        })?;
        connection.close().await;
        Ok(ExitCode::SUCCESS)
    })
}
