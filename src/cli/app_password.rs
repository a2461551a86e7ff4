//! `entente app-password`: named secrets of one account, each for one program.

use super::client::{self, ConnectArgs, Connection};
use super::output::{CliError, Output};
use ldap3_proto::proto::{LdapExtendedRequest, LdapOp};
use serde_json::Value;
use std::process::ExitCode;

/// Make, list and revoke app passwords: secrets of one account, each for one program that should not know its password.
///
/// The server makes the secret up and shows it once. It works in a simple bind and in SASL PLAIN, until it is revoked.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente app-password add -H ldaps://ldap.example.com:636 -D uid=ann,ou=people,dc=example,dc=com phone\n  \
    entente app-password list --data /var/lib/entente --user uid=ann,ou=people,dc=example,dc=com\n  \
    entente app-password revoke --data /var/lib/entente --user uid=ann,ou=people,dc=example,dc=com phone")]
pub struct AppPasswordArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Action {
    /// Make one and print it
    #[command(after_help = "Example:\n  \
        entente app-password add -H ldaps://ldap.example.com:636 -D uid=ann,ou=people,dc=example,dc=com phone")]
    Add(Named),
    /// Show their names and when each was last used
    #[command(after_help = "Example:\n  \
        entente app-password list --data /var/lib/entente --user uid=ann,ou=people,dc=example,dc=com")]
    List(Whose),
    /// End one
    #[command(after_help = "Example:\n  \
        entente app-password revoke --data /var/lib/entente --user uid=ann,ou=people,dc=example,dc=com phone")]
    Revoke(Named),
}

#[derive(clap::Args, Clone, Debug)]
struct Whose {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Whose; that of --bind-dn if not given
    #[arg(long, value_name = "DN")]
    user: Option<String>,
}

#[derive(clap::Args, Clone, Debug)]
struct Named {
    #[command(flatten)]
    whose: Whose,
    /// What the program is called
    #[arg(value_name = "NAME")]
    name: String,
}

/// Runs the command.
///
/// # Errors
/// Nothing was changed.
pub fn run(args: AppPasswordArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (whose, action, name) = match args.action {
        Action::Add(named) => (named.whose, "add", Some(named.name)),
        Action::List(whose) => (whose, "list", None),
        Action::Revoke(named) => (named.whose, "revoke", Some(named.name)),
    };
    let target = whose.connect.target()?;
    if whose.user.is_none() && matches!(target.identity, client::Identity::Anonymous | client::Identity::External) {
        return Err(CliError::new("say whose app passwords: --user DN, or --bind-dn DN for one's own"));
    }
    let mut order = serde_json::json!({ "action": action });
    if let Some(fields) = order.as_object_mut() {
        fields.extend(whose.user.map(|dn| ("dn".to_owned(), Value::String(dn))));
        fields.extend(name.map(|name| ("name".to_owned(), Value::String(name))));
    }
    let answer = client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let request = LdapExtendedRequest {
            name: crate::wire::extended::APP_PASSWORD.to_owned(),
            value: Some(order.to_string().into_bytes()),
        };
        let LdapOp::ExtendedResponse(response) = connection.request(LdapOp::ExtendedRequest(request)).await? else {
            return Err(CliError::new("the server's answer is not one to this request"));
        };
        client::expect_success(&response.res)?;
        connection.close().await;
        let value: Option<Value> = response.value.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
        value.ok_or_else(|| CliError::new("the server's answer cannot be read"))
    })?;
    output.report(&answer, || text_of(action, &answer))?;
    Ok(ExitCode::SUCCESS)
}

fn text_of(action: &str, answer: &Value) -> String {
    let field = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or("never").to_owned();
    match action {
        "add" => field(answer, "password"),
        "list" => {
            let lines = answer.as_array().into_iter().flatten().map(|line| {
                format!(
                    "{}  made {}  last used {}",
                    field(line, "name"),
                    field(line, "created"),
                    field(line, "lastUse")
                )
            });
            let lines: Vec<String> = lines.collect();
            if lines.is_empty() { "there are none".to_owned() } else { lines.join("\n") }
        }
        _ => "it is revoked".to_owned(),
    }
}
