//! `entente export`: the tree as LDIF, superiors before their subordinates.
//!
//! Reads one snapshot, so the file is one moment of the directory, also while a node serves and writes. The price is
//! that pages freed meanwhile are not used again until the export ends.
//!
//! The same content always gives the same bytes: siblings stand in the order of their normalised RDNs, attributes by
//! name with `objectClass` and those of the RDN first, values in the order in which clients see them. So two exports
//! can be compared line by line, and the import of an export gives an equal export.

use super::data::DataArgs;
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::dit::{Children, Dit, Entry, View};
use crate::model::ldif::LdifWriter;
use crate::model::{Dn, Filter, Rdn};
use crate::schema::time::format_generalized_time;
use crate::search::{AllSearchable, CompiledFilter, evaluate};
use crate::state::AttributeId;
use crate::storage::{EntryId, VALUE_OPERATIONAL, VALUE_SECRET};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Operational attributes that slapd keeps under the same name; lower case.
const KNOWN_TO_SLAPD: [&str; 5] = ["creatorsname", "createtimestamp", "entryuuid", "modifiersname", "modifytimestamp"];
/// How often the bar moves, in entries.
const PROGRESS_ENTRIES: u64 = 1000;

/// Write the directory as LDIF.
///
/// One moment of it, also while a node serves. Superiors come before their subordinates. The file holds password
/// hashes unless --no-passwords is given: keep it as safe as the data.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "Examples:\n  \
    entente export --data /var/lib/entente --output company.ldif\n  \
    entente export --data ./data --for slapadd | slapadd -b dc=example,dc=com\n  \
    entente export --data ./data --base ou=people,dc=example,dc=com --filter '(mail=*)' --plain --no-passwords")]
pub struct ExportArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Where to write; standard output if not given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only the entry of this DN and those below it
    #[arg(long, short, value_name = "DN")]
    base: Option<String>,
    /// Only entries that match this filter
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Who is to read it: decides which operational attributes are written
    #[arg(long = "for", value_enum, value_name = "READER", default_value_t)]
    reader: ExportReader,
    /// Without what servers keep themselves, and without access rules: the same as --for ldapadd
    #[arg(long, conflicts_with = "reader")]
    plain: bool,
    /// Leave out password hashes and other secrets
    #[arg(long)]
    no_passwords: bool,
}

/// Who is to read an export.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportReader {
    /// `entente import`: everything that is kept, access rules too
    #[default]
    Entente,
    /// slapd's offline loader: identity, timestamps and authors, but no access rules
    Slapadd,
    /// Any LDAP client: nothing that servers keep themselves, and no access rules
    Ldapadd,
}

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// Only at and below this DN.
    pub base: Option<Dn>,
    /// Only what matches.
    pub filter: Option<Filter<'static>>,
    /// Which operational attributes.
    pub reader: ExportReader,
    /// Without secrets.
    pub no_passwords: bool,
}

/// Runs the command.
///
/// # Errors
/// The text says what to do.
pub fn run(args: ExportArgs, output: &Output) -> Result<ExitCode, CliError> {
    if output.is_json() && args.output.is_none() {
        return Err(CliError::new(
            "--json reports on the export, so the LDIF needs a file of its own: add --output FILE",
        ));
    }
    let options = ExportOptions {
        base: args.base.as_deref().map(parse_dn).transpose()?,
        filter: args.filter.as_deref().map(parse_filter).transpose()?,
        reader: if args.plain { ExportReader::Ldapadd } else { args.reader },
        no_passwords: args.no_passwords,
    };
    let opened = args.data.open_to_read()?;
    let clock = opened.dit.clock().clone();
    let Some(file) = args.output else {
        export(&opened.dit, &options, output, &mut Progress::silent())?;
        output.flush()?;
        return Ok(ExitCode::SUCCESS);
    };
    let entries = into_file(&file, |writer| export(&opened.dit, &options, writer, &mut Progress::new(None, false)))?;
    let seconds = clock.monotonic().as_secs_f64();
    output.report(&serde_json::json!({ "entries": entries, "file": file, "seconds": seconds }), || {
        format!("{entries} entries written to {} in {seconds:.1} s", file.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn parse_dn(text: &str) -> Result<Dn, CliError> {
    Dn::parse(text).map_err(|error| CliError::new(format!("'{text}' is no DN: {error}")))
}

pub(super) fn parse_filter(text: &str) -> Result<Filter<'static>, CliError> {
    Filter::parse(text).map_err(|error| CliError::new(format!("'{text}' is no search filter: {error}")))
}

/// Writes a file by way of a temporary one, so that a name never stands for half of it. What is there and no plain
/// file (a pipe, a device) is written to as it is.
fn into_file<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T, CliError>) -> Result<T, CliError> {
    let failed = |error: std::io::Error| CliError::file(path, &error);
    let special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let temporary = if special { path.to_owned() } else { with_suffix(path, ".tmp") };
    let mut options = std::fs::File::options();
    options.write(true).create(!special).truncate(!special).mode(0o600);
    let mut writer = BufWriter::with_capacity(1 << 18, options.open(&temporary).map_err(failed)?);
    let result = write(&mut writer)?;
    let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    if !special {
        file.sync_all().map_err(failed)?;
        std::fs::rename(&temporary, path).map_err(failed)?;
    }
    Ok(result)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes the tree, or the part that `options` say, to `writer`. Returns how many entries were written.
///
/// # Errors
/// The base is not there, the data is damaged, or the writer fails.
pub fn export(
    dit: &Dit,
    options: &ExportOptions,
    writer: impl Write,
    progress: &mut Progress,
) -> Result<u64, CliError> {
    dit.environment().read_ahead();
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let filter = options.filter.as_ref().map(|filter| CompiledFilter::compile(view.catalog().schema(), filter));
    let mut form = Form { view, options, ldif: LdifWriter::new(writer), attributes: Vec::new(), dn: Vec::new() };
    // The path from the start to where we are: what is left to visit on each level.
    let mut path: Vec<Children<'_>> = Vec::new();
    let mut starts = match &options.base {
        Some(base) => vec![resolve(&view, base)?],
        None => view.suffixes()?,
    }
    .into_iter();
    let mut next = None;
    let mut count = 0;
    let mut visited = 0_u64;
    loop {
        let id = match next.take() {
            Some(id) => id,
            None => match path.last_mut() {
                None => match starts.next() {
                    Some(start) => start,
                    None => break,
                },
                Some(level) => match level.next() {
                    Some(id) => id?,
                    None => {
                        path.pop();
                        continue;
                    }
                },
            },
        };
        let Some(entry) = view.entry(id)? else { continue };
        let matches = match &filter {
            Some(filter) => evaluate(filter, view, &entry, &AllSearchable)?.is_true(),
            None => true,
        };
        if matches {
            form.write(&entry)?;
            count += 1;
        }
        if view.subordinate_count(id)? > 0 {
            path.push(view.children(id)?);
        }
        visited += 1;
        if visited.is_multiple_of(PROGRESS_ENTRIES) {
            progress.advance(visited);
        }
    }
    progress.finish();
    form.ldif.into_inner().flush()?;
    Ok(count)
}

fn resolve(view: &View<'_>, base: &Dn) -> Result<EntryId, CliError> {
    let resolution = view.resolve(base)?;
    if let Some(id) = resolution.entry {
        return Ok(id);
    }
    let nearest = match resolution.matched {
        Some(id) => format!("the nearest entry above it is {}", view.dn_text(id)?.unwrap_or_default()),
        None => "it is in none of the directory's suffixes".to_owned(),
    };
    Err(CliError::new(format!("there is no entry {base}; {nearest}")))
}

/// How an entry becomes text.
struct Form<'o, 't, W: Write> {
    view: View<'t>,
    options: &'o ExportOptions,
    ldif: LdifWriter<W>,
    /// Rank, name and values of each attribute of the entry at hand.
    attributes: Vec<(Rank, String, Vec<Vec<u8>>)>,
    dn: Vec<u8>,
}

/// Where in the record an attribute stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    ObjectClass,
    Naming,
    User,
    Operational,
}

impl<'t, W: Write> Form<'_, 't, W> {
    fn write(&mut self, entry: &Entry<'t>) -> Result<(), CliError> {
        self.attributes.clear();
        self.dn.clear();
        self.view.write_dn(entry, &mut self.dn)?;
        let dn = String::from_utf8_lossy(&self.dn).into_owned();
        let rdn = Dn::parse(&dn).ok().and_then(|dn| dn.rdn().cloned());
        let catalog = self.view.catalog();
        for slice in entry.record.attributes() {
            let Some(info) = catalog.attribute(slice.id) else { continue };
            if info.sealed || (self.options.no_passwords && slice.flags & VALUE_SECRET != 0) {
                continue;
            }
            let rank = if slice.flags & VALUE_OPERATIONAL != 0 {
                if !self.wants_operational(slice.id, &info.name) {
                    continue;
                }
                Rank::Operational
            } else if slice.id == catalog.well_known().object_class {
                Rank::ObjectClass
            } else if rdn.as_ref().is_some_and(|rdn| self.names(rdn, slice.id)) {
                Rank::Naming
            } else {
                Rank::User
            };
            self.attributes.push((rank, info.name.clone(), self.view.values(entry, &slice)?));
        }
        self.add_computed(entry);
        self.attributes.sort_by(|a, b| {
            let lower = |name: &str| name.to_ascii_lowercase();
            a.0.cmp(&b.0).then_with(|| lower(&a.1).cmp(&lower(&b.1)))
        });
        let lines = self
            .attributes
            .iter()
            .flat_map(|(_, name, values)| values.iter().map(move |value| (name.as_str(), value.as_slice())));
        Ok(self.ldif.entry(&dn, lines)?)
    }

    fn names(&self, rdn: &Rdn, attribute: AttributeId) -> bool {
        let catalog = self.view.catalog();
        rdn.avas().iter().any(|ava| {
            catalog.schema().attribute_type(&ava.attribute).and_then(|found| catalog.base_of(found)) == Some(attribute)
        })
    }

    /// Some operational attributes are written by users and needed by the entry's classes, as `ref` of a referral.
    fn wants_operational(&self, attribute: AttributeId, name: &str) -> bool {
        let catalog = self.view.catalog();
        let is_given_by_users = attribute != catalog.well_known().aci
            && catalog.attribute_type(attribute).is_some_and(|found| !found.no_user_modification);
        match self.options.reader {
            ExportReader::Entente => true,
            ExportReader::Slapadd => is_given_by_users || KNOWN_TO_SLAPD.contains(&name.to_ascii_lowercase().as_str()),
            ExportReader::Ldapadd => is_given_by_users,
        }
    }

    /// What the record's header keeps.
    fn add_computed(&mut self, entry: &Entry<'_>) {
        if self.options.reader == ExportReader::Ldapadd {
            return;
        }
        let record = &entry.record;
        let computed = [
            ("createTimestamp", format_generalized_time(record.created_ms())),
            ("entryUUID", record.uuid().to_string()),
            ("modifyTimestamp", format_generalized_time(record.modified_ms())),
        ];
        for (name, value) in computed {
            self.attributes.push((Rank::Operational, name.to_owned(), vec![value.into_bytes()]));
        }
    }
}

#[cfg(test)]
mod tests;
