//! `entente modify`: changes from LDIF, over LDAP.

use super::client::{self, ConnectArgs, Connection};
use super::output::{CliError, Output};
use crate::model::ldif::{LdifReader, UrlPolicy};
use crate::model::{Attribute, Change, Modification, ModificationKind};
use ldap3_proto::proto::{
    LdapAddRequest, LdapModify, LdapModifyDNRequest, LdapModifyRequest, LdapModifyType, LdapOp, LdapPartialAttribute,
};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Apply the change records of an LDIF file; a record without changetype is an entry to add.
///
/// Each record is one operation: what was done before one is refused stays done.
///
/// Exit status: 0 all were done, 1 one was refused (the line is told).
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente modify --data ./data changes.ldif\n  \
    printf 'dn: uid=ann,ou=people,dc=example,dc=com\\nchangetype: modify\\nreplace: title\\ntitle: CEO\\n' | entente modify --data ./data")]
pub struct ModifyArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The LDIF file; - or nothing reads standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Go on after a record that is refused
    #[arg(long = "continue", short = 'c')]
    go_on: bool,
}

/// Runs the command.
///
/// # Errors
/// A record was refused and --continue was not given, or the server cannot be asked.
pub fn run(args: &ModifyArgs, output: &Output) -> Result<ExitCode, CliError> {
    let target = args.connect.target()?;
    let is_input = args.file == Path::new("-");
    let (input, policy): (Box<dyn BufRead>, _) = if is_input {
        (Box::new(BufReader::new(std::io::stdin())), UrlPolicy::Refuse)
    } else {
        let file = std::fs::File::open(&args.file).map_err(|error| CliError::file(&args.file, &error))?;
        let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        (Box::new(BufReader::new(file)), UrlPolicy::Folder(folder.unwrap_or_else(|| Path::new(".")).to_owned()))
    };
    let name = if is_input { "standard input".to_owned() } else { args.file.display().to_string() };
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let (mut done, mut refused) = (0_u64, 0_u64);
        for record in LdifReader::new(input, policy) {
            let line = match &record {
                Ok(record) => record.line,
                Err(error) => error.line,
            };
            let operation = record.and_then(|record| {
                if record.controls.is_empty() {
                    return record.into_change();
                }
                Err(crate::model::ldif::LdifError {
                    line: record.line,
                    detail: "this client sends no controls; use ldapmodify, or remove the control lines".to_owned(),
                })
            });
            let outcome = match operation {
                Ok(change) => client::expect_success(&connection.change(on_wire(change)).await?),
                Err(error) => Err(CliError::new(error.detail)),
            };
            match outcome {
                Ok(()) => done += 1,
                Err(error) => {
                    refused += 1;
                    let text = format!("{name}: line {line}: {error}");
                    if !args.go_on {
                        return Err(CliError::new(format!("{text}; {done} records before it were done")));
                    }
                    eprintln!("{text}");
                }
            }
        }
        connection.close().await;
        output.report(&serde_json::json!({ "done": done, "refused": refused }), || match refused {
            0 => format!("{done} records done"),
            _ => format!("{done} records done, {refused} refused"),
        })?;
        Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn on_wire(change: Change) -> LdapOp {
    match change {
        Change::Add { dn, attributes } => LdapOp::AddRequest(LdapAddRequest {
            dn: dn.to_string(),
            attributes: together(attributes).into_iter().map(attribute_on_wire).collect(),
        }),
        Change::Delete { dn } => LdapOp::DelRequest(dn.to_string()),
        Change::Modify { dn, modifications } => LdapOp::ModifyRequest(LdapModifyRequest {
            dn: dn.to_string(),
            changes: modifications.into_iter().map(modification_on_wire).collect(),
        }),
        Change::ModifyDn { dn, new_rdn, delete_old_rdn, new_superior } => {
            LdapOp::ModifyDNRequest(LdapModifyDNRequest {
                dn: dn.to_string(),
                newrdn: new_rdn.to_string(),
                deleteoldrdn: delete_old_rdn,
                new_superior: new_superior.map(|superior| superior.to_string()),
            })
        }
    }
}

/// An attribute that stands in two places of a record is one attribute of the entry (RFC 4511 4.7).
fn together(attributes: Vec<Attribute>) -> Vec<Attribute> {
    let mut all: Vec<Attribute> = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let name = attribute.description.to_string();
        match all.iter_mut().find(|known| known.description.to_string().eq_ignore_ascii_case(&name)) {
            Some(known) => known.values.extend(attribute.values),
            None => all.push(attribute),
        }
    }
    all
}

fn modification_on_wire(modification: Modification) -> LdapModify {
    LdapModify {
        operation: match modification.kind {
            ModificationKind::Add => LdapModifyType::Add,
            ModificationKind::Delete => LdapModifyType::Delete,
            ModificationKind::Replace => LdapModifyType::Replace,
            ModificationKind::Increment => LdapModifyType::Increment,
        },
        modification: attribute_on_wire(modification.attribute),
    }
}

fn attribute_on_wire(attribute: Attribute) -> LdapPartialAttribute {
    LdapPartialAttribute { atype: attribute.description.to_string(), vals: attribute.values }
}
