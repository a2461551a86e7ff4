//! The README's first screen, word for word: the first fenced block of commands is run as a person would paste it.

use std::path::Path;
use std::process::Command;

use crate::support::program::run;

/// The lines of the first ```console, ```sh or ```bash block; in a console block those after `$ `.
fn first_screen(readme: &str) -> Vec<String> {
    let mut lines = readme.lines();
    let mut console = false;
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim().strip_prefix("```") {
            console = language == "console";
            if console || matches!(language, "sh" | "bash" | "shell") {
                break;
            }
            // Another block: skip to its end.
            lines.by_ref().find(|line| line.trim() == "```");
        }
    }
    let block = lines.take_while(|line| line.trim() != "```");
    let mut commands: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in block {
        let text = if console && !goes_on {
            match line.strip_prefix("$ ") {
                Some(text) => text,
                // What the program answers.
                None => continue,
            }
        } else {
            line
        };
        let text_only = text.split(" #").next().unwrap_or_default().trim();
        if text_only.is_empty() || text_only.starts_with('#') {
            continue;
        }
        match (goes_on, commands.last_mut()) {
            (true, Some(last)) => {
                last.push('\n');
                last.push_str(text);
            }
            _ => commands.push(text.to_owned()),
        }
        goes_on = text.ends_with('\\');
    }
    commands
}

/// Puts a `cargo` before the real one that runs what is built already, and the program itself beside it.
fn write_tools(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let program = env!("CARGO_BIN_EXE_entente");
    let cargo = format!(
        "#!/bin/bash\n# Runs the program that is built already; anything else is not for a first screen.\n\
         [ \"$1\" = build ] && exit 0\n[ \"$1\" = install ] && exit 0\n[ \"$1\" = run ] || {{ echo \"cargo $*\" >&2; exit 1; }}\n\
         while [ $# -gt 0 ] && [ \"$1\" != -- ]; do shift; done\nshift\nexec {program} \"$@\"\n"
    );
    for (name, text) in [("cargo", cargo), ("entente", format!("#!/bin/bash\nexec {program} \"$@\"\n"))] {
        let file = folder.join(name);
        std::fs::write(&file, text).expect("temporary folder is writable");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    }
}

/// Every line succeeds; the demo serves in the background while the others run, each search finds an entry.
fn script(commands: &[String]) -> String {
    let mut text = "set -u\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n".to_owned();
    for command in commands {
        let plain = command.trim_end_matches('&').trim();
        if plain.starts_with("git clone") || plain.starts_with("cd ") {
            continue;
        }
        let shown = plain.replace('\'', "'\\''");
        text.push_str(&format!("echo '$ {shown}'\n"));
        if plain.ends_with("demo") || plain.contains(" serve ") || command.ends_with('&') {
            text.push_str(&format!(
                "( exec {plain} ) & server=$!\nfor i in $(seq 600); do (echo > /dev/tcp/127.0.0.1/3389) 2>/dev/null && break; \
                 kill -0 $server || exit 1; sleep 0.05; done\n"
            ));
        } else {
            text.push_str(&format!(
                "output=$({plain}) || {{ echo \"$output\"; echo FAILED; exit 1; }}\necho \"$output\"\n"
            ));
            if plain.contains("search") {
                text.push_str("[ -n \"$output\" ] && echo \"$output\" | grep -qiE '^dn|cn|mail' || { echo 'found nothing'; exit 1; }\n");
            }
        }
    }
    text.push_str("echo every line done\n");
    text
}

#[test]
fn first_screen_works_word_for_word() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&readme).expect("README.md is in the repository");
    let commands = first_screen(&text);
    assert!(commands.iter().any(|command| command.contains("demo")), "the first screen starts the demo: {commands:?}");
    assert!(commands.iter().any(|command| command.contains("ldapsearch")), "and asks it: {commands:?}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_tools(folder.path());
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-c", &script(&commands)]).current_dir(folder.path()).env("PATH", path).env("LDAPCONF", "/dev/null");
    let output = run(&mut command).expect_success();
    assert!(output.ends_with("every line done\n"), "{output}");
}

#[test]
fn commands_are_taken_from_the_first_block_of_commands() {
    let readme = "# X\n\n```toml\na = 1\n```\n```console\n$ cargo run --release -- demo &\nready\n$ ldapsearch -x \\\n  -b dc=x\n\
        # done\n```\n```sh\nother\n```\n";
    assert_eq!(first_screen(readme), ["cargo run --release -- demo &", "ldapsearch -x \\\n  -b dc=x"]);
}
