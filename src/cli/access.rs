//! `entente access`: who may what, and which rule says so; rules of other servers.

mod import;

use super::data::DataArgs;
use super::output::{CliError, Output};
use crate::model::log_text::is_unprintable;
use crate::model::{Dn, escape_for_log};
use crate::operation::access::{AccessQuestion, Explained, explain_access, requester_named};
use crate::policy::access::{Explanation, LocalTime, Outcome};
use crate::policy::aci::{Day, Effect};
use crate::policy::requester::{Authentication, Requester};
use crate::policy::rights::Right;
use serde_json::json;
use std::net::IpAddr;
use std::process::ExitCode;

/// Look at what access rules come to, and bring in those of another server.
#[derive(clap::Args, Clone, Debug)]
pub struct AccessArgs {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum AccessCommand {
    #[command(about = "Say which rule decides what somebody may do with an entry, and why the others do not")]
    Explain(ExplainArgs),
    #[command(about = "Put OpenLDAP's access rules into ACI that mean the same")]
    Import(import::ImportArgs),
}

/// Say which rule decides, and for every other rule which part of it does not fit.
///
/// Reads the data beside a serving node; nothing is changed. Without --right all rights are explained; without --attribute
/// those on the entry as a whole (for write: renaming it; for read: seeing that it is there). An entry that is not there is
/// explained as one about to be added. Of cn=monitor, cn=changelog and their like reading is explained, of what is below
/// cn=conflicts, cn=deleted and cn=lost+found by the rules for the entry that it is about. The connection is taken as a simple bind over a local socket unless said otherwise.
///
/// Exit status: 0 everything asked about is allowed, 1 something is denied.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente access explain --data ./data --as uid=ann,ou=people,dc=example,dc=com --on uid=bob,ou=people,dc=example,dc=com --attribute mobile\n  \
    entente access explain --data ./data --as '' --on dc=example,dc=com --right read --ip 192.0.2.7 --ssf 0\n  \
    entente access explain --data ./data --as uid=ann,ou=people,dc=example,dc=com --on uid=bob,ou=people,dc=example,dc=com --to ou=west,dc=example,dc=com")]
struct ExplainArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Who asks; empty for somebody who has not authenticated
    #[arg(long = "as", value_name = "DN")]
    subject: String,
    /// The entry
    #[arg(long, value_name = "DN")]
    on: String,
    /// The attribute; may be given more than once
    #[arg(long = "attribute", value_name = "NAME")]
    attributes: Vec<String>,
    /// Explain whether the entry may be moved to this superior, instead of rights
    #[arg(long, value_name = "DN", conflicts_with_all = ["attributes", "rights"])]
    to: Option<String>,
    /// The right; may be given more than once
    #[arg(long = "right", value_name = "RIGHT", value_parser = right)]
    rights: Vec<Right>,
    /// The address that the connection comes from
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// The name of the host that the connection comes from, for rules with dns; unknown if not said
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The strength of the connection's protection in bits
    #[arg(long, value_name = "BITS", default_value_t = 256)]
    ssf: u32,
    /// How the requester has authenticated, as rules say it: simple, ssl (a client's certificate), or sasl and the name of a
    /// mechanism, as "sasl EXTERNAL"
    #[arg(long, value_name = "METHOD", default_value = "simple", value_parser = authmethod)]
    authmethod: Authentication,
    /// The time of day (UTC) as HHMM; now if not said
    #[arg(long, value_name = "HHMM", value_parser = minutes)]
    time: Option<u16>,
    /// The day (UTC): sun, mon, tue, wed, thu, fri or sat; today if not said
    #[arg(long, value_name = "DAY", value_parser = day)]
    day: Option<Day>,
}

fn right(word: &str) -> Result<Right, String> {
    let found = Right::ALL.into_iter().find(|right| right.word().eq_ignore_ascii_case(word));
    found.ok_or_else(|| format!("one of {}", Right::ALL.map(Right::word).join(", ")))
}

/// `sasl` may be left out before a mechanism (RFC 4422 3.1: capitals, digits, hyphens and underscores).
fn authmethod(text: &str) -> Result<Authentication, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mechanism = match words.as_slice() {
        [simple] if simple.eq_ignore_ascii_case("simple") => return Ok(Authentication::Simple),
        [ssl] if ssl.eq_ignore_ascii_case("ssl") => return Ok(Authentication::ClientCertificate),
        [none] if none.eq_ignore_ascii_case("none") => {
            return Err("nobody has authenticated where --as is empty".to_owned());
        }
        [sasl, mechanism] if sasl.eq_ignore_ascii_case("sasl") => mechanism,
        [sasl] if sasl.eq_ignore_ascii_case("sasl") => "",
        [mechanism] => mechanism,
        _ => "",
    };
    let is_meant = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if mechanism.is_empty() || mechanism.len() > 20 || !mechanism.bytes().all(is_meant) {
        return Err("simple, ssl, or sasl and the name of a mechanism, as \"sasl EXTERNAL\"".to_owned());
    }
    Ok(Authentication::Sasl(mechanism.to_ascii_uppercase()))
}

fn minutes(text: &str) -> Result<u16, String> {
    let digits = text.get(..2).zip(text.get(2..)).filter(|_| text.len() == 4);
    let parsed = digits.and_then(|(hours, minutes)| Some((hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?)));
    match parsed {
        Some((hours, minutes)) if hours < 24 && minutes < 60 => Ok(hours * 60 + minutes),
        _ => Err("four digits, such as 1830".to_owned()),
    }
}

fn day(word: &str) -> Result<Day, String> {
    let found = Day::ALL.into_iter().find(|day| day.word().eq_ignore_ascii_case(word));
    found.ok_or_else(|| format!("one of {}", Day::ALL.map(Day::word).join(", ")))
}

/// Runs the command.
///
/// # Errors
/// The data cannot be read; requester, entry or attribute are not there.
pub fn run(args: AccessArgs, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        AccessCommand::Explain(args) => explain(&args, output),
        AccessCommand::Import(args) => import::run(&args, output),
    }
}

fn parsed(dn: &str) -> Result<Dn, CliError> {
    Dn::parse(dn).map_err(|error| CliError::new(format!("{} is no DN: {error}", escape_for_log(dn))))
}

fn explain(args: &ExplainArgs, output: &Output) -> Result<ExitCode, CliError> {
    let opened = args.data.open_to_read()?;
    let refused = |error: crate::operation::OperationError| CliError::new(error.diagnostic.to_string());
    let mut connection = Requester::anonymous(args.ip, args.ssf, args.ip.is_none_or(|ip| ip.is_loopback()));
    connection.authentication = args.authmethod.clone();
    connection.host = args.host.as_ref().map(|host| host.trim_end_matches('.').to_ascii_lowercase().into());
    let requester = requester_named(&opened.dit, &parsed(&args.subject)?, &connection).map_err(refused)?;
    let now = LocalTime::from_unix_ms(opened.dit.clock().wall_ms(), 0);
    let time = LocalTime { minute_of_day: args.time.unwrap_or(now.minute_of_day), day: args.day.unwrap_or(now.day) };
    let on = parsed(&args.on)?;
    let superior = args.to.as_deref().map(parsed).transpose()?;
    let rights = if args.rights.is_empty() { Right::ALL.to_vec() } else { args.rights.clone() };
    let mut is_allowed = true;
    let attributes: Vec<Option<&str>> = match args.attributes.as_slice() {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    for attribute in attributes {
        let asked = AccessQuestion {
            requester: requester.clone(),
            entry: &on,
            attribute,
            rights: &rights,
            moved_to: superior.as_ref(),
            time,
        };
        let explained = explain_access(&opened.dit, &asked).map_err(refused)?;
        is_allowed &= explained.explanations.iter().all(|explanation| is_given(&explained, explanation));
        tell(&requester, (&args.on, args.to.as_deref()), attribute, &explained, output)?;
    }
    Ok(if is_allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(
    requester: &Requester,
    (on, to): (&str, Option<&str>),
    attribute: Option<&str>,
    explained: &Explained,
    output: &Output,
) -> Result<(), CliError> {
    let what = match (attribute, to) {
        (Some(attribute), _) => format!("{attribute} of {on}"),
        (None, Some(to)) => format!("a move of {on} to {to}"),
        (None, None) => on.to_owned(),
    };
    let there = if explained.is_there { "" } else { " (which is not there, as if it were about to be added)" };
    let who = requester.dn().unwrap_or("anonymous");
    let instead = explained
        .instead
        .as_ref()
        .map(|(suffix, attribute)| format!(" (told to whom the rules let read {attribute} of {suffix})"));
    let there = instead.as_deref().unwrap_or(there);
    let value = json!({
        "as": requester.dn().unwrap_or_default(),
        "on": on,
        "to": to,
        "attribute": attribute,
        "is_there": explained.is_there,
        "is_seen": explained.is_seen,
        "decided_on": explained.instead.as_ref().map(|(suffix, attribute)| json!({"on": suffix, "attribute": attribute})),
        "rights": explained.explanations.iter().map(|told| as_json(told, is_given(explained, told))).collect::<Vec<_>>(),
    });
    output.report(&value, || {
        let mut text = format!("{} and {}{there}:\n", printable(who), printable(&what));
        if let Some(is_seen) = explained.is_seen {
            let seen = if is_seen {
                "seen (v of get effective rights)"
            } else {
                "not seen, since no rule gives anything of it"
            };
            text.push_str(&format!(
                "the entry as a whole: {seen}; rights to an attribute are asked with --attribute NAME\n"
            ));
        }
        for explanation in &explained.explanations {
            let is_seen = is_given(explained, explanation) && !explanation.is_allowed();
            let mut explanation = explanation.clone();
            for rule in &mut explanation.rules {
                for part in [&mut rule.holder, &mut rule.name, &mut rule.detail] {
                    *part = printable(part);
                }
            }
            let told = explanation.to_string();
            let told = if is_seen {
                told.replacen(
                    "denied, nothing allows it",
                    "the entry is seen, since rules give rights to its attributes",
                    1,
                )
            } else {
                told
            };
            text.push_str(&told);
            if to.is_some() && explanation.outcome == Outcome::NothingAllows {
                text.push_str(MOVE_WANTS);
            }
        }
        text.trim_end().to_owned()
    })
}

/// What gives a move.
const MOVE_WANTS: &str = "  a move wants a rule with moddn and target_from or target_to that fits; or moddn, or delete, where the \
    entry is, and moddn, or add, where it will be\n";

/// Names and rules come from the directory: none of them begins a line of its own or acts on the terminal.
fn printable(text: &str) -> String {
    let shown = |character: char| match is_unprintable(character) {
        true => format!("\\u{:04x}", u32::from(character)),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Of an entry as a whole, reading means seeing that it is there.
fn is_given(explained: &Explained, explanation: &Explanation) -> bool {
    explanation.is_allowed()
        || (explanation.right == Right::Read
            && explained.is_seen == Some(true)
            && explanation.outcome == Outcome::NothingAllows)
}

fn as_json(explanation: &Explanation, is_given: bool) -> serde_json::Value {
    let (reason, index) = match explanation.outcome {
        Outcome::Administrator => ("administrator", None),
        Outcome::AllowedBy(index) => ("rule", Some(index)),
        Outcome::DeniedBy(index) => ("rule", Some(index)),
        Outcome::NothingAllows => ("nothing allows it", None),
    };
    let rules = explanation.rules.iter().map(|rule| {
        json!({
            "holder": rule.holder,
            "name": rule.name,
            "effect": if rule.effect == Effect::Allow { "allow" } else { "deny" },
            "verdict": rule.verdict.text(),
            "detail": rule.detail,
            "rule": rule.text,
        })
    });
    json!({
        "right": explanation.right.word(),
        "allowed": is_given,
        "decided_by": reason,
        "deciding_rule": index,
        "rules": rules.collect::<Vec<_>>(),
    })
}
