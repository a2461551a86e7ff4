//! Everything that the old server has, into a file that `import` takes; and what speaks against that.

use super::MigrateArgs;
use super::consumer::Incoming;
use super::spool::{Spool, SpoolReader};
use crate::cli::import::is_left_out;
use crate::cli::output::CliError;
use crate::model::ldif::LdifWriter;
use crate::model::{AttributeDescription, Dn};
use crate::schema::Schema;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything on its way into a file, superiors before what is below them.
pub(super) struct Fetched<'a> {
    schema: &'a Schema,
    base_key: Vec<u8>,
    out: LdifWriter<Spool>,
    file: &'a Path,
    written: HashSet<Vec<u8>>,
    /// By the superior that they wait for.
    waiting: HashMap<Vec<u8>, Vec<(Vec<u8>, Incoming)>>,
    skip_unknown: bool,
    unknown: BTreeMap<String, u64>,
    passwords: u64,
    pub(super) entries: u64,
}

impl<'a> Fetched<'a> {
    pub(super) fn new(file: &'a Path, schema: &'a Schema, base: &Dn, skip_unknown: bool) -> Result<Self, CliError> {
        let out = Spool::create(file).map_err(|error| CliError::file(file, &error))?;
        Ok(Self {
            schema,
            base_key: schema.dn_key(base),
            out: LdifWriter::unfolded(out),
            file,
            written: HashSet::new(),
            waiting: HashMap::new(),
            skip_unknown,
            unknown: BTreeMap::new(),
            passwords: 0,
            entries: 0,
        })
    }

    pub(super) fn add(&mut self, incoming: Incoming) -> Result<(), CliError> {
        let Ok(dn) = Dn::parse(&incoming.dn) else { return self.write(&incoming) };
        let key = self.schema.dn_key(&dn);
        let superior = self.schema.dn_key(&dn.superior().unwrap_or_default());
        if key != self.base_key && !self.written.contains(&superior) {
            self.waiting.entry(superior).or_default().push((key, incoming));
            return Ok(());
        }
        let mut ready = vec![(key, incoming)];
        while let Some((key, incoming)) = ready.pop() {
            self.write(&incoming)?;
            ready.extend(self.waiting.remove(&key).unwrap_or_default());
            self.written.insert(key);
        }
        Ok(())
    }

    fn write(&mut self, incoming: &Incoming) -> Result<(), CliError> {
        self.entries += 1;
        let mut values: Vec<(&str, &[u8])> = Vec::new();
        let uuid = String::from_utf8_lossy(&incoming.uuid.to_text()).into_owned();
        values.push(("entryUUID", uuid.as_bytes()));
        for (name, list) in &incoming.attributes {
            let description = AttributeDescription::parse(name).ok();
            let bare = description.as_ref().map_or_else(|| name.clone(), |found| found.name().to_owned());
            if is_left_out(&bare) {
                continue;
            }
            let options = self.schema.attribute_options();
            let has_unknown = description.is_some_and(|description| options.unknown_in(&description).is_some());
            let Some(known) = self.schema.attribute_type(&bare).filter(|_| !has_unknown) else {
                *self.unknown.entry(if has_unknown { name.clone() } else { bare }).or_default() += 1;
                if !self.skip_unknown {
                    values.extend(list.iter().map(|value| (name.as_str(), value.as_slice())));
                }
                continue;
            };
            self.passwords += u64::from(known.is_secret());
            let is_class = known.oid == "2.5.4.0";
            for value in list {
                let class = std::str::from_utf8(value).ok().filter(|_| is_class);
                if let Some(class) = class.filter(|class| self.schema.object_class(class).is_none()) {
                    *self.unknown.entry(format!("objectClass {class}")).or_default() += 1;
                    if self.skip_unknown {
                        continue;
                    }
                }
                values.push((name, value));
            }
        }
        self.out.entry(&incoming.dn, values).map_err(|error| CliError::file(self.file, &error))
    }

    /// All has come: to be read back, and how many bytes it is.
    pub(super) fn finish(mut self, args: &MigrateArgs) -> Result<(SpoolReader, u64), CliError> {
        for (_, incoming) in std::mem::take(&mut self.waiting).into_values().flatten() {
            // The import says what is the matter with it.
            self.write(&incoming)?;
        }
        if self.entries == 0 {
            return Err(CliError::new(format!("{} has no entries at {} for this bind DN", args.from, args.base)));
        }
        if !self.unknown.is_empty() && !self.skip_unknown {
            return Err(CliError::new(format!(
                "not in the schema here, with how many entries have them: {}\nbring their definitions as LDIF (those of \
                 OpenLDAP are in /etc/ldap/schema/*.ldif and in cn=schema,cn=config) in the setting [schema] files of \
                 {}/entente.toml (options, as in cn;phonetic, in attribute_options there), or leave them out with \
                 --skip-unknown",
                counted(&self.unknown),
                args.data.display()
            )));
        }
        if self.passwords == 0 && !args.without_passwords {
            return Err(CliError::new(
                "no entry came with a userPassword: the bind DN has probably no right to read it (OpenLDAP: access to \
                 attrs=userPassword by dn.exact=\"…\" read). If there are none, say --without-passwords",
            ));
        }
        self.out.into_inner().into_reader().map_err(|error| CliError::file(self.file, &error))
    }
}

pub(super) fn counted(names: &BTreeMap<String, u64>) -> String {
    names.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
