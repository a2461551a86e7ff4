//! `entente completions` and `entente man`: what a package puts beside the program.

use super::Cli;
use super::output::{CliError, Output};
use clap::CommandFactory;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the completion script of a shell.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente completions bash > /etc/bash_completion.d/entente\n  \
    entente completions fish > ~/.config/fish/completions/entente.fish")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: clap_complete::Shell,
}

/// Write the man pages, one for each command, into a folder.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  entente man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The folder; made if it is not there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Runs `completions`.
///
/// # Errors
/// The output cannot be written.
pub fn completions(args: &CompletionsArgs, output: &Output) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "entente", &mut script);
    output.write(&script)?;
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `man`.
///
/// # Errors
/// The folder cannot be written to.
pub fn man(args: &ManArgs, output: &Output) -> Result<ExitCode, CliError> {
    std::fs::create_dir_all(&args.folder).map_err(|error| CliError::file(&args.folder, &error))?;
    let mut pages = Vec::new();
    let mut command = Cli::command();
    command.build();
    write_page(&command, &args.folder, &mut pages)?;
    output.report(&serde_json::json!({ "pages": pages }), || {
        format!("{} pages written to {}", pages.len(), args.folder.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `entente.1`, `entente-search.1`, `entente-config-check.1` and so on.
fn write_page(command: &clap::Command, folder: &Path, pages: &mut Vec<String>) -> Result<(), CliError> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).replace(' ', "-");
    let file = format!("{name}.1");
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).render(&mut page)?;
    let path = folder.join(&file);
    std::fs::write(&path, page).map_err(|error| CliError::file(&path, &error))?;
    pages.push(file);
    command.get_subcommands().try_for_each(|inner| write_page(inner, folder, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_man_page() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::to(false, Box::new(std::io::sink()));
        man(&ManArgs { folder: folder.path().to_owned() }, &output).unwrap();
        for page in ["entente.1", "entente-search.1", "entente-config-check.1"] {
            let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
        }
    }
}
