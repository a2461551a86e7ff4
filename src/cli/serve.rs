//! `entente serve`: a node in the foreground.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::data::{DataArgs, settings_file};
use super::output::{CliError, Output};
use crate::node::{Node, NodeError, SettingsSource};
use crate::telemetry::Telemetry;
use crate::transport::ListenUrl;

/// Serve a directory, in the foreground.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  entente serve --data ./data --listen ldap://127.0.0.1:3389\n  entente serve --config /etc/entente/entente.toml\n  entente serve --data ./data --listen ldap://*:389 --listen ldaps://*:636 \\\n      --set tls.certificate=cert.pem --set tls.key=key.pem\n\nSays `ready` with its addresses once it answers. SIGTERM stops it in order, SIGHUP makes it read certificates and settings again."
)]
pub struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Address to listen on, as often as wanted; takes the place of server.listen
    #[arg(long, value_name = "URL")]
    listen: Vec<ListenUrl>,
}

/// Runs the command.
///
/// # Errors
/// The node could not start; the text says what to change.
pub fn run(args: ServeArgs, output: &Output) -> Result<ExitCode, CliError> {
    args.data.config()?;
    let DataArgs { data, config, sets } = args.data;
    let file = settings_file(config.as_deref(), data.as_deref());
    let source = SettingsSource { file, sets, data_dir: data, listen: args.listen };
    let failed = |error: NodeError| CliError::new(error.to_string());
    serve(source, failed, |urls| output.report(&json!({ "ready": urls }), || format!("ready {}", urls.join(" "))))
}

/// Starts a node, calls `ready` with its addresses, and serves until it is told to stop. `failed` says what to do when it does
/// not start.
pub(super) fn serve(
    source: SettingsSource,
    failed: impl Fn(NodeError) -> CliError,
    ready: impl FnOnce(&[String]) -> Result<(), CliError>,
) -> Result<ExitCode, CliError> {
    let config = source.load()?;
    super::migrate::demand_taken_over(&config.server.data_dir)?;
    // A core dump would hold passwords. Where the system does not do this, it is not asked for more.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let telemetry = Telemetry::start(&config.log).map_err(|error| CliError::new(error.to_string()))?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.server.threads > 0 {
        runtime.worker_threads(config.server.threads);
    }
    let runtime = runtime.enable_all().thread_name("serving").build();
    let runtime = runtime.map_err(|error| CliError::new(format!("the threads that serve: {error}")))?;
    runtime.block_on(async {
        let node = Node::start(config, source, telemetry).await.map_err(&failed)?;
        let urls: Vec<String> = node.urls().iter().map(ToString::to_string).collect();
        ready(&urls)?;
        let mut left = node.run().await;
        while let Some(again) = left {
            left = Node::start_again(again).await.map_err(&failed)?.run().await;
        }
        Ok(ExitCode::SUCCESS)
    })
}
