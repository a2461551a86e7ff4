//! `entente import`: LDIF into a new data file, which takes the old one's place when it is whole.
//!
//! The old data stays untouched until the new file is on disk: an interrupted import leaves a folder `import.tmp`
//! behind, which the next import removes. Kept from the old data: cluster, node, what is below cn=cluster, suffix entries
//! that the file does not bring (with `--replace` only those that it brings entries below of), and the access rules of those
//! that it brings without any.

mod command;
mod loader;
mod suffix;

pub use command::{ImportArgs, run};
pub(in crate::cli) use command::{groups_advice, unserved_advice};
pub use loader::{is_left_out, stored_password};
pub use suffix::{KeptSuffix, ReplacedRules};

use super::progress::Progress;
use crate::clock::Clock;
use crate::dit::{ClusterEntry, Dit, DitError, Options};
use crate::model::ldif::{LdifReader, LdifWriter, UrlPolicy};
use crate::replication::{Member, MemberState, membership};
use crate::schema::Schema;
use crate::storage::{MetaName, leave_known};
use loader::{Loader, Refusal};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suffix::Suffix;

/// How an import is to be done.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Only entries at or below this DN.
    pub base: Option<crate::model::Dn>,
    /// Stop at the first bad entry and change nothing.
    pub strict: bool,
    /// Take the place of data that has more than suffix entries.
    pub replace: bool,
    /// Where refused records go, with the reasons.
    pub rejects: Option<PathBuf>,
}

/// What an import did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct ImportReport {
    /// Entries that went in.
    pub entries: u64,
    /// Records that were refused.
    pub rejected: u64,
    /// Where those are.
    pub rejects: Option<PathBuf>,
    /// Server-private attributes left out: values by name.
    pub dropped: BTreeMap<String, u64>,
    /// Passwords that went in and will never be verified, by how they are stored.
    pub unserved_passwords: BTreeMap<String, UnservedPasswords>,
    /// Suffix entries that stay as they were.
    pub kept_suffixes: Vec<KeptSuffix>,
    /// Suffix entries whose access rules are others now.
    pub replaced_rules: Vec<ReplacedRules>,
    /// Access rules about all attributes, where none names memberOf.
    pub rules_without_groups: u64,
    /// Wall time.
    pub seconds: f64,
}

/// Passwords stored in a way that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnservedPasswords {
    /// Where the first record with one begins.
    pub line: u64,
    /// How many there are.
    pub count: u64,
}

/// Why an import did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A bad record, with `--strict`.
    #[error("{file}: line {line}: {reason}; nothing was imported")]
    Bad {
        /// The file.
        file: String,
        /// Where in it.
        line: u64,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The data directory is not in a state for an import.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Dit(#[from] DitError),
}

/// Imports `input` (named `file` in messages) into the data directory of `options`.
///
/// # Errors
/// [`ImportError`]; the old data is then as it was.
pub fn import(
    options: &Options,
    schema: &Arc<Schema>,
    input: impl Read,
    file: &Path,
    how: &ImportOptions,
    progress: &mut Progress,
) -> Result<ImportReport, ImportError> {
    let clock = Clock::system();
    let directory = &options.directory;
    let kept = Kept::of(options, schema, &clock, how.replace)?;
    let temporary = directory.join("import.tmp");
    if temporary.exists() {
        std::fs::remove_dir_all(&temporary).map_err(|source| file_error(&temporary, source))?;
    }
    let fresh = Options { directory: temporary.clone(), durable: false, must_exist: false, ..options.clone() };
    let dit = Dit::open(fresh, Arc::clone(schema), clock.clone())?;
    kept.restore(&dit)?;
    let loaded = load(&dit, input, file, how, kept, progress);
    drop(dit);
    let mut report = match loaded {
        Ok(report) if report.entries > 0 => report,
        nothing => {
            // The error that is told is the one that matters; the next import removes what is left.
            let _ = std::fs::remove_dir_all(&temporary);
            return Err(nothing.err().unwrap_or_else(|| nothing_in(file)));
        }
    };
    take_place(&temporary, directory)?;
    report.seconds = clock.monotonic().as_secs_f64();
    Ok(report)
}

/// An empty file, or one of something else, must not empty the directory.
fn nothing_in(file: &Path) -> ImportError {
    ImportError::Refused(format!("{}: no entry of it could be imported; the data is as it was", file.display()))
}

/// What the new data keeps of the old.
struct Kept {
    meta: Vec<(MetaName, Vec<u8>)>,
    cluster: Vec<ClusterEntry>,
    suffixes: Vec<Suffix>,
}

impl Kept {
    fn of(options: &Options, schema: &Arc<Schema>, clock: &Clock, replace: bool) -> Result<Self, ImportError> {
        // What is kept is read as it is; the settings are for what comes in its place.
        let dit = Dit::open_as_recorded(options.clone(), Arc::clone(schema), clock.clone())?;
        let snapshot = dit.read()?;
        let view = snapshot.view();
        let own = membership::node_id(view)?;
        let stays = |member: &&Member| member.node != own && member.state != MemberState::Retired;
        if let Some(other) = membership::members(view)?.iter().find(stays) {
            return Err(ImportError::Refused(format!(
                "an import takes the place of all data, and {} holds it too: add to a running server with ldapadd, or retire the \
                 other members first (entente replica retire)",
                other.name
            )));
        }
        let mut suffixes = Vec::new();
        for suffix in view.suffixes()? {
            if view.subordinate_count(suffix)? > 0 && !replace {
                let dn = view.dn_text(suffix)?.unwrap_or_default();
                return Err(ImportError::Refused(format!(
                    "{dn} has entries already, and an import takes the place of all data: add --replace if that is wanted, \
                     or add to the running server with ldapadd"
                )));
            }
            suffixes.extend(Suffix::of(view, schema, suffix)?);
        }
        let names = [
            MetaName::Cluster,
            MetaName::Node,
            MetaName::Origin,
            MetaName::Clock,
            MetaName::Member,
            MetaName::MemberPort,
        ];
        let mut meta = Vec::new();
        for name in names {
            if let Some(bytes) = view.reader().meta(name).map_err(DitError::from)? {
                meta.push((name, bytes.to_vec()));
            }
        }
        Ok(Self { meta, cluster: view.cluster_entries()?, suffixes })
    }

    /// The identity goes over, but for the origin: what the old one said is gone, so its numbers must not come again.
    fn restore(&self, dit: &Dit) -> Result<(), ImportError> {
        let mut txn = dit.environment().write().map_err(DitError::from)?;
        for (name, bytes) in &self.meta {
            if *name != MetaName::Origin {
                txn.put_meta(*name, bytes).map_err(DitError::from)?;
            }
        }
        txn.commit().map_err(DitError::from)?;
        Ok(())
    }
}

fn load(
    dit: &Dit,
    input: impl Read,
    file: &Path,
    how: &ImportOptions,
    kept: Kept,
    progress: &mut Progress,
) -> Result<ImportReport, ImportError> {
    let mut loader = Loader::begin(dit, kept.suffixes, &kept.cluster)?;
    let mut rejects =
        Rejects { path: how.rejects.clone().unwrap_or_else(|| rejects_beside(file)), writer: None, count: 0 };
    let base = how.base.as_ref().map(|base| dit.catalog().schema().dn_key(base));
    let mut reader = LdifReader::new(BufReader::with_capacity(1 << 18, input), UrlPolicy::Folder(folder_of(file)));
    while let Some(record) = reader.next() {
        let (line, outcome) = match record {
            Ok(record) => {
                if let (Some(base), Ok(dn)) = (&base, crate::model::Dn::parse(&record.dn))
                    && !dit.catalog().schema().dn_key(&dn).starts_with(base)
                {
                    continue;
                }
                (record.line, loader.add(record))
            }
            Err(error) => (error.line, Err(Refusal::Bad(error.detail))),
        };
        match outcome {
            Ok(()) => progress.advance(reader.bytes_read()),
            Err(Refusal::Store(error)) => return Err(error.into()),
            Err(Refusal::Bad(reason)) if how.strict => {
                return Err(ImportError::Bad { file: file.display().to_string(), line, reason });
            }
            Err(Refusal::Bad(reason)) => {
                progress.note(&format!("{}: line {line}: {reason}", file.display()));
                rejects.add(line, &reason, reader.record_text()).map_err(|source| file_error(&rejects.path, source))?;
            }
        }
    }
    if loader.entries > 0 && !how.replace {
        loader.keep_suffixes(None).map_err(|refusal| match refusal {
            Refusal::Store(error) => error.into(),
            Refusal::Bad(reason) => ImportError::Refused(format!("a suffix entry cannot be kept: {reason}")),
        })?;
    }
    progress.stage("building the index");
    let report = loader.finish()?;
    progress.finish();
    let rejected = rejects.finish().map_err(|source| file_error(&how.rejects.clone().unwrap_or_default(), source))?;
    Ok(ImportReport { rejected: rejected.1, rejects: rejected.0, ..report })
}

/// The file of refused records; made when the first one comes.
struct Rejects {
    path: PathBuf,
    writer: Option<BufWriter<std::fs::File>>,
    count: u64,
}

impl Rejects {
    fn add(&mut self, line: u64, reason: &str, record: &[u8]) -> std::io::Result<()> {
        self.count += 1;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                use std::os::unix::fs::OpenOptionsExt;
                let options = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).clone();
                self.writer.insert(BufWriter::new(options.open(&self.path)?))
            }
        };
        LdifWriter::new(&mut *writer).comment(&format!("line {line}: {reason}"))?;
        writer.write_all(record)?;
        if !record.ends_with(b"\n") {
            writer.write_all(b"\n")?;
        }
        writer.write_all(b"\n")
    }

    fn finish(self) -> std::io::Result<(Option<PathBuf>, u64)> {
        match self.writer {
            Some(mut writer) => {
                writer.flush()?;
                Ok((Some(self.path), self.count))
            }
            None => Ok((None, 0)),
        }
    }
}

/// `input.ldif` -> `input.rejected.ldif` beside it; for standard input a file in the working directory.
fn rejects_beside(file: &Path) -> PathBuf {
    if file == Path::new("-") {
        return PathBuf::from("import.rejected.ldif");
    }
    let mut name = file.file_stem().unwrap_or_default().to_os_string();
    name.push(".rejected.ldif");
    file.with_file_name(name)
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The new data file takes the old one's place; both the file and the folder are on disk when this returns.
fn take_place(temporary: &Path, directory: &Path) -> Result<(), ImportError> {
    let (new, old) = (temporary.join("data.mdb"), directory.join("data.mdb"));
    forget_cached(&new).map_err(|source| file_error(&new, source))?;
    std::fs::rename(&new, &old).map_err(|source| file_error(&old, source))?;
    vouch_for(directory);
    std::fs::File::open(directory)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| file_error(directory, source))?;
    std::fs::remove_dir_all(temporary).map_err(|source| file_error(temporary, source))
}

/// The data file is as this command made it. Without that the next start looks through all of it, so a failure is none here.
pub(super) fn vouch_for(directory: &Path) {
    if let Err(error) = leave_known(directory) {
        tracing::warn!(%error, "the next start looks through the whole data file: nothing can be left to vouch for it");
    }
}

/// Drops the page cache that the bulk load left: with large folios each later small write would cost several times
/// its CPU.
pub(super) fn forget_cached(file: &Path) -> std::io::Result<()> {
    let file = std::fs::File::open(file)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

fn file_error(path: &Path, source: std::io::Error) -> ImportError {
    ImportError::File { path: path.display().to_string(), source }
}

/// Opens an LDIF file for reading; `-` is standard input. Returns its size when it is known.
///
/// # Errors
/// [`ImportError::File`].
pub fn open_input(file: &Path) -> Result<(Box<dyn BufRead>, Option<u64>), ImportError> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(std::io::stdin())), None));
    }
    let input = std::fs::File::open(file).map_err(|source| file_error(file, source))?;
    let size = input.metadata().ok().map(|metadata| metadata.len());
    Ok((Box::new(BufReader::with_capacity(1 << 18, input)), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import_text(folder: &Path, text: &str) -> ImportReport {
        let schema = Arc::new(Schema::builtin());
        let options = Options::new(folder.join("data"));
        drop(Dit::open(options.clone(), Arc::clone(&schema), Clock::system()).unwrap());
        let how = ImportOptions { rejects: Some(folder.join("rejects.ldif")), ..ImportOptions::default() };
        import(&options, &schema, text.as_bytes(), Path::new("test.ldif"), &how, &mut Progress::silent()).unwrap()
    }

    #[test]
    fn an_entry_without_superior_is_refused_but_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let report = import_text(
            folder.path(),
            "dn: dc=a\nobjectClass: domain\ndc: a\n\ndn: cn=x,ou=y,dc=b\nobjectClass: device\ncn: x\n\n\
             dn: cn=x,dc=a\nobjectClass: device\ncn: x\n",
        );
        assert_eq!((report.entries, report.rejected), (2, 1));
        let rejects = std::fs::read_to_string(folder.path().join("rejects.ldif")).unwrap();
        assert!(rejects.contains("its superior ou=y,dc=b is not in the file before it"), "{rejects}");
    }
}
