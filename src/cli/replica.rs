//! `entente replica`: how the members of a cluster stand to each other, and what becomes of one.

use super::conflicts::{self, ConflictsArgs};
use super::data::DataArgs;
use super::order::order;
use super::output::{CliError, Output};
use crate::schema::time::format_generalized_time;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::ExitCode;

/// Look at the members of the cluster, and manage them.
#[derive(clap::Args, Clone, Debug)]
pub struct ReplicaArgs {
    #[command(subcommand)]
    command: ReplicaCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum ReplicaCommand {
    #[command(about = "Look at changes that were lost because two were made at the same time, and decide them")]
    Conflicts(Box<ConflictsArgs>),
    /// Tell who is connected, what is on its way, who holds back what
    #[command(after_help = "Example:\n  entente replica status --data /var/lib/entente")]
    Status(DataArgs),
    /// Prove that the members hold the same: exit status 0 equal, 1 catching up, 2 different
    #[command(after_help = "Example:\n  entente replica verify --data /var/lib/entente")]
    Verify {
        #[command(flatten)]
        data: DataArgs,
        /// Seconds to wait for members that are catching up
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        wait: u64,
        /// Also reckon count and digest of each suffix here; reads every entry
        #[arg(long)]
        digests: bool,
    },
    /// Say where a member is reached, when it and the others have moved and cannot tell each other
    #[command(after_help = "Example:\n  entente replica address --data /var/lib/entente ldap3 ldap3.example.org:7636")]
    Address {
        #[command(flatten)]
        member: MemberArgs,
        /// HOST:PORT, one or more; holds until the member says itself where it is
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },
    /// Have a member leave for good; its changes stay
    ///
    /// A member that can be heard takes no further changes, hands over what it has and then leaves by itself. Of one that is
    /// gone the others agree on the last change that any of them holds.
    #[command(after_help = "Example:\n  entente replica retire --data /var/lib/entente ldap3")]
    Retire {
        #[command(flatten)]
        member: MemberArgs,
        /// Do not wait for it, though it was heard a moment ago
        #[arg(long)]
        now: bool,
    },
    /// Wait for a member no longer: others may forget what it has not seen
    ///
    /// Nothing is lost by it: when the member is back, it compares its content with the others', and what only it has is
    /// written again as new changes. That happens by itself when it connects, or with `resume`. A member that runs is
    /// back within a minute, so suspend one that is away; to keep a running one out, stop it, or retire it.
    #[command(after_help = "Example:\n  entente replica suspend --data /var/lib/entente ldap3")]
    Suspend(MemberArgs),
    /// Take a member back that was suspended or retired, with all that it wrote meanwhile
    #[command(after_help = "Example:\n  entente replica resume --data /var/lib/entente ldap3")]
    Resume(MemberArgs),
    /// What to do about this node's clock
    Clock {
        #[command(subcommand)]
        command: ClockCommand,
    },
    /// Make a member a supplier, a consumer (only reads) or a hub (only reads, and sends on)
    #[command(after_help = "Example:\n  entente replica set-role --data /var/lib/entente ldap3 consumer")]
    SetRole {
        #[command(flatten)]
        member: MemberArgs,
        /// The role
        #[arg(value_name = "ROLE", value_parser = ["supplier", "consumer", "hub"])]
        role: String,
    },
}

#[derive(clap::Subcommand, Clone, Debug)]
enum ClockCommand {
    /// Take this machine's clock for right: after it was set while the node ran, or where the node holds changes back since
    /// other members' clocks say something else
    ///
    /// From then on changes are stamped with it. What was stamped before keeps its stamps.
    #[command(after_help = "Example:\n  entente replica clock accept --data /var/lib/entente")]
    Accept(DataArgs),
    /// Begin a new epoch on all members: later changes are stamped with the right time, after changes that a wrong clock
    /// stamped in the future
    ///
    /// Stamps follow each other, so after changes of a clock that was ahead all later ones are stamped in the future too, until
    /// that time has come. What is stamped in the new epoch is newer than all before it. Set all clocks first; each supplier must
    /// be there, or suspended. Nothing that was stamped changes.
    #[command(after_help = "Example:\n  entente replica clock epoch --data /var/lib/entente")]
    Epoch(DataArgs),
}

#[derive(clap::Args, Clone, Debug)]
struct MemberArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Its name, its node id, or the beginning of that
    #[arg(value_name = "MEMBER")]
    member: String,
}

/// Runs the command.
///
/// # Errors
/// No node serves the data, or it refused.
pub fn run(args: &ReplicaArgs, output: &Output) -> Result<ExitCode, CliError> {
    match &args.command {
        ReplicaCommand::Conflicts(args) => conflicts::run(args, output),
        ReplicaCommand::Status(data) => {
            let answer = order(&data.config()?, &json!({ "order": "status" }))?;
            output.report(&answer, || status_text(&answer))?;
            Ok(ExitCode::SUCCESS)
        }
        ReplicaCommand::Verify { data, wait, digests } => {
            let wait_ms = wait.saturating_mul(1000);
            let answer = order(&data.config()?, &json!({ "order": "verify", "wait_ms": wait_ms, "digests": digests }))?;
            output.report(&answer, || verify_text(&answer))?;
            Ok(match text(&answer, "verdict") {
                "EQUAL" => ExitCode::SUCCESS,
                "DIFFERENT" => ExitCode::from(2),
                _ => ExitCode::from(1),
            })
        }
        ReplicaCommand::Address { member, addresses } => {
            let asked = json!({ "order": "set-addresses", "member": member.member, "addresses": addresses });
            let answer = order(&member.data.config()?, &asked)?;
            output.report(&answer, || format!("{} is dialled at {} now", member.member, addresses.join(" or ")))?;
            Ok(ExitCode::SUCCESS)
        }
        ReplicaCommand::Clock { command: ClockCommand::Accept(data) } => {
            let answer = order(&data.config()?, &json!({ "order": "clock-accept" }))?;
            let moved = answer.get("moved_ms").and_then(Value::as_i64).unwrap_or(0);
            output.report(&answer, || format!("changes are stamped with this machine's clock now ({moved:+} ms)"))?;
            Ok(ExitCode::SUCCESS)
        }
        ReplicaCommand::Clock { command: ClockCommand::Epoch(data) } => {
            let answer = order(&data.config()?, &json!({ "order": "clock-epoch" }))?;
            let epoch = number(&answer, "epoch").unwrap_or(0);
            output.report(&answer, || format!("changes are stamped in epoch {epoch} of the clock from now on"))?;
            Ok(ExitCode::SUCCESS)
        }
        ReplicaCommand::Retire { member, now } => set_state(member, "retired", *now, output),
        ReplicaCommand::Suspend(member) => set_state(member, "suspended", false, output),
        ReplicaCommand::Resume(member) => set_state(member, "active", false, output),
        ReplicaCommand::SetRole { member, role } => {
            let asked = json!({ "order": "set-role", "member": member.member, "role": role });
            let answer = order(&member.data.config()?, &asked)?;
            output.report(&answer, || format!("{} is a {role} now", member.member))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn set_state(member: &MemberArgs, state: &str, at_once: bool, output: &Output) -> Result<ExitCode, CliError> {
    let asked = json!({ "order": "set-state", "member": member.member, "state": state, "at_once": at_once });
    let answer = order(&member.data.config()?, &asked)?;
    output.report(&answer, || match state {
        "active" => format!("{} takes part again", member.member),
        "suspended" if answer.get("runs") == Some(&Value::Bool(true)) => format!(
            "{0} is suspended, but it runs: it takes no changes until the others have heard of it again, within a minute, and then takes \
             part as before, with all that it has. To keep it out, stop it first, or: entente replica retire {0}",
            member.member
        ),
        "suspended" => {
            format!("{} is suspended: nothing waits for it; it comes back by itself when it connects", member.member)
        }
        _ => format!("{} has left; its changes stay. Its machine can be switched off", member.member),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A list of texts.
fn words(value: &Value, name: &str) -> String {
    list(value, name).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// One line a suffix and member; then what differs, and what was repaired.
fn verify_text(answer: &Value) -> String {
    let mut lines = Vec::new();
    let members = list(answer, "members");
    for suffix in list(answer, "suffixes") {
        let name = text(suffix, "suffix");
        for member in members.iter().filter(|member| text(member, "suffix") == name) {
            lines.push(verdict_line(name, member));
            lines.extend(list(member, "differing").iter().map(|entry| format!("  differs: {}", entry_text(entry))));
        }
        if members.is_empty() {
            lines.push(format!("EQUAL {name} (there is no other member)"));
        }
        if let Some(entries) = number(suffix, "entries") {
            lines.push(format!("  here: {entries} entries, digest {}", text(suffix, "digest")));
        }
    }
    for repair in list(answer, "repaired") {
        let entries: Vec<String> = list(repair, "entries").iter().map(entry_text).collect();
        lines.push(format!(
            "repaired: differed from {} and were made equal: {}",
            text(repair, "with"),
            entries.join("; ")
        ));
    }
    let left: Vec<&str> = list(answer, "quarantined").iter().filter_map(Value::as_str).collect();
    if !left.is_empty() {
        lines.push(format!("still different after a repair, please report it: {}", left.join(" ")));
    }
    lines.join("\n")
}

fn entry_text(entry: &Value) -> String {
    match text(entry, "dn") {
        "" => format!("entryUUID {}, which is not shown here", text(entry, "uuid")),
        dn => format!("{dn} ({})", text(entry, "uuid")),
    }
}

fn verdict_line(suffix: &str, member: &Value) -> String {
    let mut line = format!("{} {suffix} {}", text(member, "verdict"), named(member));
    match text(member, "verdict") {
        "CATCHING UP" if member.get("connected") == Some(&Value::Bool(false)) => line.push_str(" (not connected)"),
        "CATCHING UP" => {
            let lacks = (number(member, "backlog").unwrap_or(0), number(member, "missing").unwrap_or(0));
            let _ = write!(line, " ({} changes on their way there, {} here", lacks.0, lacks.1);
            if let Some(age) = number(member, "backlog_age_ms") {
                let _ = write!(line, ", the oldest {}", age_text(age));
            }
            line.push(')');
        }
        _ => {}
    }
    if text(member, "state") == "suspended" {
        line.push_str(" (suspended: nothing waits for it)");
    }
    line
}

fn named(member: &Value) -> String {
    let id: String = text(member, "node").chars().take(8).collect();
    match text(member, "name") {
        "" => id,
        name => format!("{name} ({id})"),
    }
}

fn age_text(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{:.1} s", ms as f64 / 1000.0),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

fn status_text(answer: &Value) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "this node: {}, {} {}{}",
        named(answer),
        text(answer, "state"),
        text(answer, "role"),
        site_text(answer)
    );
    let _ = writeln!(out, "  writes: {}   origin: {}", text(answer, "writes"), text(answer, "origin"));
    if let Some(jumped) = answer.get("clock_jumped_ms").and_then(Value::as_i64) {
        let _ = writeln!(out, "  this machine's clock jumped by {jumped:+} ms, which changes' stamps do not follow");
    }
    if let Some(epoch) = number(answer, "clock_epoch").filter(|epoch| *epoch > 0) {
        let _ = writeln!(out, "  epoch of the clock: {epoch}");
    }
    let entries = number(answer, "entries").unwrap_or(0);
    let _ = writeln!(out, "  entries: {entries}   digest: {}", text(answer, "digest"));
    let addresses = words(answer, "addresses");
    let certificate = answer.get("certificate_ends_s").and_then(Value::as_i64).unwrap_or(0);
    let _ = writeln!(
        out,
        "  members dial it at: {}   certificate until {}, renewed by itself",
        if addresses.is_empty() { "nowhere, nobody was invited yet" } else { &addresses },
        format_generalized_time(certificate.saturating_mul(1000)),
    );
    if answer.get("leaving") == Some(&Value::Bool(true)) {
        let _ = writeln!(out, "  it was asked to leave, or to write no more, and hands over what it has");
    }
    if answer.get("filling_anew") == Some(&Value::Bool(true)) {
        let _ = writeln!(
            out,
            "  it held changes that nobody else takes, and takes the whole content anew; it serves the old one"
        );
    }
    let _ = writeln!(out, "  open conflicts: {}", conflicts_text(answer));
    let holders: Vec<_> = list(answer, "cut_held_by").iter().filter_map(Value::as_str).collect();
    if !holders.is_empty() {
        let _ = writeln!(out, "  the stable cut waits for: {}", holders.join(", "));
    }
    if let Some(exchange) = answer.get("exchange").filter(|exchange| !exchange.is_null()) {
        let total = number(exchange, "entries_total").map_or_else(|| "?".to_owned(), |total| total.to_string());
        let entries = number(exchange, "entries").unwrap_or(0);
        let _ = writeln!(out, "  exchanging whole states with {}: {entries} of {total}", text(exchange, "with"));
    }
    for member in list(answer, "members") {
        member_text(member, &mut out);
    }
    for alarm in list(answer, "alarms") {
        let _ = writeln!(out, "alarm: {}", text(alarm, "text"));
    }
    out.trim_end().to_owned()
}

/// Where a member stands, if it says so.
fn site_text(member: &Value) -> String {
    match text(member, "site") {
        "" => String::new(),
        site => format!(" at {site}"),
    }
}

/// How many of each kind.
fn conflicts_text(answer: &Value) -> String {
    let Some(counts) = answer.get("open_conflicts").and_then(Value::as_object).filter(|counts| !counts.is_empty())
    else {
        return "none".to_owned();
    };
    let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    format!("{} (entente replica conflicts)", counts.join(", "))
}

fn member_text(member: &Value, out: &mut String) {
    if text(member, "state") == "retired" {
        let _ = writeln!(out, "\n{}: retired", named(member));
        return;
    }
    let _ = writeln!(
        out,
        "\n{}: {} {}{}, {}",
        named(member),
        text(member, "state"),
        text(member, "role"),
        site_text(member),
        text(member, "verdict")
    );
    match number(member, "connected_ms") {
        Some(since) => {
            let _ = write!(out, "  connected for {}", age_text(since));
            if let Some(round_trip) = number(member, "round_trip_ms") {
                let _ = write!(out, ", round trip {round_trip} ms");
            }
            if let Some(offset) = member.get("clock_offset_ms").and_then(Value::as_i64) {
                let _ = write!(out, ", its clock {offset:+} ms");
            }
            if let Some(rate) = member.get("apply_rate").and_then(Value::as_f64) {
                let _ = write!(out, ", {rate} changes/s from it");
            }
            out.push('\n');
            if let (Some(sent), Some(received)) = (number(member, "sent_bytes"), number(member, "received_bytes")) {
                let compressed = member.get("compressed") == Some(&Value::Bool(true));
                let how = if compressed { ", compressed" } else { "" };
                let _ = writeln!(out, "  sent {}{how}, received {}", bytes_text(sent), bytes_text(received));
            }
        }
        None => {
            let why = match text(member, "unreachable") {
                "" => String::new(),
                why => format!(": {why}"),
            };
            let heard =
                number(member, "heard_ms_ago").map_or_else(String::new, |ago| format!(", heard {} ago", age_text(ago)));
            let _ = writeln!(out, "  not connected{heard}{why}");
        }
    }
    for (name, what) in [("backlog", "it lacks"), ("missing", "lacking here")] {
        let Some(counts) = member.get(name).and_then(Value::as_object).filter(|counts| !counts.is_empty()) else {
            continue;
        };
        let counts: Vec<String> = counts.iter().map(|(origin, count)| format!("{count} of origin {origin}")).collect();
        let _ = write!(out, "  {what}: {}", counts.join(", "));
        let age = if name == "backlog" { "backlog_age_ms" } else { "missing_age_ms" };
        if let Some(age) = number(member, age) {
            let _ = write!(out, "; the oldest for {}", age_text(age));
        }
        out.push('\n');
    }
    let origins = list(member, "origins").len();
    match text(member, "origin") {
        "" if origins == 0 => {}
        "" => {
            let _ = writeln!(out, "  origins: {}", words(member, "origins"));
        }
        origin => {
            let before = if origins > 1 { format!(", and {} before", origins - 1) } else { String::new() };
            let _ = writeln!(out, "  origin: {origin}{before}");
        }
    }
    let addresses = words(member, "addresses");
    if !addresses.is_empty() {
        let _ = writeln!(out, "  known at: {addresses}");
    }
    if member.get("holds_cut") == Some(&Value::Bool(true)) {
        let _ = writeln!(out, "  holds back the stable cut");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_one_line_a_suffix_and_member() {
        let [b, other] = ["0123456789abcdef", "fedcba9876543210"];
        let line = |suffix: &str, node: &str, name: &str, verdict: &str| {
            json!({ "suffix": suffix, "node": node, "name": name, "verdict": verdict, "connected": true, "backlog": 3,
                "backlog_age_ms": 1500 })
        };
        let mut different = line("dc=c", b, "b", "DIFFERENT");
        different["differing"] = json!([{ "dn": "uid=ann,dc=c", "uuid": "u1" }, { "dn": "", "uuid": "u2" }]);
        let answer = json!({
            "verdict": "DIFFERENT",
            "suffixes": [{ "suffix": "dc=a" }, { "suffix": "dc=b" }, { "suffix": "dc=c", "entries": 7, "digest": "00ff" }],
            "members": [
                line("dc=a", b, "b", "EQUAL"), line("dc=a", other, "", "CATCHING UP"),
                line("dc=b", b, "b", "EQUAL"), line("dc=b", other, "", "CATCHING UP"), different,
            ],
            "repaired": [{ "with": "b", "entries": [{ "dn": "uid=bob,dc=c", "uuid": "u3" }] }],
        });
        assert_eq!(
            verify_text(&answer),
            "EQUAL dc=a b (01234567)\nCATCHING UP dc=a fedcba98 (3 changes on their way there, 0 here, the oldest 1.5 s)\n\
             EQUAL dc=b b (01234567)\nCATCHING UP dc=b fedcba98 (3 changes on their way there, 0 here, the oldest 1.5 s)\n\
             DIFFERENT dc=c b (01234567)\n  differs: uid=ann,dc=c (u1)\n  differs: entryUUID u2, which is not shown here\n  \
             here: 7 entries, digest 00ff\nrepaired: differed from b and were made equal: uid=bob,dc=c (u3)"
        );
    }
}
