//! `entente config`: what the settings are, what is wrong with them, and what is weak.

use super::data::DataArgs;
use super::output::{CliError, Output};
use crate::config::{Config, Finding, Severity};
use std::process::ExitCode;

/// Look at the settings of a node.
#[derive(clap::Args, Clone, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum ConfigCommand {
    #[command(about = "Say what will not work, or with --hardening what is weak")]
    Check(ConfigCheckArgs),
    #[command(about = "Print every setting with the value that holds")]
    Show(ConfigShowArgs),
}

/// Say in words what is wrong with the settings.
///
/// Looks at the files and folders that they name, and changes nothing.
///
/// Exit status: 0 the node will start (and with --hardening every control is fulfilled), 1 otherwise.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente config check --config /etc/entente/entente.toml\n  \
    entente config check --config /etc/entente/entente.toml --hardening")]
struct ConfigCheckArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Go through the secure defaults instead, fulfilled or not, one line for each
    #[arg(long)]
    hardening: bool,
}

/// Print every setting with the value that holds, as TOML.
///
/// The text is a whole configuration file.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  entente config show --config /etc/entente/entente.toml --set limits.size=0")]
struct ConfigShowArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Only what is not the default
    #[arg(long)]
    changed: bool,
}

/// Runs the command.
///
/// # Errors
/// The configuration cannot be read; every mistake in it is told.
pub fn run(args: ConfigArgs, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        ConfigCommand::Check(args) => check(&settings(&args.data)?, args.hardening, output),
        ConfigCommand::Show(args) => show(&settings(&args.data)?, args.changed, output),
    }
}

/// The defaults where nothing is named: they can be looked at, too.
fn settings(data: &DataArgs) -> Result<Config, CliError> {
    if data.data.is_none() && data.config.is_none() {
        return Ok(Config::load(None, &data.sets)?);
    }
    data.config()
}

fn check(config: &Config, hardening: bool, output: &Output) -> Result<ExitCode, CliError> {
    let mut findings = if hardening { config.hardening() } else { config.check() };
    if !hardening && let Err(error) = config.load_schema() {
        findings.push(Finding { severity: Severity::Error, setting: "schema.files", text: error.to_string() });
    }
    let is_well = |finding: &Finding| match finding.severity {
        Severity::Pass => true,
        Severity::Warning => !hardening,
        Severity::Error => false,
    };
    let well = findings.iter().all(is_well);
    let list: Vec<_> = findings
        .iter()
        .map(|finding| {
            let severity = match finding.severity {
                Severity::Pass => "pass",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            serde_json::json!({ "severity": severity, "setting": finding.setting, "text": finding.text })
        })
        .collect();
    output.report(&serde_json::json!({ "ok": well, "findings": list }), || {
        if findings.is_empty() {
            return "nothing wrong".to_owned();
        }
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(config: &Config, changed: bool, output: &Output) -> Result<ExitCode, CliError> {
    let defaults = Config::default().values();
    let values: Vec<_> = config
        .values()
        .into_iter()
        .zip(defaults)
        .filter(|((_, value), (_, default))| !changed || value != default)
        .map(|(shown, _)| shown)
        .collect();
    if output.is_json() {
        let map: serde_json::Map<_, _> = values
            .iter()
            .map(|(setting, value)| (setting.to_string(), serde_json::Value::from(value.as_str())))
            .collect();
        output.line(&serde_json::Value::Object(map).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut section = "";
    let mut text = String::new();
    for (setting, value) in &values {
        if setting.section != section {
            section = setting.section;
            text.push_str(&format!("{}[{section}]\n", if text.is_empty() { "" } else { "\n" }));
        }
        text.push_str(&format!("{} = {value}\n", setting.key));
    }
    output.report(&serde_json::Value::Null, || text.trim_end().to_owned())?;
    Ok(ExitCode::SUCCESS)
}
