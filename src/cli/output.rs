//! What a command says: text for people, JSON for programs, errors that say what to do, an exit status.
//!
//! Results go to standard output, everything else (progress, warnings, errors) to standard error, so that a pipe gets
//! results only. With `--json` a result is one JSON value on one line and an error is `{"error": ...}`.

use std::cell::RefCell;
use std::io::Write;
use std::process::ExitCode;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct CliError {
    text: String,
    status: u8,
    is_quiet: bool,
}

impl CliError {
    /// An error with exit status 1; the text says what is wrong and what to do.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: 1, is_quiet: false }
    }

    /// The same with another exit status.
    #[must_use]
    pub fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// Something that failed on a file: `path: why`.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(format!("{}: {error}", path.display()))
    }

    /// Tells the error on standard error and gives the exit status.
    pub fn tell(&self, output: &Output) -> ExitCode {
        if !self.is_quiet {
            if output.is_json() {
                eprintln!("{}", serde_json::json!({ "error": self.text }));
            } else {
                eprintln!("entente: {}", self.text);
            }
        }
        ExitCode::from(self.status)
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CliError {}

/// Whoever reads our output has gone: no error to tell, and nothing more to do.
impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        let is_quiet = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self { text: format!("cannot write the output: {error}"), status: 1, is_quiet }
    }
}

macro_rules! from_errors {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        })*
    };
}

from_errors!(
    crate::config::ConfigError,
    crate::config::SchemaLoadError,
    crate::dit::DitError,
    crate::search::SearchError,
    crate::storage::LockError,
    crate::storage::StorageError,
);

/// Where results go.
pub struct Output {
    json: bool,
    writer: RefCell<Box<dyn Write>>,
}

impl Output {
    /// Standard output, as text or as JSON.
    pub fn new(json: bool) -> Self {
        Self::to(json, Box::new(std::io::BufWriter::with_capacity(1 << 16, std::io::stdout())))
    }

    /// Another place, for tests.
    pub fn to(json: bool, writer: Box<dyn Write>) -> Self {
        Self { json, writer: RefCell::new(writer) }
    }

    /// Whether a program reads.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The result: `value` as one line of JSON, or `text` for people (nothing when it is empty).
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn report(&self, value: &serde_json::Value, text: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json {
            return self.line(&value.to_string());
        }
        match text() {
            text if text.is_empty() => self.flush(),
            text => self.line(&text),
        }
    }

    /// One line, as it is, at once.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn line(&self, line: &str) -> Result<(), CliError> {
        let mut writer = self.writer.borrow_mut();
        writeln!(writer, "{line}")?;
        Ok(writer.flush()?)
    }

    /// Bytes as they are; [`Output::flush`] afterwards.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.writer.borrow_mut().write_all(bytes)?)
    }

    /// Sends on what is buffered.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn flush(&self) -> Result<(), CliError> {
        Ok(self.writer.borrow_mut().flush()?)
    }
}

/// A writer into the output, for whoever wants [`Write`].
impl Write for &Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.borrow_mut().flush()
    }
}
