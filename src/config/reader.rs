//! Reads the sources of a configuration one over the other and tells every mistake with its place.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{Config, Refused, SETTINGS, Setting, setting};

/// Longest configuration file that is read, in bytes; a file beyond it is not a configuration.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// What the file or the command line says is wrong; every mistake, in order.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<Problem>),
}

/// One mistake: where it stands and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File and line, or the `--set` argument.
    pub place: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.detail)
    }
}

pub(super) fn load(path: Option<&Path>, sets: &[String]) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let mut problems = Vec::new();
    if let Some(path) = path {
        let text = read_file(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        assign_text(&mut config, &path.display().to_string(), &text, folder, &mut problems);
    }
    for set in sets {
        if let Err(detail) = assign_argument(&mut config, set) {
            problems.push(Problem { place: format!("--set {set}"), detail });
        }
    }
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Wrong(problems)) }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        let detail = format!("{length} bytes are too long for a configuration (at most {FILE_BYTES_MAX})");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, detail));
    }
    std::fs::read_to_string(path)
}

/// Takes every setting of a TOML text; mistakes are added to `problems`.
pub(super) fn assign_text(config: &mut Config, source: &str, text: &str, folder: &Path, problems: &mut Vec<Problem>) {
    let place = |offset: usize| format!("{source} line {}", line_at(text, offset));
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            problems.push(Problem { place: place(offset), detail: format!("not TOML: {}", error.message()) });
            return;
        }
    };
    for (section, content) in &table {
        let name = section.get_ref().as_ref();
        let Some(keys) = content.get_ref().as_table() else {
            let detail = format!("{name} stands outside a section; {}", nearest_key("", name));
            problems.push(Problem { place: place(section.span().start), detail });
            continue;
        };
        if !SETTINGS.iter().any(|setting| setting.section == name) {
            problems.push(Problem { place: place(section.span().start), detail: unknown_section(name) });
            continue;
        }
        for (key, value) in keys {
            if let Err(refused) = config.assign((name, key.get_ref()), value.get_ref(), folder) {
                let detail = explain(refused, name, key.get_ref(), value.get_ref());
                problems.push(Problem { place: place(key.span().start), detail });
            }
        }
    }
}

/// Takes one `section.key=value`; the value is TOML, or bare text where TOML makes no sense of it.
fn assign_argument(config: &mut Config, argument: &str) -> Result<(), String> {
    let Some((name, text)) = argument.split_once('=') else {
        return Err("write section.key=value, such as limits.size=500".to_owned());
    };
    let Some((section, key)) = name.trim().split_once('.') else {
        return Err(format!("{name} names no section; {}", nearest_key("", name)));
    };
    // A DN or a file name may look like something else in TOML: then it is taken as it stands.
    let parsed = DeValue::parse(text).ok().map(toml::Spanned::into_inner);
    let mut fault = None;
    for value in parsed.into_iter().chain([DeValue::String(text.into())]) {
        match config.assign((section, key), &value, Path::new("")) {
            Ok(()) => return Ok(()),
            Err(refused) => {
                fault.get_or_insert_with(|| explain(refused, section, key, &value));
            }
        }
    }
    Err(fault.unwrap_or_default())
}

fn explain(refused: Refused, section: &str, key: &str, value: &DeValue<'_>) -> String {
    match refused {
        Refused::UnknownSection => unknown_section(section),
        Refused::UnknownKey => format!(
            "unknown key {section}.{key}; {}. [{section}] knows {}",
            nearest_key(section, key),
            keys_of(section).collect::<Vec<_>>().join(", ")
        ),
        Refused::Wrong(setting) => {
            format!("{section}.{key} is {}; allowed: {}", describe(value), setting.allowed)
        }
    }
}

/// What stands there, short enough for one line.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(_) => "a list with something else in it".to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Float(value) => value.as_str().to_owned(),
        DeValue::Integer(value) => value.as_str().to_owned(),
        DeValue::String(text) => super::value::quoted(&text.chars().take(80).collect::<String>()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn keys_of(section: &str) -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter(move |setting| setting.section == section).map(|setting| setting.key)
}

fn unknown_section(name: &str) -> String {
    let mut known: Vec<&str> = SETTINGS.iter().map(|setting| setting.section).collect();
    known.dedup();
    let nearest = known.iter().min_by_key(|section| strsim::damerau_levenshtein(name, section)).copied();
    format!("unknown section [{name}]; did you mean [{}]? Sections are {}", nearest.unwrap_or(""), known.join(", "))
}

/// The setting whose name is most like `key`; the same key in another section first, then one of this section.
fn nearest_key(section: &str, key: &str) -> String {
    let distance = |candidate: &&Setting| {
        let elsewhere = usize::from(candidate.section != section);
        let letters = strsim::damerau_levenshtein(&key.to_ascii_lowercase(), candidate.key);
        // A whole word in common says more than letters that happen to match.
        let word = usize::from(!candidate.key.contains(key) && !key.contains(candidate.key));
        if letters == 0 { (0, elsewhere) } else { (2 * letters + elsewhere + word, elsewhere) }
    };
    let nearest = SETTINGS.iter().min_by_key(distance).or_else(|| setting("limits", "size"));
    nearest.map_or_else(String::new, |setting| format!("did you mean {setting}?"))
}

/// Line of a byte offset, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
