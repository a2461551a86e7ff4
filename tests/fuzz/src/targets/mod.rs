//! The targets: a name, seeds that are accepted, and a function that panics when a property does not hold.
//!
//! ```text
//! messages   LDAP messages, values of controls and of extended requests
//! texts      DN, filter, URL, LDIF, access rules of ours and of slapd      schema   definitions, values, rules of uniqueness
//! secrets    stored passwords, SCRAM, tokens          files    configuration, backups, data
//! peers      messages of members, PROXY headers       house    a directory, for
//! sessions   whole conversations: binds by every mechanism, searches, changes
//! ```

mod files;
mod house;
mod messages;
mod peers;
mod schema;
mod secrets;
mod sessions;
mod texts;

/// What mutants are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Octets and characters.
    Text,
    /// BER elements: half of the mutants keep their lengths right.
    Ber,
}

/// One target.
pub(crate) struct Target {
    /// As given on the command line.
    pub(crate) name: &'static str,
    /// What mutants are made of.
    pub(crate) shape: Shape,
    /// Of the inputs that `all` runs a target on, one in so many: those that cost much take fewer.
    pub(crate) one_in: u64,
    /// Inputs to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Whether the input was accepted; panics when a property does not hold.
    pub(crate) run: fn(&[u8]) -> bool,
}

const fn target(
    name: &'static str,
    shape: Shape,
    one_in: u64,
    seeds: fn() -> Vec<Vec<u8>>,
    run: fn(&[u8]) -> bool,
) -> Target {
    Target { name, shape, one_in, seeds, run }
}

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    target("ber_message", Shape::Ber, 1, messages::message_seeds, messages::ber_message),
    target("control_value", Shape::Ber, 1, messages::control_seeds, messages::control_value),
    target("extended_value", Shape::Ber, 1, messages::extended_seeds, messages::extended_value),
    target("dn_text", Shape::Text, 1, texts::dn_seeds, texts::dn_text),
    target("filter_text", Shape::Text, 1, texts::filter_seeds, texts::filter_text),
    target("ldap_url", Shape::Text, 1, texts::url_seeds, texts::ldap_url),
    target("ldif", Shape::Text, 1, texts::ldif_seeds, texts::ldif),
    target("aci", Shape::Text, 2, texts::aci_seeds, texts::aci),
    target("slapd_access", Shape::Text, 20, texts::slapd_access_seeds, texts::slapd_access),
    target("schema_text", Shape::Text, 4, schema::schema_seeds, schema::schema_text),
    target("schema_value", Shape::Text, 8, schema::value_seeds, schema::schema_value),
    target("unique_rule", Shape::Text, 4, schema::unique_seeds, schema::unique_rule),
    target("stored_password", Shape::Text, 100, secrets::stored_password_seeds, secrets::stored_password),
    target("scram", Shape::Text, 4, secrets::scram_seeds, secrets::scram),
    target("token", Shape::Text, 20, secrets::token_seeds, secrets::token),
    target("key_set", Shape::Text, 2, secrets::key_set_seeds, secrets::key_set),
    target("invitation", Shape::Text, 1, secrets::invitation_seeds, secrets::invitation),
    target("proxy_header", Shape::Text, 1, peers::proxy_header_seeds, peers::proxy_header),
    target("configuration", Shape::Text, 20, files::configuration_seeds, files::configuration),
    target("backup", Shape::Text, 20, files::backup_seeds, files::backup),
    target("data_file", Shape::Text, 40, files::data_file_seeds, files::data_file),
    target("replication_message", Shape::Text, 1, peers::peer_seeds, peers::replication_message),
    target("sasl_bind", Shape::Text, 10, sessions::sasl_seeds, sessions::sasl_bind),
    target("reading", Shape::Ber, 10, sessions::reading_seeds, sessions::reading),
    target("writing", Shape::Ber, 100, sessions::writing_seeds, sessions::writing),
];

fn texts(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}
