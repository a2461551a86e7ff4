//! From settings to what the floors below open: the tree's options, and the schema with the administrator's additions.
//!
//! One place for the node and for every offline command: a command that opened the tree with another index selection
//! than the node would make it build its index anew.

use super::index_selection::IndexSelection;
use super::{CheckAtStart, Config};
use crate::dit;
use crate::schema::{AttributeOptions, Schema, SchemaError, SchemaSource};
use crate::storage::FileCheck;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder, beside the program and in the data directory, whose `*.ldif` files add to the schema.
pub const SCHEMA_FOLDER: &str = "schema";

/// Why the schema cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaLoadError {
    /// A file cannot be read.
    #[error("schema file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A definition is wrong.
    #[error(transparent)]
    Wrong(#[from] SchemaError),
}

impl Config {
    /// How the tree is to be opened.
    pub fn dit_options(&self) -> dit::Options {
        let mut options = dit::Options::new(&self.server.data_dir);
        options.map_bytes = usize::try_from(self.storage.map_size_bytes).unwrap_or(usize::MAX);
        options.readers_max = self.storage.readers;
        options.check = match self.storage.check_at_start {
            CheckAtStart::Always => FileCheck::Always,
            CheckAtStart::Changed => FileCheck::Changed,
            CheckAtStart::Never => FileCheck::Never,
        };
        options.batch_max = self.limits.writer_batch;
        options.log_records_max = self.replication.log_records_max;
        options.log_records_min = self.replication.log_records;
        options.recycle_retention_ms = u64::from(self.replication.recycle_days) * 24 * 60 * 60 * 1000;
        options.index = dit::IndexOptions {
            equality: IndexSelection::texts(&self.index.equality),
            presence: IndexSelection::texts(&self.index.presence),
            substring: IndexSelection::texts(&self.index.substring),
            approx: IndexSelection::texts(&self.index.approx),
        };
        options.encryption = dit::EncryptionOptions {
            attributes: self.storage.encrypted_attributes.clone(),
            key_file: self.storage.encryption_key_file.clone(),
        };
        options
    }

    /// The schema: built in, then the files of `schema.files`, then those of the folders `schema` beside the program and
    /// in the data directory, each in the order of their names.
    ///
    /// # Errors
    /// [`SchemaLoadError`] names file and line.
    pub fn load_schema(&self) -> Result<Arc<Schema>, SchemaLoadError> {
        let mut paths = self.schema.files.clone();
        let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(SCHEMA_FOLDER)));
        if let Some(beside) = beside {
            paths.extend(ldif_files(&beside)?);
        }
        paths.extend(ldif_files(&self.server.data_dir.join(SCHEMA_FOLDER))?);
        let mut texts = Vec::with_capacity(paths.len());
        for path in paths {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| SchemaLoadError::Unreadable { path: path.clone(), source })?;
            texts.push((path.display().to_string(), text));
        }
        let sources: Vec<SchemaSource<'_>> = texts.iter().map(|(name, text)| SchemaSource { name, text }).collect();
        let load = if self.schema.empty_groups { Schema::builtin_with_empty_groups } else { Schema::builtin_and };
        // What is no option is an error of the configuration (`check`), and recognized by nobody.
        let options =
            AttributeOptions::new(self.schema.attribute_options.iter().map(String::as_str)).unwrap_or_default();
        Ok(Arc::new(load(&sources)?.with_attribute_options(options)))
    }
}

/// The LDIF files of a folder by name; none when the folder is not there.
fn ldif_files(folder: &Path) -> Result<Vec<PathBuf>, SchemaLoadError> {
    let unreadable = |source| SchemaLoadError::Unreadable { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "ldif") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_data_directorys_schema_folder_adds_to_the_schema() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("schema")).unwrap();
        let mut config = Config::default();
        config.server.data_dir = directory.path().to_owned();
        assert!(config.load_schema().unwrap().attribute_type("shoeSize").is_none());
        let text = "dn: cn=schema\nattributeTypes: ( 1.3.6.1.4.1.32473.1 NAME 'shoeSize' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )\n";
        std::fs::write(directory.path().join("schema/shoes.ldif"), text).unwrap();
        std::fs::write(directory.path().join("schema/notes.txt"), "not read").unwrap();
        assert!(config.load_schema().unwrap().attribute_type("shoeSize").is_some());
        std::fs::write(directory.path().join("schema/bad.ldif"), "attributeTypes: ( 1.2.3 NAME\n").unwrap();
        assert!(config.load_schema().unwrap_err().to_string().contains("bad.ldif"));
    }
}
