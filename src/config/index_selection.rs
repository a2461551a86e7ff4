//! Which attributes an index covers: names, or all of them but some.

/// A selection of attribute types by name.
///
/// Written in the file as a list of names; `*` means every attribute that the index can serve, `!name` takes one out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSelection {
    all: bool,
    names: Vec<String>,
    except: Vec<String>,
}

impl IndexSelection {
    /// The named attributes.
    pub fn only(names: &[&str]) -> Self {
        Self { all: false, names: owned(names), except: Vec::new() }
    }

    /// Every attribute but the named ones.
    pub fn all_but(names: &[&str]) -> Self {
        Self { all: true, names: Vec::new(), except: owned(names) }
    }

    /// From the texts of the file; `None` when one of them cannot be an attribute name.
    pub(super) fn parse(texts: &[&str]) -> Option<Self> {
        let mut selection = Self::only(&[]);
        for text in texts {
            match text.strip_prefix('!') {
                Some(name) if is_name(name) => selection.except.push(name.to_owned()),
                None if *text == "*" => selection.all = true,
                None if is_name(text) => selection.names.push((*text).to_owned()),
                _ => return None,
            }
        }
        Some(selection)
    }

    /// The texts of the file.
    pub fn texts(&self) -> Vec<String> {
        let all = self.all.then(|| "*".to_owned());
        let except = self.except.iter().map(|name| format!("!{name}"));
        all.into_iter().chain(self.names.iter().cloned()).chain(except).collect()
    }

    /// True if an attribute type with these names is selected; case of letters is ignored.
    ///
    /// Where an attribute is both named and taken out, it is out.
    pub fn selects<Name: AsRef<str>>(&self, names: &[Name]) -> bool {
        let holds = |list: &[String]| {
            list.iter().any(|listed| names.iter().any(|name| listed.eq_ignore_ascii_case(name.as_ref())))
        };
        (self.all || holds(&self.names)) && !holds(&self.except)
    }

    /// Every name in the selection, taken in or out; for checking them against the schema.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.names.iter().chain(&self.except).map(String::as_str)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A name or an object identifier (RFC 4512 1.4), options not included.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}
