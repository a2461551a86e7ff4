//! `entente access import`: access rules of another server, as ACI.

use crate::cli::data::DataArgs;
use crate::cli::output::{CliError, Output};
use crate::model::ldif::{LdifBody, LdifChange, LdifRecord, LdifWriter};
use crate::model::{Attribute, AttributeDescription, Dn, Modification, ModificationKind, escape_for_log};
use crate::policy::slapd_access::{Problem, Translation, translate};
use crate::schema::Schema;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Put OpenLDAP's access rules into ACI that mean the same, as LDIF to give to: entente modify.
///
/// FILE is slapd.conf, or LDIF of cn=config (slapcat -n 0). The rules are printed as one change of the suffix entry, which
/// replaces the rules that it holds; entries below are to hold none. Nothing is written. What slapd's ordered rules give is
/// computed for each kind of place, attribute and requester, so that the ACI need no order.
///
/// What ACI cannot say exactly is refused with its line. With --narrow the rest is printed all the same, with what was refused
/// as comments: nobody gets more than slapd gave, somebody may get less. Rules that keep somebody from logging in (auth) are
/// refused too, for no rule here does; --open-logins takes them for meaning nothing.
///
/// Exit status: 0 the rules mean the same, 1 something is refused (with --narrow it is printed nevertheless).
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente access import /etc/ldap/slapd.conf > rules.ldif\n  \
    slapcat -n 0 > config.ldif; entente access import config.ldif --suffix dc=example,dc=com | entente modify --data ./data")]
pub(super) struct ImportArgs {
    /// slapd.conf, or LDIF of cn=config
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The suffix whose rules are meant; needed where there are several
    #[arg(long, value_name = "DN")]
    suffix: Option<String>,
    /// Print what can be said though something is refused; it gives less than slapd gave
    #[arg(long)]
    narrow: bool,
    /// Take rules that keep somebody from logging in for meaning nothing
    #[arg(long)]
    open_logins: bool,
    #[command(flatten)]
    data: DataArgs,
}

/// Runs the command.
///
/// # Errors
/// The file cannot be read or understood; something is refused and `--narrow` was not given.
pub(super) fn run(args: &ImportArgs, output: &Output) -> Result<ExitCode, CliError> {
    let text = std::fs::read_to_string(&args.file).map_err(|error| CliError::file(&args.file, &error))?;
    let suffix = match &args.suffix {
        Some(text) => Some(
            Dn::parse(text).map_err(|error| CliError::new(format!("{} is no DN: {error}", escape_for_log(text))))?,
        ),
        None => None,
    };
    let has_data = args.data.data.is_some() || args.data.config.is_some();
    let translated = if has_data {
        let opened = args.data.open_to_read()?;
        let snapshot = opened.dit.read()?;
        translate(snapshot.view().catalog().schema(), &text, suffix.as_ref())
    } else {
        translate(&Schema::builtin(), &text, suffix.as_ref())
    };
    let mut translation =
        translated.map_err(|problems| CliError::new(listed("the rules cannot be read", &problems)))?;
    if !args.open_logins {
        translation.refused.append(&mut translation.logins);
    }
    if !translation.refused.is_empty() && !args.narrow {
        let head = "these rules cannot be said exactly; --narrow prints rules that give less (and --open-logins lets everybody log in)";
        return Err(CliError::new(listed(head, &translation.refused)));
    }
    tell(&translation, output)?;
    Ok(if translation.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn listed(head: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("  {}", escape_for_log(&problem.to_string()))).collect();
    format!("{head}\n{}", lines.join("\n"))
}

fn tell(translation: &Translation, output: &Output) -> Result<(), CliError> {
    let rules: Vec<String> = translation.rules.iter().map(ToString::to_string).collect();
    if output.is_json() {
        let texts = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let value = json!({
            "suffix": translation.suffix.to_string(),
            "aci": rules,
            "sources": translation.sources,
            "refused": texts(&translation.refused),
            "logins": texts(&translation.logins),
            "remarks": translation.remarks,
        });
        return output.report(&value, String::new);
    }
    let mut writer = LdifWriter::unfolded(Vec::new());
    let mut comments: Vec<String> = Vec::new();
    let numbered =
        translation.sources.iter().enumerate().map(|(index, source)| format!("slapd {}: {source}", index + 1));
    comments.extend(numbered);
    comments.extend(translation.refused.iter().map(|problem| format!("REFUSED, given to nobody: {problem}")));
    comments.extend(translation.logins.iter().map(|problem| format!("not kept: {problem}")));
    comments.extend(translation.remarks.iter().map(|remark| format!("note: {remark}")));
    for comment in &comments {
        writer.comment(&escape_for_log(comment).to_string())?;
    }
    let description = AttributeDescription::parse("aci").map_err(|error| CliError::new(error.to_string()))?;
    let attribute = Attribute { description, values: rules.into_iter().map(String::into_bytes).collect() };
    let modification = Modification { kind: ModificationKind::Replace, attribute };
    writer.change(&LdifRecord {
        line: 0,
        dn: translation.suffix.to_string(),
        controls: Vec::new(),
        body: LdifBody::Change(LdifChange::Modify(vec![modification])),
    })?;
    output.write(&writer.into_inner())
}
