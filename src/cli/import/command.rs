//! The command around [`import`](super::import).

use super::{
    ImportError, ImportOptions, ImportReport, KeptSuffix, ReplacedRules, UnservedPasswords, import, open_input,
};
use crate::cli::data::DataArgs;
use crate::cli::export::parse_dn;
use crate::cli::output::{CliError, Output};
use crate::cli::progress::Progress;
use crate::storage::LockUse;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit status when some records were refused.
const SOME_REJECTED: u8 = 2;

/// Load LDIF into the data directory, in place of the entries that are there.
///
/// Offline: no node may be serving. The old data stays as it was until the new is whole. Takes the exports of slapcat
/// and of 389's db2ldif as they are: identity, timestamps and hashed passwords are kept, what only that server
/// understands is left out and counted. Records that are refused go to a file with the reasons.
///
/// A suffix entry that is there stays, with its access rules, where the file does not bring it.
///
/// Exit status: 0 everything went in, 2 some records were refused, 1 nothing was changed.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente import --data ./data ldif/example.ldif\n  \
    slapcat | entente import --data ./data --replace --rejects bad.ldif -")]
pub struct ImportArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The LDIF file; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only entries at and below this DN
    #[arg(long, short, value_name = "DN")]
    base: Option<String>,
    /// Stop at the first record that is refused, and change nothing
    #[arg(long)]
    strict: bool,
    /// Take the place of a directory that has entries already
    #[arg(long)]
    replace: bool,
    /// Where refused records go; NAME.rejected.ldif beside the file if not given
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        Self::new(error.to_string())
    }
}

/// Runs the command.
///
/// # Errors
/// Nothing was imported; the text says what to do.
pub fn run(args: ImportArgs, output: &Output) -> Result<ExitCode, CliError> {
    let how = ImportOptions {
        base: args.base.as_deref().map(parse_dn).transpose()?,
        strict: args.strict,
        replace: args.replace,
        rejects: args.rejects,
    };
    let (config, _lock) = args.data.lock(LockUse::Replacing("import"))?;
    let schema = config.load_schema()?;
    let (input, size) = open_input(&args.file)?;
    let mut progress = Progress::new(size, true);
    let report = import(&config.dit_options(), &schema, input, &args.file, &how, &mut progress)?;
    output
        .report(&serde_json::to_value(&report).map_err(|error| CliError::new(error.to_string()))?, || tell(&report))?;
    Ok(if report.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REJECTED) })
}

/// A line about passwords that are stored in a way which is not served; `line`: where the first one is.
pub(in crate::cli) fn unserved_advice(scheme: &str, count: u64, line: Option<u64>) -> String {
    let place = line.map(|line| format!(", the first in the entry of line {line}")).unwrap_or_default();
    format!(
        "\nwarning: {count} passwords stored as {scheme} will never be verified{place}: whoever has no other one cannot bind \
         until a new one is set"
    )
}

/// A line about access rules that do not give here what they gave elsewhere; empty where there are none.
pub(in crate::cli) fn groups_advice(rules: u64) -> String {
    if rules == 0 {
        return String::new();
    }
    format!(
        "\nwarning: {rules} access rules are about targetattr=\"*\" and none names memberOf, which \"*\" does not stand for here: \
         who is to read the groups of an entry needs a rule with targetattr=\"memberOf || isMemberOf\""
    )
}

fn tell(report: &ImportReport) -> String {
    let seconds = report.seconds.max(0.001);
    let rate = report.entries as f64 / seconds;
    let mut text = format!("{} entries imported in {seconds:.1} s ({rate:.0} a second)", report.entries);
    if !report.dropped.is_empty() {
        let names: Vec<String> = report.dropped.iter().map(|(name, count)| format!("{name} {count}")).collect();
        text.push_str(&format!("\nvalues left out, because only their server understands them: {}", names.join(", ")));
    }
    for (scheme, UnservedPasswords { line, count }) in &report.unserved_passwords {
        text.push_str(&unserved_advice(scheme, *count, Some(*line)));
    }
    for KeptSuffix { dn, rules } in &report.kept_suffixes {
        text.push_str(&format!(
            "\nkept as it was, since the file does not bring it: {dn} with its {rules} access rules"
        ));
    }
    for ReplacedRules { dn, gone, now } in &report.replaced_rules {
        text.push_str(&format!("\n{gone} access rules that {dn} had are gone: it has the {now} of the file"));
    }
    text.push_str(&groups_advice(report.rules_without_groups));
    if report.rejected > 0 {
        text.push_str(&format!("\n{} records refused", report.rejected));
        if let Some(path) = &report.rejects {
            text.push_str(&format!(
                "; they are in {0} with the reasons: correct them there and add them with: ldapadd -f {0}",
                path.display()
            ));
        }
    }
    text
}
