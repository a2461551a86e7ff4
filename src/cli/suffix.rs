//! `entente suffix`: more than one tree in one directory. Asked of the node that serves; where none does, done on the data.
//!
//! A suffix is the entry at its top, so that it replicates like any entry and every member serves it. Adding one is an
//! add with the relax rules control, so that a slip in the name of an entry makes none.

mod offline;

use super::client::{self, ConnectArgs, Connection};
use super::data::DataArgs;
use super::init;
use super::output::{CliError, Output};
use crate::model::Dn;
use crate::model::ldif::{LdifBody, LdifReader, UrlPolicy};
use crate::storage::DataLock;
use crate::wire::control::RELAX_RULES;
use ldap3_proto::proto::{
    LdapAddRequest, LdapAttribute, LdapDerefAliases, LdapFilter, LdapOp, LdapSearchRequest, LdapSearchScope,
};
use serde_json::json;
use std::process::ExitCode;

/// Add, list and delete suffixes: trees of one directory, each with a name of its own.
#[derive(clap::Args, Clone, Debug)]
pub struct SuffixArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Action {
    /// Add a suffix, with the access rules that `entente init` gives to the first
    #[command(after_help = "Examples:\n  \
        entente suffix add --data /var/lib/entente dc=example,dc=net\n  \
        entente suffix add -H ldaps://ldap.example.com -D cn=admin,dc=example,dc=com o=Partners")]
    Add(Named),
    /// Show the suffixes
    #[command(after_help = "Example:\n  entente suffix list --data /var/lib/entente")]
    List(Where),
    /// Delete a suffix below which nothing is left
    #[command(after_help = "Example:\n  entente suffix delete --data /var/lib/entente dc=example,dc=net")]
    Delete(Named),
}

#[derive(clap::Args, Clone, Debug)]
struct Where {
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(clap::Args, Clone, Debug)]
struct Named {
    #[command(flatten)]
    place: Where,
    /// The name of its topmost entry
    #[arg(value_name = "DN")]
    suffix: String,
}

/// Runs the command.
///
/// # Errors
/// Nothing was changed; the text says why.
pub fn run(args: &SuffixArgs, output: &Output) -> Result<ExitCode, CliError> {
    match &args.action {
        Action::List(place) => list(place, output),
        Action::Add(named) => {
            let suffix = init::parse_suffix("", &named.suffix)?;
            let request = LdapAddRequest { dn: suffix.to_string(), attributes: top_entry(&suffix)? };
            change(&named.place, LdapOp::AddRequest(request), Some(RELAX_RULES))?;
            output.report(&json!({ "added": suffix.to_string() }), || {
                format!("{suffix} is served; fill it with ldapadd or `entente modify`")
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Delete(named) => {
            let suffix = init::parse_suffix("", &named.suffix)?;
            let there = suffixes(&named.place)?;
            let is_it = |text: &String| Dn::parse(text).is_ok_and(|known| is_same(&known, &suffix));
            if !there.iter().any(is_it) {
                let text = format!("{suffix} is no suffix of this directory; there are: {}", there.join("; "));
                return Err(CliError::new(text));
            }
            change(&named.place, LdapOp::DelRequest(suffix.to_string()), None)?;
            output.report(&json!({ "deleted": suffix.to_string() }), || format!("{suffix} is gone"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// As the built-in schema compares names: a suffix is named by types that every schema has.
fn is_same(one: &Dn, other: &Dn) -> bool {
    crate::schema::Schema::builtin().dn_equal(one, other)
}

fn list(place: &Where, output: &Output) -> Result<ExitCode, CliError> {
    for suffix in suffixes(place)? {
        let line = if output.is_json() { json!({ "suffix": suffix }).to_string() } else { suffix };
        output.line(&crate::model::escape_for_log(&line).to_string())?;
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The names of the suffixes: of the server asked, or as they stand in the data.
fn suffixes(place: &Where) -> Result<Vec<String>, CliError> {
    if let Some(data) = place.connect.data() {
        let data = DataArgs { data: Some(data.to_owned()), ..DataArgs::default() };
        let opened = data.open_to_read()?;
        let snapshot = opened.dit.read()?;
        let view = snapshot.view();
        let mut names = Vec::new();
        for id in view.suffixes()? {
            names.extend(view.dn_text(id)?);
        }
        return Ok(names);
    }
    let target = place.connect.target()?;
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let request = LdapSearchRequest {
            base: String::new(),
            scope: LdapSearchScope::Base,
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter: LdapFilter::Present("objectClass".to_owned()),
            attrs: vec!["namingContexts".to_owned()],
        };
        let mut names = Vec::new();
        let result = connection
            .search(request, |answer| {
                let LdapOp::SearchResultEntry(entry) = answer else { return Ok(()) };
                let values = entry.attributes.iter().flat_map(|attribute| &attribute.vals);
                names.extend(values.map(|value| String::from_utf8_lossy(value).into_owned()));
                Ok(())
            })
            .await?;
        client::expect_success(&result)?;
        connection.close().await;
        Ok(names)
    })
}

/// The attributes of a suffix entry, as `entente init` makes it.
fn top_entry(suffix: &Dn) -> Result<Vec<LdapAttribute>, CliError> {
    let text = init::bootstrap(suffix)?;
    let mut reader = LdifReader::new(text.as_bytes(), UrlPolicy::Refuse);
    let record = reader.next().ok_or_else(|| CliError::new("the suffix entry is missing in this program"))?;
    let record = record.map_err(|error| CliError::new(error.to_string()))?;
    let LdifBody::Entry(attributes) = record.body else {
        return Err(CliError::new("the suffix entry of this program is no entry"));
    };
    let mut merged: Vec<LdapAttribute> = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let name = attribute.description.to_string();
        match merged.iter_mut().find(|known| known.atype == name) {
            Some(known) => known.vals.extend(attribute.values),
            None => merged.push(LdapAttribute { atype: name, vals: attribute.values }),
        }
    }
    Ok(merged)
}

/// Has the change made by the server, or here where nobody serves the data.
fn change(place: &Where, operation: LdapOp, control: Option<&str>) -> Result<(), CliError> {
    if let Some(data) = place.connect.data() {
        let is_served = DataLock::holder(data)?.is_some_and(|holder| holder.what == "serve");
        if !is_served {
            let data = DataArgs { data: Some(data.to_owned()), ..DataArgs::default() };
            return client::expect_success(&offline::change(&data, operation, control)?);
        }
    }
    let target = place.connect.target()?;
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let result = connection.change_with(operation, control).await?;
        connection.close().await;
        client::expect_success(&result)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_entry_of_a_suffix_is_what_init_makes() {
        let attributes = top_entry(&Dn::parse("o=Partners").unwrap()).unwrap();
        let values = |name: &str| {
            let found = attributes.iter().filter(|attribute| attribute.atype.eq_ignore_ascii_case(name));
            found.flat_map(|attribute| attribute.vals.clone()).collect::<Vec<_>>()
        };
        assert_eq!(values("o"), [b"Partners".to_vec()]);
        assert_eq!(values("objectClass"), [b"top".to_vec(), b"organization".to_vec()]);
        assert_eq!(values("aci").len(), 3);
        assert!(top_entry(&Dn::parse("cn=x").unwrap()).is_err());
    }
}
