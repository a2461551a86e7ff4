//! The arguments that say which data directory is meant, and what making and opening it takes.

use super::output::CliError;
use crate::clock::Clock;
use crate::config::{Config, SCHEMA_FOLDER};
use crate::dit::Dit;
use crate::replication::service::REPLACED;
use crate::storage::{DataLock, LockUse};
use std::path::{Path, PathBuf};

/// Settings that a data directory carries in itself; read where no other file is named.
pub const SETTINGS_FILE: &str = "entente.toml";

/// The settings file: the one named, else the one in the data directory, if there is one.
pub fn settings_file(config: Option<&Path>, data: Option<&Path>) -> Option<PathBuf> {
    let own = || data.map(|data| data.join(SETTINGS_FILE)).filter(|file| file.is_file());
    config.map(Path::to_owned).or_else(own)
}

/// What may stand in a folder in which no data does: what this program keeps beside it, settings, schema files, and what a
/// file system has at its top.
const KNOWN: [&str; 11] = [
    "handover",
    "init.tmp",
    "known",
    "ldapi",
    "lock",
    "lock.mdb",
    "lock.readers",
    REPLACED,
    SCHEMA_FOLDER,
    SETTINGS_FILE,
    "lost+found",
];

/// Refuses a folder that is somebody else's: without data, and with files that neither a setting nor the command (`given`)
/// names.
pub(super) fn demand_own(config: &Config, given: &[&Path]) -> Result<(), CliError> {
    let directory = &config.server.data_dir;
    if directory.join("data.mdb").exists() {
        return Ok(());
    }
    let settings: Vec<String> = config.values().into_iter().map(|(_, value)| value.to_string()).collect();
    let is_named = |name: &str| {
        let forms = [format!("/{name}\""), format!("\"{name}\""), format!("/{name}/")];
        settings.iter().any(|value| forms.iter().any(|form| value.contains(form)))
    };
    let failed = |error: std::io::Error| CliError::file(directory, &error);
    let mut foreign = Vec::new();
    for item in std::fs::read_dir(directory).map_err(failed)? {
        let name = item.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let is_given = given.iter().any(|file| file.file_name().is_some_and(|own| own.to_string_lossy() == name));
        if !is_given && !KNOWN.contains(&name.as_str()) && !is_named(&name) {
            foreign.push(crate::model::escape_for_log(&name).to_string());
        }
    }
    foreign.sort();
    let more = if foreign.len() > FOREIGN_SHOWN_MAX { " and others" } else { "" };
    foreign.truncate(FOREIGN_SHOWN_MAX);
    if foreign.is_empty() {
        return Ok(());
    }
    Err(CliError::new(format!(
        "{} holds files that are not of this program ({}{more}); choose an empty folder, or one that is not there yet",
        directory.display(),
        foreign.join(", ")
    )))
}

/// Names of files shown in a refusal.
const FOREIGN_SHOWN_MAX: usize = 3;

// Which data directory, with which settings. A doc comment would stand in the place of that of each command that has these.
#[derive(clap::Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "see above")]
pub struct DataArgs {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The configuration file of the node, which names the data directory and the index settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, as in the configuration file; may be given more than once
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

impl DataArgs {
    /// The settings that hold.
    ///
    /// # Errors
    /// Neither a data directory nor a configuration is given; or the configuration is wrong.
    pub fn config(&self) -> Result<Config, CliError> {
        if self.data.is_none() && self.config.is_none() && self.sets.is_empty() {
            return Err(CliError::new("say where the data is: --data DIR, or --config FILE"));
        }
        let file = settings_file(self.config.as_deref(), self.data.as_deref());
        let mut config = Config::load(file.as_deref(), &self.sets)?;
        if let Some(data) = &self.data {
            config.server.data_dir.clone_from(data);
        }
        Ok(config)
    }

    /// Locks the data directory for `lock_use` and gives the settings. Hold the lock as long as the tree is open.
    ///
    /// # Errors
    /// There is no data, or somebody else uses it.
    pub fn lock(&self, lock_use: LockUse) -> Result<(Config, DataLock), CliError> {
        let config = self.config()?;
        let directory = &config.server.data_dir;
        if !directory.join("data.mdb").exists() {
            return Err(CliError::new(format!(
                "{0} holds no directory data; make one with: entente init --data {0} --suffix DN --admin-password-file FILE",
                directory.display()
            )));
        }
        let lock = DataLock::acquire(directory, lock_use)?;
        Ok((config, lock))
    }

    /// Opens the tree for reading, beside a serving node if there is one.
    ///
    /// # Errors
    /// There is no data, it is being replaced, or it cannot be opened.
    pub fn open_to_read(&self) -> Result<Opened, CliError> {
        let (config, lock) = self.lock(LockUse::Reading)?;
        let schema = config.load_schema()?;
        let dit = Dit::open_as_recorded(config.dit_options(), schema, Clock::system())?;
        Ok(Opened { dit, lock })
    }
}

/// An open tree and the lock that guards it; the tree is closed first.
pub struct Opened {
    /// The tree.
    pub dit: Dit,
    /// The lock.
    pub lock: DataLock,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;
    use std::sync::Arc;

    #[test]
    fn opening_to_read_keeps_the_index_as_the_node_built_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut options = crate::dit::Options::new(directory.path());
        options.index.equality = vec!["cn".to_owned(), "!mail".to_owned()];
        options.index.substring = Vec::new();
        let index = options.index.clone();
        drop(Dit::open(options, Arc::new(Schema::builtin()), Clock::system()).unwrap());
        let arguments = DataArgs { data: Some(directory.path().to_owned()), ..DataArgs::default() };
        let opened = arguments.open_to_read().unwrap();
        assert_eq!(*opened.dit.catalog().index_options(), index);
        let error = arguments.lock(LockUse::Replacing("import")).err().unwrap().to_string();
        assert!(error.contains("being read"), "{error}");
    }

    #[test]
    fn a_folder_without_data_is_told_how_to_get_some() {
        let directory = tempfile::tempdir().unwrap();
        let arguments = DataArgs { data: Some(directory.path().to_owned()), ..DataArgs::default() };
        assert!(arguments.open_to_read().err().unwrap().to_string().contains("entente init"));
        assert!(DataArgs::default().config().unwrap_err().to_string().contains("--data"));
    }
}
