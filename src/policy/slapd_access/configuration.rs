//! slapd's configuration as text: which access rules stand for which suffix, and where each was written.
//!
//! Two forms: `slapd.conf` (continued lines, quotation marks, comments), and LDIF of `cn=config` (`olcAccess` in the order
//! of its braces). Only what bears on access rules is looked at; what would change their meaning and is not read here is
//! a [`Problem`].

use super::Problem;
use crate::model::attribute::Attribute;
use crate::model::ldif::{LdifBody, LdifReader, UrlPolicy};

/// Longest configuration that is read, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most access rules for one suffix; each is looked at for each kind of attribute and each place in the tree.
pub(super) const RULES_MAX: usize = 256;

/// A rule as words, without `access` in front.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    /// Where it was written, for messages.
    pub(super) origin: String,
    pub(super) words: Vec<String>,
}

/// A database of slapd.
#[derive(Clone, Debug, Default)]
pub(super) struct Database {
    pub(super) suffixes: Vec<String>,
    pub(super) rules: Vec<Directive>,
    /// Where it was said that adding an entry is judged attribute by attribute.
    pub(super) judges_added: Option<String>,
}

/// What a configuration says.
#[derive(Clone, Debug, Default)]
pub(super) struct Configuration {
    /// Asked after those of the database.
    pub(super) global: Database,
    pub(super) databases: Vec<Database>,
    pub(super) problems: Vec<Problem>,
    /// A database without rules, for a text that has rules alone.
    pub(super) none: Database,
}

/// Cuts a line into words as slapd does: blanks part them, quotation marks keep blanks in, a backslash takes the next
/// character as it is.
pub(super) fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().push(characters.next().unwrap_or('\\')),
            ' ' | '\t' | '\r' | '\n' if !is_quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if is_quoted {
        return Err("a quotation mark is never closed".into());
    }
    words.extend(word);
    Ok(words)
}

fn is_switched_on(word: &str) -> bool {
    ["on", "true", "yes", "1"].iter().any(|on| on.eq_ignore_ascii_case(word))
}

impl Configuration {
    /// Reads either form.
    pub(super) fn read(text: &str) -> Self {
        let is_ldif = text.lines().any(|line| line.to_ascii_lowercase().starts_with("dn:"));
        if is_ldif { Self::read_ldif(text) } else { Self::read_conf(text) }
    }

    fn problem(&mut self, origin: &str, detail: impl Into<String>) {
        self.problems.push(Problem { origin: origin.to_owned(), detail: detail.into() });
    }

    fn read_conf(text: &str) -> Self {
        let mut lines: Vec<(usize, String)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            match (line.starts_with([' ', '\t']), lines.last_mut()) {
                (true, Some((_, whole))) => {
                    whole.push(' ');
                    whole.push_str(line);
                }
                _ => lines.push((index + 1, line.to_owned())),
            }
        }
        let mut read = Self::default();
        let mut is_global = true;
        for (number, line) in lines.iter().filter(|(_, line)| !line.starts_with('#')) {
            let origin = format!("line {number}");
            let mut words = match words(line) {
                Ok(words) if !words.is_empty() => words.into_iter(),
                Ok(_) => continue,
                Err(error) => {
                    read.problem(&origin, error);
                    continue;
                }
            };
            let word = words.next().unwrap_or_default().to_ascii_lowercase();
            let words: Vec<String> = words.collect();
            let first = words.first().map(String::as_str).unwrap_or_default();
            if word == "database" {
                is_global = first.eq_ignore_ascii_case("frontend");
                if !is_global {
                    read.databases.push(Database::default());
                }
                continue;
            }
            if word == "include" && !first.to_ascii_lowercase().ends_with(".schema") {
                read.problem(
                    &origin,
                    format!("{first} is included, and may hold access rules: put its text in the place of this line"),
                );
            }
            let at = match read.databases.last_mut() {
                Some(database) if !is_global => database,
                _ => &mut read.global,
            };
            match word.as_str() {
                "suffix" => at.suffixes.extend(words),
                "access" => at.rules.push(Directive { origin, words }),
                "add_content_acl" if is_switched_on(first) => at.judges_added = Some(origin),
                "defaultaccess" => {
                    read.problem(&origin, "defaultaccess is of an OpenLDAP before 2.4; write it as an access rule");
                }
                _ => {}
            }
        }
        read
    }

    fn read_ldif(text: &str) -> Self {
        let mut read = Self::default();
        for record in LdifReader::new(text.as_bytes(), UrlPolicy::Refuse) {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    read.problem(&format!("line {}", error.line), error.detail);
                    continue;
                }
            };
            let LdifBody::Entry(attributes) = record.body else {
                read.problem(
                    &format!("line {}", record.line),
                    "this is a change; give the entries of cn=config, as slapcat -n 0 writes them",
                );
                continue;
            };
            let mut database = Database::default();
            let mut numbered: Vec<(i64, Directive)> = Vec::new();
            for (name, value) in attributes.iter().flat_map(values) {
                let Ok(value) = std::str::from_utf8(value) else {
                    read.problem(&record.dn, format!("{name} is not UTF-8 text"));
                    continue;
                };
                match name.as_str() {
                    "olcsuffix" => database.suffixes.push(value.to_owned()),
                    "olcaddcontentacl" if is_switched_on(value) => {
                        database.judges_added = Some(format!("{} (line {})", record.dn, record.line));
                    }
                    "olcaccess" => {
                        let (number, rule) = numbered_value(value);
                        let number = number.unwrap_or_else(|| i64::try_from(numbered.len()).unwrap_or(i64::MAX));
                        let origin = format!("olcAccess {{{number}}} of {} (line {})", record.dn, record.line);
                        match words(rule) {
                            Ok(words) => numbered.push((number, Directive { origin, words })),
                            Err(error) => read.problem(&origin, error),
                        }
                    }
                    _ => {}
                }
            }
            numbered.sort_by_key(|(number, _)| *number);
            database.rules = numbered.into_iter().map(|(_, rule)| rule).collect();
            let dn = record.dn.to_ascii_lowercase();
            if dn.starts_with("olcdatabase=") && dn.split(',').next().is_some_and(|rdn| rdn.ends_with("frontend")) {
                read.global.rules.extend(database.rules);
                read.global.judges_added = read.global.judges_added.take().or(database.judges_added);
            } else if dn.starts_with("olcdatabase=") {
                read.databases.push(database);
            }
        }
        read
    }
}

fn values(attribute: &Attribute) -> impl Iterator<Item = (String, &[u8])> {
    let name = attribute.description.to_string().to_ascii_lowercase();
    attribute.values.iter().map(move |value| (name.clone(), value.as_slice()))
}

/// `{3}to …`: the number and the rest.
fn numbered_value(value: &str) -> (Option<i64>, &str) {
    let split = value.trim_start().strip_prefix('{').and_then(|rest| rest.split_once('}'));
    match split.and_then(|(number, rest)| Some((number.parse().ok()?, rest))) {
        Some((number, rest)) => (Some(number), rest),
        None => (None, value),
    }
}
