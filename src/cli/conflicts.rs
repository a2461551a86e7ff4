//! `entente replica conflicts`: what concurrent changes have cost, over LDAP.

use super::client::{self, ConnectArgs, Connection};
use super::output::{CliError, Output};
use crate::model::ResultCode;
use ldap3_proto::proto::{
    LdapDerefAliases, LdapFilter, LdapModify, LdapModifyRequest, LdapModifyType, LdapOp, LdapPartialAttribute,
    LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope,
};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::process::ExitCode;

/// The entry above all conflicts.
const CONFLICTS_DN: &str = "cn=conflicts";

/// Look at changes that were lost because two were made at the same time, and decide them.
///
/// Of two changes of one value made on two members one is seen afterwards. The other one is kept here, with who wrote
/// it: it can be restored, or the conflict dismissed. Both hold on all members. So it is with a move that is not made
/// because it would close a circle. Names that two entries claim, deleted entries that others stand below, entries that
/// merged changes made break the schema, and entries whose superior is not here are listed too; they go when their cause
/// goes. `show` says what can be done.
#[derive(clap::Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Without a command: list.\n\nExample:\n  entente replica conflicts --data /var/lib/entente")]
pub struct ConflictsArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: Option<ConflictsCommand>,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum ConflictsCommand {
    /// List the conflicts that wait for a decision
    #[command(after_help = "Example:\n  entente replica conflicts list --data /var/lib/entente")]
    List {
        #[command(flatten)]
        connect: ConnectArgs,
        /// Those that were decided too
        #[arg(long)]
        all: bool,
    },
    /// Show both sides of one
    #[command(after_help = "Example:\n  entente replica conflicts show --data /var/lib/entente 18bcfe56800-0025a768")]
    Show(OneArgs),
    /// Do again what the losing side had done
    #[command(
        after_help = "Example:\n  entente replica conflicts restore --data /var/lib/entente 18bcfe56800-0025a768"
    )]
    Restore(OneArgs),
    /// Leave it as it is, and list it no more
    #[command(
        after_help = "Example:\n  entente replica conflicts dismiss --data /var/lib/entente 18bcfe56800-0025a768"
    )]
    Dismiss(OneArgs),
}

#[derive(clap::Args, Clone, Debug)]
struct OneArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Its name, as the list shows it
    #[arg(value_name = "ID")]
    id: String,
}

/// Runs the command.
///
/// # Errors
/// The server cannot be asked, there is no such conflict, or the losing side cannot be done again.
pub fn run(args: &ConflictsArgs, output: &Output) -> Result<ExitCode, CliError> {
    match &args.command {
        None => list(&args.connect, false, output),
        Some(ConflictsCommand::List { connect, all }) => list(connect, *all, output),
        Some(ConflictsCommand::Show(one)) => show(one, output),
        Some(ConflictsCommand::Restore(one)) => decide(one, "restored", output),
        Some(ConflictsCommand::Dismiss(one)) => decide(one, "dismissed", output),
    }
}

fn list(connect: &ConnectArgs, all: bool, output: &Output) -> Result<ExitCode, CliError> {
    let target = connect.target()?;
    let filter = if all {
        LdapFilter::Present("conflictKind".to_owned())
    } else {
        LdapFilter::Equality("conflictState".to_owned(), "open".to_owned())
    };
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let mut count = 0_u64;
        let request = search(CONFLICTS_DN, LdapSearchScope::OneLevel, filter);
        let result = connection
            .search(request, |answer| {
                let LdapOp::SearchResultEntry(entry) = answer else { return Ok(()) };
                count += 1;
                if output.is_json() {
                    return output.line(&as_json(&entry).to_string());
                }
                output.line(&line_of(&entry))
            })
            .await?;
        client::expect_success(&result)?;
        let mut untold = Vec::new();
        let top = search(CONFLICTS_DN, LdapSearchScope::Base, LdapFilter::Present("objectClass".to_owned()));
        let result = connection
            .search(top, |answer| {
                if let LdapOp::SearchResultEntry(entry) = answer {
                    untold = untold_of(&entry);
                }
                Ok(())
            })
            .await?;
        client::expect_success(&result)?;
        connection.close().await;
        if count == 0 && !output.is_json() {
            output.line(if all { "there are no conflicts" } else { "no conflict waits for a decision" })?;
        }
        for line in untold {
            output.line(&if output.is_json() { json!({ "untold": line }).to_string() } else { line })?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What cannot be said, by the entry above the conflicts.
fn untold_of(entry: &LdapSearchResultEntry) -> Vec<String> {
    let texts = values(entry, "description").iter().map(|value| String::from_utf8_lossy(value).into_owned());
    texts.filter(|text| text.starts_with("Not judged here")).collect()
}

fn show(one: &OneArgs, output: &Output) -> Result<ExitCode, CliError> {
    let target = one.connect.target()?;
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let mut found = None;
        let request = search(&dn_of(&one.id)?, LdapSearchScope::Base, LdapFilter::Present("objectClass".to_owned()));
        let result = connection
            .search(request, |answer| {
                if let LdapOp::SearchResultEntry(entry) = answer {
                    found = Some(entry);
                }
                Ok(())
            })
            .await?;
        if client::result_code(&result) != ResultCode::NO_SUCH_OBJECT {
            client::expect_success(&result)?;
        }
        connection.close().await;
        let entry = found.ok_or_else(|| {
            CliError::new(format!(
                "there is no conflict {}, or no more: what follows from the data goes when its cause goes. `entente replica \
                 conflicts list --all` shows all",
                one.id
            ))
        })?;
        output.report(&as_json(&entry), || both_sides(&entry))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn decide(one: &OneArgs, state: &str, output: &Output) -> Result<ExitCode, CliError> {
    let target = one.connect.target()?;
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let request = LdapOp::ModifyRequest(LdapModifyRequest {
            dn: dn_of(&one.id)?,
            changes: vec![LdapModify {
                operation: LdapModifyType::Replace,
                modification: LdapPartialAttribute {
                    atype: "conflictState".to_owned(),
                    vals: vec![state.as_bytes().to_vec()],
                },
            }],
        });
        client::expect_success(&connection.change(request).await?)?;
        connection.close().await;
        output.report(&json!({ "id": one.id, "state": state }), || format!("{}: {state}", one.id))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The name of its entry; an ID is letters, digits, dots and hyphens.
fn dn_of(id: &str) -> Result<String, CliError> {
    if id.is_empty() || !id.chars().all(|letter| letter.is_ascii_alphanumeric() || "-.".contains(letter)) {
        return Err(CliError::new(format!(
            "{id} is no name of a conflict; `entente replica conflicts list` shows them"
        )));
    }
    Ok(format!("cn={id},{CONFLICTS_DN}"))
}

fn search(base: &str, scope: LdapSearchScope, filter: LdapFilter) -> LdapSearchRequest {
    LdapSearchRequest {
        base: base.to_owned(),
        scope,
        aliases: LdapDerefAliases::Never,
        sizelimit: 0,
        timelimit: 0,
        typesonly: false,
        filter,
        attrs: Vec::new(),
    }
}

fn values<'e>(entry: &'e LdapSearchResultEntry, name: &str) -> &'e [Vec<u8>] {
    let found = entry.attributes.iter().find(|attribute| attribute.atype.eq_ignore_ascii_case(name));
    found.map_or(&[], |attribute| attribute.vals.as_slice())
}

fn text(entry: &LdapSearchResultEntry, name: &str) -> String {
    let texts: Vec<String> = values(entry, name).iter().map(|value| readable(value)).collect();
    texts.join("; ")
}

/// A value for people: text without surprises, or how many bytes there are.
fn readable(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if text.chars().count() <= 200 => crate::model::escape_for_log(text).to_string(),
        _ => format!("({} bytes)", value.len()),
    }
}

/// What one side did, in a few words.
fn side(entry: &LdapSearchResultEntry, which: &str) -> String {
    let value = text(entry, &format!("{which}Value"));
    match text(entry, &format!("{which}Change")).as_str() {
        "set" => value,
        "cleared" => "nothing".to_owned(),
        "removed" => format!("without {value}"),
        "renamed" => format!("named {value}"),
        "moved" => format!("below {value}"),
        "named" => value,
        "deleted" => "deleted".to_owned(),
        "in-the-way" => format!("{value} in its way"),
        _ => "(not kept: secret or too large)".to_owned(),
    }
}

fn line_of(entry: &LdapSearchResultEntry) -> String {
    let (id, name) = (text(entry, "cn"), text(entry, "conflictEntry"));
    let kind = text(entry, "conflictKind");
    if !is_of_two_sides(&kind) {
        let state = text(entry, "conflictState");
        let state = if state == "open" { String::new() } else { format!("  ({state})") };
        return format!("{id}  {name}: {}{state}", text(entry, "description"));
    }
    let mut line = format!("{id}  {name}");
    let attribute = text(entry, "conflictAttribute");
    if !attribute.is_empty() {
        let _ = write!(line, "  {attribute}");
    }
    let _ = write!(line, ": lost {}, shown {}", side(entry, "losing"), side(entry, "winning"));
    let state = text(entry, "conflictState");
    if state != "open" {
        let _ = write!(line, "  ({state})");
    }
    line
}

fn both_sides(entry: &LdapSearchResultEntry) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<12}{value}");
        }
    };
    line("conflict", text(entry, "cn"));
    line("state", text(entry, "conflictState"));
    line("entry", text(entry, "conflictEntry"));
    line("attribute", text(entry, "conflictAttribute"));
    line("rule", text(entry, "description"));
    let kind = text(entry, "conflictKind");
    if is_of_two_sides(&kind) || is_of_a_name(&kind) {
        for (name, which) in [("lost", "losing"), ("shown", "winning")] {
            line(name, side(entry, which));
            line("  entryUUID", uuid_of(entry, which));
            line("  by", text(entry, &format!("{which}Requester")));
            line("  at", text(entry, &format!("{which}Time")));
            line("  change", text(entry, &format!("{which}CSN")));
        }
    }
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12}{value}");
    };
    line("what to do", format!("{}; or dismiss it", text(entry, "conflictRemedy")));
    out.truncate(out.trim_end().len());
    out
}

/// Whether one change stands against another.
fn is_of_two_sides(kind: &str) -> bool {
    ["lost-update", "skipped-move"].contains(&kind)
}

/// Whether two entries were given one name.
fn is_of_a_name(kind: &str) -> bool {
    ["name-loser", "duplicate"].contains(&kind)
}

/// Of two entries of one name, which one a side is.
fn uuid_of(entry: &LdapSearchResultEntry, which: &str) -> String {
    match which {
        _ if !is_of_a_name(&text(entry, "conflictKind")) => String::new(),
        "losing" => text(entry, "conflictEntryUUID"),
        _ => text(entry, "winningEntryUUID"),
    }
}

fn as_json(entry: &LdapSearchResultEntry) -> Value {
    let mut map = Map::new();
    for (field, name) in [
        ("id", "cn"),
        ("state", "conflictState"),
        ("kind", "conflictKind"),
        ("rule", "conflictRule"),
        ("entry", "conflictEntry"),
        ("entryUUID", "conflictEntryUUID"),
        ("attribute", "conflictAttribute"),
        ("description", "description"),
        ("remedy", "conflictRemedy"),
    ] {
        if let Some(value) = values(entry, name).first() {
            map.insert(field.to_owned(), client::text_or_base64(value));
        }
    }
    for (field, which) in [("lost", "losing"), ("shown", "winning")] {
        if values(entry, &format!("{which}Change")).is_empty() {
            continue;
        }
        let one = |name: &str| {
            values(entry, &format!("{which}{name}")).first().map_or(Value::Null, |value| client::text_or_base64(value))
        };
        let all: Vec<Value> =
            values(entry, &format!("{which}Value")).iter().map(|value| client::text_or_base64(value)).collect();
        let mut side = json!({
            "change": one("Change"), "values": all, "requester": one("Requester"), "time": one("Time"), "csn": one("CSN"),
        });
        if let (Value::Object(side), uuid) = (&mut side, uuid_of(entry, which))
            && !uuid.is_empty()
        {
            side.insert("entryUUID".to_owned(), Value::String(uuid));
        }
        map.insert(field.to_owned(), side);
    }
    Value::Object(map)
}
