//! Logs: where they go and how they look; and what happens when the program finds a defect of its own.
//!
//! Everybody writes with `tracing`; this module decides once, from the configuration, what becomes of it. Every line
//! passes one gate on its way out that no value can get round: control characters are escaped and the length is
//! bounded there, whatever the caller did, so that nobody outside can start a line of their own (names and values from
//! the network are cut with [`escape_for_log`] besides). A log that cannot be written, because its disk is full, is
//! dropped: the directory goes on.
//!
//! Invariants
//! - One event is one line.
//! - Passwords, hashes and attribute values are never given to `tracing`; types that hold them have no `Debug` text.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Log, LogFormat, LogLevel};
pub use crate::metrics::Metrics;
pub use crate::model::escape_for_log;
use crate::model::log_text::is_unprintable;

/// Target of the one line an operation leaves where `log.operations` is on.
pub const OPERATIONS_TARGET: &str = "entente::operations";

/// Longest line in bytes; one that would be longer is cut.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// Somebody has set up logging in this process before.
    #[error("logging is already set up in this process")]
    AlreadySet,
    /// The log file cannot be opened.
    #[error("cannot write the log to {}: {source}; change log.file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Logging as set up; kept by the node to change it while running.
#[derive(Debug)]
pub struct Telemetry {
    filter: reload::Handle<Targets, Registry>,
    output: Output,
}

impl Telemetry {
    /// Sets up logging for this process.
    ///
    /// # Errors
    /// [`TelemetryError::File`] or [`TelemetryError::AlreadySet`]; then nothing has changed.
    pub fn start(log: &Log) -> Result<Self, TelemetryError> {
        let output = Output::open(log.file.as_deref())?;
        let (subscriber, filter) = subscriber(log, output.clone());
        tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::AlreadySet)?;
        Ok(Self { filter, output })
    }

    /// Takes the reloadable settings of `log` and opens the log file anew, so that it can be rotated (SIGHUP).
    ///
    /// # Errors
    /// [`TelemetryError::File`]; the old file stays in use.
    pub fn reload(&self, log: &Log) -> Result<(), TelemetryError> {
        // The handle fails only when the subscriber is gone, which ends with the process.
        let _ = self.filter.reload(targets(log));
        self.output.reopen()
    }
}

/// Makes a panic leave one error line and a count instead of text on standard error.
///
/// The text of a panic is ours (an invariant by name), so it is shown; whoever catches the panic answers the client.
pub fn count_panics(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panics_total.increment();
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "defect in the server: {}; please report it", escape_for_log(text));
    }));
}

/// What is let through: everything of ours from the level on; of the libraries, only what they call wrong.
fn targets(log: &Log) -> Targets {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let operations = if log.operations { level } else { LevelFilter::OFF };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_target(OPERATIONS_TARGET, operations)
}

fn subscriber(log: &Log, output: Output) -> (impl Subscriber + Send + Sync, reload::Handle<Targets, Registry>) {
    let (filter, handle) = reload::Layer::new(targets(log));
    let lines = lines(log.format, output).with_filter(filter);
    (Registry::default().with(lines), handle)
}

fn lines<S>(format: LogFormat, output: Output) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).log_internal_errors(false).with_writer(output);
    match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.boxed(),
    }
}

/// Where lines go; clones share it.
#[derive(Clone, Debug)]
struct Output(Arc<OutputState>);

#[derive(Debug)]
struct OutputState {
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
}

impl Output {
    fn open(path: Option<&Path>) -> Result<Self, TelemetryError> {
        let output = Self(Arc::new(OutputState { path: path.map(ToOwned::to_owned), file: Mutex::new(None) }));
        output.reopen()?;
        Ok(output)
    }

    fn reopen(&self) -> Result<(), TelemetryError> {
        let Some(path) = &self.0.path else { return Ok(()) };
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)
            .map_err(|source| TelemetryError::File { path: path.clone(), source })?;
        *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// Writes one event, which the formatter hands over as a whole.
struct LineWriter<'a>(&'a Output);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let one_line = one_line(line);
        // A line that cannot be written is lost: the directory must not stop for its log.
        let _ = match &mut *self.0.0.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.write_all(&one_line),
            None => io::stderr().lock().write_all(&one_line),
        };
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The gate: what comes out is one line of bounded length without control characters, as it went in where that is
/// already so. The escapes are those of JSON too, so that a JSON line stays one; a JSON line beyond the limit does not.
fn one_line(line: &[u8]) -> Cow<'_, [u8]> {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    let text = String::from_utf8_lossy(body);
    if body.len() < line.len()
        && body.len() <= LINE_BYTES_MAX
        && matches!(text, Cow::Borrowed(_))
        && !text.chars().any(is_unprintable)
    {
        return Cow::Borrowed(line);
    }
    let mut clean = String::with_capacity(body.len().min(LINE_BYTES_MAX) + 32);
    for c in text.chars() {
        if clean.len() >= LINE_BYTES_MAX {
            clean.push_str("… (cut)");
            break;
        }
        if is_unprintable(c) {
            clean.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            clean.push(c);
        }
    }
    clean.push('\n');
    Cow::Owned(clean.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a piece of code logs into a file under these settings.
    fn logged(log: &Log, work: impl FnOnce(&Telemetry)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let output = Output::open(Some(&path)).unwrap();
        let (subscriber, filter) = subscriber(log, output.clone());
        tracing::subscriber::with_default(subscriber, || work(&Telemetry { filter, output }));
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn one_event_is_one_line_whatever_is_in_it() {
        let hostile = "x\n2026-01-01T00:00:00Z ERROR forged\r\0\u{1b}[2J\u{202e}";
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = Log { format, ..Log::default() };
            let text = logged(&log, |_| {
                tracing::info!(dn = %hostile, raw = hostile, "bind of {hostile}");
                tracing::info!(dn = %"y".repeat(1 << 20), "long");
            });
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(!text.chars().any(|c| c != '\n' && is_unprintable(c)), "{text}");
            assert!(text.len() < 3 * LINE_BYTES_MAX);
        }
    }

    #[test]
    fn json_lines_are_json() {
        let log = Log { format: LogFormat::Json, ..Log::default() };
        let text = logged(&log, |_| tracing::warn!(dn = "a\u{202e}\n\"b", "careful"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["dn"], "a\u{202e}\n\"b");
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"careful".into()));
    }

    #[test]
    fn operations_leave_a_line_only_when_asked() {
        let work = |_: &Telemetry| {
            tracing::info!("started");
            tracing::info!(target: OPERATIONS_TARGET, "search");
            tracing::debug!("detail");
            tracing::info!(target: "some_library", "chatter");
        };
        assert_eq!(logged(&Log::default(), work).lines().count(), 1);
        assert_eq!(logged(&Log { operations: true, ..Log::default() }, work).lines().count(), 2);
        assert_eq!(logged(&Log { level: LogLevel::Debug, ..Log::default() }, work).lines().count(), 2);
    }

    #[test]
    fn level_and_file_change_while_running() {
        let text = logged(&Log::default(), |telemetry| {
            tracing::debug!("left out");
            let path = telemetry.output.0.path.clone().unwrap();
            std::fs::rename(&path, path.with_extension("1")).unwrap();
            telemetry.reload(&Log { level: LogLevel::Debug, ..Log::default() }).unwrap();
            tracing::debug!("written to the new file");
        });
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("written to the new file"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_with_its_setting() {
        let log = Log { file: Some(PathBuf::from("/nowhere/at/all.log")), ..Log::default() };
        let text = Telemetry::start(&log).unwrap_err().to_string();
        assert!(text.contains("/nowhere/at/all.log") && text.contains("log.file"), "{text}");
    }

    #[test]
    fn a_line_without_its_end_gets_one() {
        assert_eq!(&*one_line(b"a"), b"a\n");
        assert_eq!(&*one_line(b"a\n"), b"a\n");
        assert_eq!(&*one_line(b"a\xff\n"), "a\u{fffd}\n".as_bytes());
    }
}
