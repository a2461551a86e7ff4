//! `entente invite`: a token with which one new member can join.

use super::data::DataArgs;
use super::import::vouch_for;
use super::order::{is_served, order};
use super::output::{CliError, Output};
use crate::clock::Clock;
use crate::config::Config;
use crate::dit::{Dit, Writer};
use crate::node::{INVITE_VALID_S, INVITE_VALID_S_MAX, service_options};
use crate::replication::invite::Token;
use crate::replication::membership::{role_of, role_text};
use crate::replication::service::{Parts, Service};
use crate::storage::LockUse;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;

/// Make a token with which one new member can join this directory's cluster.
///
/// The token is one line: addresses of this node, the fingerprint of the cluster's certificate authority, and a secret that
/// is good for one member until it expires. Hand it over like a password. Works while a node serves and while none does.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente invite --data /var/lib/entente\n  \
    entente invite --data /var/lib/entente --role consumer --expires 15m\n\nOn the new machine, with the line that was printed:\n  \
    entente join TOKEN --data /var/lib/entente\n  \
    entente serve --data /var/lib/entente")]
pub struct InviteArgs {
    #[command(flatten)]
    data: DataArgs,
    /// What the new member is for: supplier takes writes, consumer only reads, hub only reads and sends on
    #[arg(long, value_name = "ROLE", default_value = "supplier", value_parser = ["supplier", "consumer", "hub"])]
    role: String,
    /// How long the token is good: a number with s, m, h or d, 1s to 30d [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u64>,
}

/// `90`, `90s`, `15m`, `2h`, `1d`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text}: a time is a number with s, m, h or d behind it, as 15m");
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)?;
    match seconds {
        1..=INVITE_VALID_S_MAX => Ok(seconds),
        _ => Err(format!("{text}: an invitation is good for 1s to {}d", INVITE_VALID_S_MAX / 86_400)),
    }
}

/// Runs the command.
///
/// # Errors
/// There is no token.
pub fn run(args: &InviteArgs, output: &Output) -> Result<ExitCode, CliError> {
    let config = args.data.config()?;
    let valid_s = args.expires.unwrap_or(INVITE_VALID_S);
    let text = if is_served(&config)? {
        let asked = json!({ "order": "invite", "role": args.role, "valid_s": valid_s });
        let answer = order(&config, &asked)?;
        answer.get("token").and_then(|token| token.as_str()).unwrap_or_default().to_owned()
    } else {
        offline(args, valid_s)?
    };
    let token = Token::decode(&text).map_err(|error| CliError::new(format!("the node's answer: {error}")))?;
    if !output.is_json() {
        eprintln!(
            "One new member ({}) may join within {} minutes. On its machine:\n\n  entente join TOKEN --data DIR\n  entente \
             serve --data DIR\n\nThe token says to dial {} and is:\n",
            role_text(token.role),
            valid_s.div_ceil(60),
            token.addresses.join(" or "),
        );
    }
    output.report(
        &json!({
            "token": text,
            "role": role_text(token.role),
            "expires_s": token.expires_s,
            "addresses": token.addresses,
        }),
        || text.clone(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the data here: the invitation stands in it when a node serves it.
fn offline(args: &InviteArgs, valid_s: u64) -> Result<String, CliError> {
    let (config, _lock) = args.data.lock(LockUse::Offline("invite"))?;
    let role = role_of(&args.role).ok_or_else(|| CliError::new("the role is supplier, consumer or hub"))?;
    let failed = |error: &dyn std::fmt::Display| CliError::new(error.to_string());
    with_service(&config, async |service| service.invite(role, valid_s).await.map_err(|error| failed(&error)))
        .map(|token| token.to_string())
}

/// Runs a conversation with this node's part in replication while nobody serves clients.
///
/// # Errors
/// The data cannot be opened, or what the conversation gives.
pub(super) fn with_service<T>(
    config: &Config,
    conversation: impl AsyncFnOnce(&Service) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let dit = Arc::new(Dit::open(config.dit_options(), config.load_schema()?, Clock::system())?);
    let (writer, thread) = Writer::start(Arc::clone(&dit), config.limits.writer_queue)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("cannot start: {error}")))?;
    let parts = Parts {
        dit,
        writer: writer.clone(),
        options: service_options(config, &config.server.listen),
        gate: Box::new(|_, _| {}),
        filled: None,
    };
    let outcome = runtime.block_on(async {
        let (service, task) = Service::start(parts).await.map_err(|error| CliError::new(error.to_string()))?;
        let outcome = conversation(&service).await;
        service.stop().await;
        // It ends by itself.
        let _ = task.await;
        outcome
    });
    drop(runtime);
    writer.stop();
    if thread.join().is_err() {
        return Err(CliError::new("the writer ended by a defect; run: entente check"));
    }
    // Nothing is written any more, whatever came of it.
    vouch_for(&config.server.data_dir);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_are_neither_nothing_nor_more_than_thirty_days() {
        assert_eq!(
            [seconds("90"), seconds("15m"), seconds("2h"), seconds("1d")],
            [Ok(90), Ok(900), Ok(7200), Ok(86_400)]
        );
        for text in ["0s", "0", "0d", "31d", "2592001"] {
            assert_eq!(seconds(text), Err(format!("{text}: an invitation is good for 1s to 30d")));
        }
        assert_eq!(seconds("30d"), Ok(2_592_000));
        assert!(seconds("soon").is_err() && seconds("5w").is_err() && seconds("99999999999999999999h").is_err());
    }
}
