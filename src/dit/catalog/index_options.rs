//! Which attributes are indexed, and how: an administrator's settings.

use crate::schema::sound::is_spoken;
use crate::schema::{AttributeType, MatchingRule, Schema};

/// Begins a fingerprint: another number for each way in which the program makes keys.
const FORM: &str = "3|";

/// Which indexes the values of an attribute are kept in.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Indexed {
    /// Normal forms, in order.
    pub equality: bool,
    /// That the attribute is there.
    pub presence: bool,
    /// Three-character pieces.
    pub substring: bool,
    /// What values sound like; of telephone numbers, the last digits.
    pub approx: bool,
}

impl Indexed {
    /// The indexes that serve without the order and the pieces of values, which would say much of them.
    pub(super) fn of_encrypted(self) -> Self {
        Self { substring: false, approx: false, ..self }
    }
}

/// Which attributes to index; names as in the schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexOptions {
    /// Names, `*` for every attribute with an equality rule, `!name` for an exception.
    pub equality: Vec<String>,
    /// As `equality`.
    pub presence: Vec<String>,
    /// Names of attributes with substring rule.
    pub substring: Vec<String>,
    /// Names of attributes whose values `~=` compares word by word. Telephone numbers are always found by their last
    /// digits where they are in the equality index.
    pub approx: Vec<String>,
}

impl Default for IndexOptions {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let bulky = [
            "*",
            "!userPassword",
            "!jpegPhoto",
            "!photo",
            "!audio",
            "!thumbnailPhoto",
            "!userCertificate",
            "!userSMIMECertificate",
            "!userPKCS12",
        ];
        let names = ["cn", "mail", "mozillaNickname", "mozillaSecondEmail", "fileAs"];
        let spoken = ["cn", "sn", "givenName", "displayName", "mozillaNickname", "fileAs", "o", "ou", "l"];
        Self { equality: list(&bulky), presence: list(&bulky), substring: list(&names), approx: list(&spoken) }
    }
}

impl IndexOptions {
    fn selects(list: &[String], attribute_type: &AttributeType) -> bool {
        let named = |name: &str| {
            attribute_type.oid == name || attribute_type.names.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        let excepted = list.iter().filter_map(|name| name.strip_prefix('!')).any(named);
        !excepted && list.iter().any(|name| name == "*" || named(name))
    }

    pub(super) fn of(&self, attribute_type: &AttributeType) -> Indexed {
        let equality = attribute_type.equality.is_some_and(|rule| rule.is_key_rule());
        let equality = equality && !attribute_type.is_secret() && Self::selects(&self.equality, attribute_type);
        let approx = match attribute_type.equality {
            Some(MatchingRule::TelephoneNumberMatch) => equality,
            Some(rule) if is_spoken(rule) && !attribute_type.is_secret() => Self::selects(&self.approx, attribute_type),
            _ => false,
        };
        Indexed {
            equality,
            presence: Self::selects(&self.presence, attribute_type),
            substring: attribute_type.substring.is_some() && Self::selects(&self.substring, attribute_type),
            approx,
        }
    }

    /// A text that changes whenever the index would hold other keys, by other settings or by another schema: kept beside
    /// the index and compared at open.
    pub fn fingerprint(&self, schema: &Schema) -> String {
        let lists = [&self.equality, &self.presence, &self.substring, &self.approx].map(|list| list.join(","));
        format!("{FORM}{}|{:032x}", lists.join("|"), rules_digest(schema))
    }

    /// The settings behind a fingerprint; `None` when another version of the program wrote it.
    pub fn from_fingerprint(fingerprint: &str) -> Option<Self> {
        let lists = fingerprint.strip_prefix(FORM)?;
        let mut lists = lists
            .split('|')
            .map(|list| list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<String>>());
        let (equality, presence, substring) = (lists.next()?, lists.next()?, lists.next()?);
        let (approx, _schema) = (lists.next()?, lists.next()?);
        lists.next().is_none().then_some(Self { equality, presence, substring, approx })
    }
}

/// What index keys depend on in a schema: which types there are, how they are named and compared.
fn rules_digest(schema: &Schema) -> u128 {
    let mut lines: Vec<String> = schema
        .attribute_types()
        .map(|found| {
            let rule = |rule: Option<MatchingRule>| rule.map_or("", |rule| rule.oid());
            let (equality, substring) = (rule(found.equality), rule(found.substring));
            let (dn, secret) = (found.names_entries(), found.is_secret());
            format!("{} {} {equality} {substring} {dn} {secret}\n", found.oid, found.names.join(" "))
        })
        .collect();
    lines.sort_unstable();
    xxhash_rust::xxh3::xxh3_128(lines.concat().as_bytes())
}
