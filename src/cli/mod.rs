//! The commands: arguments in, text or JSON and an exit status out.
//!
//! One file a command, each with its arguments (their doc comments are the help text), and `run`. What a command needs
//! of the directory it opens itself: offline commands the data directory, online ones a connection.

pub mod access;
pub mod app_password;
pub mod archive;
pub mod backup;
pub mod check;
pub mod client;
pub mod compact;
pub mod config;
pub mod conflicts;
pub mod data;
pub mod demo;
pub mod encryption;
pub mod export;
pub mod import;
pub mod init;
pub mod invite;
pub mod join;
pub mod migrate;
pub mod modify;
pub mod order;
pub mod output;
pub mod passwd;
pub mod progress;
pub mod reindex;
pub mod replica;
pub mod restore;
pub mod schema;
pub mod search;
pub mod serve;
pub mod shell;
pub mod suffix;
pub mod undelete;
pub mod whoami;

use clap::Parser;
use output::{CliError, Output};
use std::process::ExitCode;

/// An LDAP directory server for contacts whose masters agree.
#[derive(Parser, Clone, Debug)]
#[command(name = "entente", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = "Begin with an example directory, served at once:\n  entente demo")]
pub struct Cli {
    /// Results and errors as JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
// What --help says at length of a command is the text of its arguments' type; a doc comment here would stand in its place.
#[derive(clap::Subcommand, Clone, Debug)]
#[expect(missing_docs, reason = "see above")]
pub enum Command {
    #[command(about = "Look at what access rules come to")]
    Access(access::AccessArgs),
    #[command(about = "Make, list and revoke app passwords, over LDAP")]
    AppPassword(app_password::AppPasswordArgs),
    #[command(about = "Write a compressed copy of the data, also while serving")]
    Backup(backup::BackupArgs),
    #[command(about = "Compare everything derived with the entries' state")]
    Check(check::CheckArgs),
    #[command(about = "Write the data file anew without its free pages")]
    Compact(compact::CompactArgs),
    #[command(about = "Print the completion script of a shell")]
    Completions(shell::CompletionsArgs),
    #[command(about = "Look at the settings of a node")]
    Config(config::ConfigArgs),
    #[command(about = "Serve an example directory at once")]
    Demo(demo::DemoArgs),
    #[command(about = "Encrypt attributes in the data directory")]
    Encryption(encryption::EncryptionArgs),
    #[command(about = "Write the directory as LDIF")]
    Export(export::ExportArgs),
    #[command(about = "Load LDIF into the data directory")]
    Import(import::ImportArgs),
    #[command(about = "Make a new directory")]
    Init(init::InitArgs),
    #[command(about = "Make a token with which one new member can join")]
    Invite(invite::InviteArgs),
    #[command(about = "Become a member of a cluster by a token")]
    Join(join::JoinArgs),
    #[command(about = "Write the man pages into a folder")]
    Man(shell::ManArgs),
    #[command(about = "Move from a live OpenLDAP or 389 server")]
    Migrate(migrate::MigrateArgs),
    #[command(about = "Apply the changes of an LDIF file, over LDAP")]
    Modify(modify::ModifyArgs),
    #[command(about = "Set a password, over LDAP")]
    Passwd(passwd::PasswdArgs),
    #[command(about = "Build the index anew, also while serving")]
    Reindex(reindex::ReindexArgs),
    #[command(about = "Look at the members of the cluster, and manage them")]
    Replica(replica::ReplicaArgs),
    #[command(about = "Make a data directory from a backup")]
    Restore(restore::RestoreArgs),
    #[command(about = "Look at schema definitions")]
    Schema(schema::SchemaArgs),
    #[command(about = "Find entries, over LDAP")]
    Search(search::SearchArgs),
    #[command(about = "Serve a directory, in the foreground")]
    Serve(serve::ServeArgs),
    #[command(about = "Add, list and delete suffixes")]
    Suffix(suffix::SuffixArgs),
    #[command(about = "Bring a deleted entry back, over LDAP")]
    Undelete(undelete::UndeleteArgs),
    #[command(about = "Tell as whom the server takes this client")]
    Whoami(whoami::WhoamiArgs),
}

/// Runs what the command line says; this is all that `main` does.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    dispatch(cli.command, &output).unwrap_or_else(|error| error.tell(&output))
}

fn dispatch(command: Command, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        Command::Access(args) => access::run(args, output),
        Command::Backup(args) => backup::run(&args, output),
        Command::Check(args) => check::run(&args, output),
        Command::Compact(args) => compact::run(&args, output),
        Command::Completions(args) => shell::completions(&args, output),
        Command::Config(args) => config::run(args, output),
        Command::Demo(args) => demo::run(args, output),
        Command::Encryption(args) => encryption::run(args, output),
        Command::Export(args) => export::run(args, output),
        Command::Import(args) => import::run(args, output),
        Command::Init(args) => init::run(args, output),
        Command::Invite(args) => invite::run(&args, output),
        Command::Join(args) => join::run(&args, output),
        Command::Man(args) => shell::man(&args, output),
        Command::Migrate(args) => migrate::run(&args, output),
        Command::Modify(args) => modify::run(&args, output),
        Command::Passwd(args) => passwd::run(args, output),
        Command::AppPassword(args) => app_password::run(args, output),
        Command::Reindex(args) => reindex::run(&args, output),
        Command::Replica(args) => replica::run(&args, output),
        Command::Restore(args) => restore::run(args, output),
        Command::Schema(args) => schema::run(&args, output),
        Command::Search(args) => search::run(args, output),
        Command::Serve(args) => serve::run(args, output),
        Command::Suffix(args) => suffix::run(&args, output),
        Command::Undelete(args) => undelete::run(&args, output),
        Command::Whoami(args) => whoami::run(&args, output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn expect_examples(command: &clap::Command, path: &str) {
        for inner in command.get_subcommands() {
            let path = format!("{path} {}", inner.get_name());
            if inner.has_subcommands() {
                expect_examples(inner, &path);
                continue;
            }
            let help = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&path), "{path} shows no example");
        }
    }

    #[test]
    fn the_command_line_is_well_formed_and_every_command_shows_an_example() {
        Cli::command().debug_assert();
        expect_examples(&Cli::command(), "entente");
    }
}
