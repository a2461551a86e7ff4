//! `entente undelete`: a deleted entry comes back, over LDAP.

use super::client::{self, ConnectArgs, Connection};
use super::output::{CliError, Output};
use crate::dit::CLUSTER_DN;
use crate::model::{Dn, EntryUuid};
use ldap3_proto::proto::{
    LdapDerefAliases, LdapFilter, LdapModify, LdapModifyRequest, LdapModifyType, LdapOp, LdapPartialAttribute,
    LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope,
};
use serde_json::json;
use std::process::ExitCode;

/// The entry above the deleted ones.
const DELETED_DN: &str = "cn=deleted";

/// Bring a deleted entry back, with its entryUUID, what it had, and its places in groups.
///
/// Deleted entries are kept for thirty days. Several may have had one name: then the entryUUID says which.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente undelete --data /var/lib/entente --list\n  \
    entente undelete --data /var/lib/entente uid=ann,ou=people,dc=example,dc=com\n  \
    entente undelete --data /var/lib/entente 018bcfe5-6800-7abc-8def-0123456789ab --to uid=ann2,ou=people,dc=example,dc=com")]
pub struct UndeleteArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Its entryUUID, or the DN that it had
    #[arg(value_name = "UUID|DN", required_unless_present = "list")]
    entry: Option<String>,
    /// The DN that it shall have
    #[arg(long, value_name = "DN")]
    to: Option<String>,
    /// Show what could be brought back; with a DN, what had that name
    #[arg(long, conflicts_with = "to")]
    list: bool,
}

/// Runs the command.
///
/// # Errors
/// The server cannot be asked, no such entry is kept, its superior is gone, or its name is taken.
pub fn run(args: &UndeleteArgs, output: &Output) -> Result<ExitCode, CliError> {
    let target = args.connect.target()?;
    let filter = match &args.entry {
        None => LdapFilter::Present("isDeleted".to_owned()),
        Some(entry) => match entry.parse::<EntryUuid>() {
            Ok(uuid) => LdapFilter::Equality("entryUUID".to_owned(), uuid.to_string()),
            Err(_) => {
                Dn::parse(entry)
                    .map_err(|error| CliError::new(format!("{entry} is no entryUUID and no DN: {error}")))?;
                LdapFilter::Equality("deletedEntry".to_owned(), entry.clone())
            }
        },
    };
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let mut found: Vec<LdapSearchResultEntry> = Vec::new();
        let request = LdapSearchRequest {
            base: DELETED_DN.to_owned(),
            scope: LdapSearchScope::OneLevel,
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter,
            attrs: ["entryUUID", "deletedEntry", "deletedTime", "deletedBy"].map(str::to_owned).to_vec(),
        };
        let result = connection
            .search(request, |answer| {
                let LdapOp::SearchResultEntry(entry) = answer else { return Ok(()) };
                if args.list {
                    // What the cluster keeps about itself (invitations) is nobody's to bring back; asked for by name, it is shown.
                    return if args.entry.is_none() && is_of_cluster(&entry) { Ok(()) } else { print(&entry, output) };
                }
                found.push(entry);
                Ok(())
            })
            .await?;
        client::expect_success(&result)?;
        if args.list {
            connection.close().await;
            output.flush()?;
            return Ok(ExitCode::SUCCESS);
        }
        let [entry] = found.as_slice() else {
            return Err(CliError::new(match found.len() {
                0 => "no such deleted entry is kept; `entente undelete --list` shows those that are".to_owned(),
                count => {
                    format!("{count} deleted entries had this name; say which by its entryUUID (--list shows them)")
                }
            }));
        };
        let change = |operation, name: &str, values: Vec<Vec<u8>>| LdapModify {
            operation,
            modification: LdapPartialAttribute { atype: name.to_owned(), vals: values },
        };
        let mut changes = vec![change(LdapModifyType::Delete, "isDeleted", Vec::new())];
        if let Some(to) = &args.to {
            changes.push(change(LdapModifyType::Replace, "distinguishedName", vec![to.clone().into_bytes()]));
        }
        let request = LdapOp::ModifyRequest(LdapModifyRequest { dn: entry.dn.clone(), changes });
        client::expect_success(&connection.change(request).await?)?;
        connection.close().await;
        let dn = args.to.clone().unwrap_or_else(|| text(entry, "deletedEntry"));
        let value = json!({ "dn": dn, "entryUUID": text(entry, "entryUUID") });
        output.report(&value, || format!("{dn} is back"))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn is_of_cluster(entry: &LdapSearchResultEntry) -> bool {
    text(entry, "deletedEntry").to_ascii_lowercase().ends_with(&format!(",{CLUSTER_DN}"))
}

fn print(entry: &LdapSearchResultEntry, output: &Output) -> Result<(), CliError> {
    let [uuid, dn, time, who] = ["entryUUID", "deletedEntry", "deletedTime", "deletedBy"].map(|name| text(entry, name));
    if output.is_json() {
        let value = json!({ "entryUUID": uuid, "dn": dn, "deleted": time, "by": who });
        return output.line(&value.to_string());
    }
    let by = if who.is_empty() { String::new() } else { format!(" by {who}") };
    output.line(&crate::model::escape_for_log(&format!("{uuid}  {dn}  deleted {time}{by}")).to_string())
}

fn text(entry: &LdapSearchResultEntry, name: &str) -> String {
    let found = entry.attributes.iter().find(|attribute| attribute.atype.eq_ignore_ascii_case(name));
    let value = found.and_then(|attribute| attribute.vals.first());
    value.map_or_else(String::new, |value| String::from_utf8_lossy(value).into_owned())
}
