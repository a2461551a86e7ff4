//! `entente check`: the structure of the file, then everything that is derived, computed anew and compared.

use super::data::{DataArgs, Opened};
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::clock::Clock;
use crate::dit::{CheckReport, Dit, Options, check};
use crate::storage::{DataLock, FileCheck, LockUse};
use std::process::ExitCode;

/// Look through the structure of the data file, then compare views, indexes, counters, checksums and the log with what
/// follows from the entries' state.
///
/// Changes nothing, and may run while a node serves: it reads one moment of the data.
///
/// Exit status: 0 nothing was found, 1 differences, each named on a line of its own, or a file that must not be opened.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  entente check --data /var/lib/entente")]
pub struct CheckArgs {
    #[command(flatten)]
    data: DataArgs,
}

/// Runs the command.
///
/// # Errors
/// The data cannot be read at all.
pub fn run(args: &CheckArgs, output: &Output) -> Result<ExitCode, CliError> {
    // The structure comes first: before anything is opened, or, beside a running node, of one moment.
    let (config, lock) = args.data.lock(LockUse::Reading)?;
    let is_served = DataLock::holder(&config.server.data_dir)?.is_some();
    let options = Options { check: FileCheck::Always, ..config.dit_options() };
    let dit = Dit::open_as_recorded(options, config.load_schema()?, Clock::system())?;
    if is_served {
        dit.environment().check_file()?;
    }
    let opened = Opened { dit, lock };
    let mut progress = Progress::new(Some(0), false);
    progress.stage("entries");
    let report = check(&opened.dit, &mut |done, total| {
        progress.total(total);
        progress.advance(done);
    })?;
    progress.finish();
    let value = serde_json::json!({
        "entries": report.entries,
        "deleted": report.deleted,
        "index_records": report.index_records,
        "log_records": report.log_records,
        "log_bytes": report.log_bytes,
        "replication_bytes": {
            "entry": share(report.overhead.entry_bytes, report.entries),
            "value": share(report.overhead.value_bytes, report.overhead.values),
            "key": share(report.overhead.key_bytes, report.overhead.values),
        },
        "stale_links": report.stale_links,
        "difference_count": report.difference_count,
        "differences": report.differences,
    });
    output.report(&value, || tell(&report))?;
    Ok(if report.difference_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Bytes a piece, to a tenth.
fn share(bytes: u64, pieces: u64) -> f64 {
    (bytes as f64 / pieces.max(1) as f64 * 10.0).round() / 10.0
}

fn tell(report: &CheckReport) -> String {
    let looked_at = format!(
        "{} entries, {} deleted ones, {} index records, {} log records",
        report.entries, report.deleted, report.index_records, report.log_records
    );
    if report.difference_count == 0 {
        return format!("nothing wrong in {looked_at}");
    }
    let mut text = report.differences.join("\n");
    let untold = report.difference_count.saturating_sub(report.differences.len() as u64);
    if untold > 0 {
        text.push_str(&format!("\nand {untold} more"));
    }
    let only_index = untold == 0 && report.differences.iter().all(|difference| difference.starts_with("index:"));
    let advice = if only_index {
        "the entries are whole: run entente reindex"
    } else {
        "restore a backup, or export what is whole and import it"
    };
    text.push_str(&format!("\n{} differences in {looked_at}; {advice}", report.difference_count));
    text
}
