//! `entente schema`: definitions looked at before a server sees them.

use super::output::{CliError, Output};
use crate::schema::{Schema, SchemaSource};
use std::path::PathBuf;
use std::process::ExitCode;

/// Look at schema definitions.
#[derive(clap::Args, Clone, Debug)]
pub struct SchemaArgs {
    #[command(subcommand)]
    command: SchemaCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum SchemaCommand {
    #[command(about = "Say whether files with definitions hold together with the built-in schema")]
    Check(SchemaCheckArgs),
}

/// Say whether files with definitions hold together with the built-in schema and with each other.
///
/// Read are LDIF (attributeTypes: …), what OpenLDAP exports from cn=config (olcAttributeTypes: …) and its older .schema
/// form.
///
/// Exit status: 0 they do, 1 they do not; the first fault is named with file and line.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  entente schema check company.ldif")]
pub struct SchemaCheckArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read, or its definitions are wrong.
pub fn run(args: &SchemaArgs, output: &Output) -> Result<ExitCode, CliError> {
    let SchemaCommand::Check(args) = &args.command;
    let mut texts = Vec::with_capacity(args.files.len());
    for path in &args.files {
        let text =
            std::fs::read_to_string(path).map_err(|error| CliError::new(format!("{}: {error}", path.display())))?;
        texts.push((path.display().to_string(), text));
    }
    let sources: Vec<SchemaSource<'_>> = texts.iter().map(|(name, text)| SchemaSource { name, text }).collect();
    let built_in = Schema::builtin();
    let schema = Schema::builtin_and(&sources).map_err(|error| CliError::new(error.to_string()))?;
    let is_new = |oid: &str| built_in.attribute_type(oid).is_none();
    if let Some(text) =
        schema.attribute_types().filter(|known| is_new(&known.oid)).find_map(|known| known.contradiction())
    {
        return Err(CliError::new(text));
    }
    let types = schema.attribute_types().len() - built_in.attribute_types().len();
    let classes = schema.object_classes().len() - built_in.object_classes().len();
    let value = serde_json::json!({ "attribute_types": types, "object_classes": classes });
    output.report(&value, || {
        format!("sound: {types} attribute types and {classes} object classes that the program does not carry")
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<ExitCode, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.ldif");
        std::fs::write(&file, text).unwrap();
        let args = SchemaArgs { command: SchemaCommand::Check(SchemaCheckArgs { files: vec![file] }) };
        run(&args, &Output::new(true))
    }

    #[test]
    fn files_are_checked_with_the_built_in_schema() {
        let sound = "attributeTypes: ( 1.3.6.1.4.1.32473.1 NAME 'shoeSize' SUP name )\n";
        assert!(check(sound).is_ok());
        let clash = "# one\nattributeTypes: ( 1.3.6.1.4.1.32473.1 NAME 'cn' SUP name )\n";
        let error = check(clash).err().unwrap().to_string();
        assert!(error.contains("a.ldif, line 2") && error.contains("'cn'"), "{error}");
    }

    /// RFC 4512 4.1.2, RFC 3671 2.
    #[test]
    fn a_type_that_says_something_against_itself_is_refused() {
        for (words, says) in [
            ("NO-USER-MODIFICATION", "leave it out, or write USAGE directoryOperation"),
            ("SINGLE-VALUE COLLECTIVE", "leave SINGLE-VALUE or COLLECTIVE out"),
            ("COLLECTIVE USAGE directoryOperation", "or leave USAGE out"),
        ] {
            let syntax = "SYNTAX 1.3.6.1.4.1.1466.115.121.1.15";
            let error = check(&format!("attributeTypes: ( 1.3.6.1.4.1.32473.1 NAME 'shoeSize' {syntax} {words} )\n"));
            let error = error.err().unwrap().to_string();
            assert!(error.contains("shoeSize") && error.contains(says), "{error}");
        }
    }
}
