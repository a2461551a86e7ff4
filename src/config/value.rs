//! How one setting is read from a TOML value and written as one.
//!
//! A value is read or it is not: the reader says what is allowed from the table of settings, so there is no error text
//! here. Lists accept a single string as a list of one, which is what `--set server.listen=ldap://127.0.0.1` gives.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::IndexSelection;
use crate::policy::aci::IpNetwork;
use crate::transport::ListenUrl;

/// A type that a setting can have.
pub(super) trait Value: Sized {
    /// Reads a TOML value; relative paths are put below `folder`. `None`: not of this type.
    fn read(value: &DeValue<'_>, folder: &Path) -> Option<Self>;

    /// The value as a number, for those that have a range.
    fn number(&self) -> Option<i128> {
        None
    }

    /// The value as TOML text.
    fn to_toml(&self) -> String;
}

/// Text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A list of texts as a TOML array.
fn quoted_list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = texts.map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// The strings of a list, or the one string that stands for a list of one.
pub(super) fn strings<'a>(value: &'a DeValue<'_>) -> Option<Vec<&'a str>> {
    match value {
        DeValue::String(text) => Some(vec![text]),
        DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
        _ => None,
    }
}

macro_rules! integers {
    ($($Type:ty),*) => {$(
        impl Value for $Type {
            fn read(value: &DeValue<'_>, _: &Path) -> Option<Self> {
                let integer = value.as_integer()?;
                Self::from_str_radix(integer.as_str(), integer.radix()).ok()
            }

            fn number(&self) -> Option<i128> {
                i128::try_from(*self).ok()
            }

            fn to_toml(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integers!(u32, u64, usize);

impl Value for bool {
    fn read(value: &DeValue<'_>, _: &Path) -> Option<Self> {
        value.as_bool()
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn read(value: &DeValue<'_>, _: &Path) -> Option<Self> {
        value.as_str().map(ToOwned::to_owned)
    }

    fn to_toml(&self) -> String {
        quoted(self)
    }
}

impl Value for PathBuf {
    fn read(value: &DeValue<'_>, folder: &Path) -> Option<Self> {
        value.as_str().filter(|text| !text.is_empty()).map(|text| folder.join(text))
    }

    fn to_toml(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for Option<PathBuf> {
    fn read(value: &DeValue<'_>, folder: &Path) -> Option<Self> {
        value.as_str().map(|text| (!text.is_empty()).then(|| folder.join(text)))
    }

    fn to_toml(&self) -> String {
        quoted(&self.as_deref().unwrap_or_else(|| Path::new("")).to_string_lossy())
    }
}

impl Value for Vec<PathBuf> {
    fn read(value: &DeValue<'_>, folder: &Path) -> Option<Self> {
        let texts = strings(value)?;
        texts.iter().all(|text| !text.is_empty()).then(|| texts.iter().map(|text| folder.join(text)).collect())
    }

    fn to_toml(&self) -> String {
        let texts: Vec<_> = self.iter().map(|path| path.to_string_lossy()).collect();
        quoted_list(texts.iter().map(AsRef::as_ref))
    }
}

impl Value for Vec<String> {
    fn read(value: &DeValue<'_>, _: &Path) -> Option<Self> {
        Some(strings(value)?.into_iter().map(ToOwned::to_owned).collect())
    }

    fn to_toml(&self) -> String {
        quoted_list(self.iter().map(String::as_str))
    }
}

impl Value for Vec<ListenUrl> {
    fn read(value: &DeValue<'_>, _: &Path) -> Option<Self> {
        strings(value)?.into_iter().map(|text| text.parse().ok()).collect()
    }

    fn to_toml(&self) -> String {
        let texts: Vec<String> = self.iter().map(ToString::to_string).collect();
        quoted_list(texts.iter().map(String::as_str))
    }
}

impl Value for Vec<IpNetwork> {
    fn read(value: &DeValue<'_>, _: &Path) -> Option<Self> {
        strings(value)?.into_iter().map(network).collect()
    }

    fn to_toml(&self) -> String {
        let texts: Vec<String> = self.iter().map(ToString::to_string).collect();
        quoted_list(texts.iter().map(String::as_str))
    }
}

/// An address, or the first of those that share so many bits: `192.0.2.0/24`.
fn network(text: &str) -> Option<IpNetwork> {
    match text.split_once('/') {
        Some((address, bits)) => IpNetwork::new(address.parse().ok()?, bits.parse().ok()?),
        None => {
            let address: IpAddr = text.parse().ok()?;
            IpNetwork::new(address, if address.is_ipv4() { 32 } else { 128 })
        }
    }
}

impl Value for IndexSelection {
    fn read(value: &DeValue<'_>, _: &Path) -> Option<Self> {
        Self::parse(&strings(value)?)
    }

    fn to_toml(&self) -> String {
        let texts = self.texts();
        quoted_list(texts.iter().map(String::as_str))
    }
}

macro_rules! choices {
    ($($(#[$doc:meta])* $Choice:ident {$($(#[$variant_doc:meta])* $Variant:ident = $text:literal,)*})*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Choice {$($(#[$variant_doc])* $Variant,)*}

        impl $Choice {
            /// The word that stands for it in the file.
            pub fn as_str(self) -> &'static str {
                match self {$(Self::$Variant => $text,)*}
            }
        }

        impl Value for $Choice {
            fn read(value: &DeValue<'_>, _: &Path) -> Option<Self> {
                match value.as_str()? {
                    $($text => Some(Self::$Variant),)*
                    _ => None,
                }
            }

            fn to_toml(&self) -> String {
                quoted(self.as_str())
            }
        }
    )*};
}

choices! {
    /// When the structure of the data file is looked through before it is opened.
    CheckAtStart {
        /// At every start.
        Always = "always",
        /// When the file is not as a node left it that stopped in order.
        Changed = "changed",
        /// Not at all.
        Never = "never",
    }
    /// Whether what goes to members is compressed.
    Compression {
        /// To those that are far away.
        Auto = "auto",
        /// To all.
        Always = "always",
        /// To none.
        Never = "never",
    }
    /// Who must hold a change before its client is answered.
    Durability {
        /// Every supplier.
        All = "all",
        /// This server.
        Local = "local",
        /// So many other members.
        Quorum = "quorum",
        /// Every supplier of this site.
        Site = "site",
    }
    /// How log lines look.
    LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// Time, level, message, then fields.
        Text = "text",
    }
    /// How important a log line must be to be written.
    LogLevel {
        /// Something failed and needs a person.
        Error = "error",
        /// Something is wrong, but service goes on.
        Warn = "warn",
        /// Starts, stops, joins: what happens a few times a day.
        Info = "info",
        /// What one connection did.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
    /// A TLS version.
    TlsVersion {
        /// RFC 5246.
        V1_2 = "1.2",
        /// RFC 8446.
        V1_3 = "1.3",
    }
}
