//! `entente reindex`: the index built anew, by the node if one serves, else here.

use super::client::{self, ConnectArgs, Connection};
use super::data::DataArgs;
use super::import::vouch_for;
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::clock::Clock;
use crate::config::Config;
use crate::dit::{Dit, reindex};
use crate::storage::{DataLock, LockUse};
use ldap3_proto::proto::{LdapExtendedRequest, LdapOp};
use std::process::ExitCode;

/// Build the index anew from the entries.
///
/// Needed after a damaged index (`entente check` names it). While a node serves, the node does it: searches go on,
/// changes wait. A changed index setting needs no command: the node builds the index anew when it starts.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  entente reindex --data /var/lib/entente")]
pub struct ReindexArgs {
    #[command(flatten)]
    data: DataArgs,
}

/// Runs the command.
///
/// # Errors
/// The old index stays.
pub fn run(args: &ReindexArgs, output: &Output) -> Result<ExitCode, CliError> {
    let config = args.data.config()?;
    let clock = Clock::system();
    let online = match DataLock::holder(&config.server.data_dir)? {
        Some(holder) if holder.what == "serve" => {
            ask_node(&config)?;
            true
        }
        _ => {
            offline(&args.data)?;
            false
        }
    };
    let seconds = clock.monotonic().as_secs_f64();
    output.report(&serde_json::json!({ "online": online, "seconds": seconds }), || {
        let by = if online { " by the node that serves" } else { "" };
        format!("the index was built anew{by} in {seconds:.1} s")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn offline(data: &DataArgs) -> Result<(), CliError> {
    let (config, _lock) = data.lock(LockUse::Offline("reindex"))?;
    // With the settings as they are now: opening builds the index anew already when they have changed.
    let dit = Dit::open(config.dit_options(), config.load_schema()?, Clock::system())?;
    let mut progress = Progress::new(Some(0), false);
    progress.stage("entries");
    reindex(&dit, &mut |done, total| {
        progress.total(total);
        progress.advance(done);
    })?;
    progress.finish();
    drop(dit);
    vouch_for(&config.server.data_dir);
    Ok(())
}

fn ask_node(config: &Config) -> Result<(), CliError> {
    let target = ConnectArgs::of_data(&config.server.data_dir).target()?;
    client::run_async(async {
        let mut connection = Connection::open(&target).await.map_err(|error| {
            CliError::new(format!(
                "a node serves this data and did not take the order over its socket (setting server.ldapi): {error}"
            ))
        })?;
        let request = LdapExtendedRequest { name: crate::wire::extended::REINDEX.to_owned(), value: None };
        let LdapOp::ExtendedResponse(response) = connection.request(LdapOp::ExtendedRequest(request)).await? else {
            return Err(CliError::new("the node's answer is not one to this request"));
        };
        client::expect_success(&response.res)?;
        connection.close().await;
        Ok(())
    })
}
