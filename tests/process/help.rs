//! `--help` of every command shows an example, and nothing undocumented is left.

use crate::support::program::{entente, run};

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let mut lines = help.lines().skip_while(|line| !line.trim_end().eq_ignore_ascii_case("commands:")).skip(1);
    let mut names = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.trim().is_empty()) {
        // Continuation lines of a description stand further right.
        let indent = line.len() - line.trim_start().len();
        if indent <= 4
            && let Some(name) = line.split_whitespace().next()
        {
            names.push(name.to_owned());
        }
    }
    names
}

#[track_caller]
fn help(words: &[String]) -> String {
    run(entente().args(words).arg("--help")).expect_success()
}

fn check_below(words: &[String], seen: &mut Vec<String>) {
    for name in commands(&help(words)) {
        if name == "help" {
            continue;
        }
        let mut inner = words.to_vec();
        inner.push(name);
        let text = help(&inner);
        let line = inner.join(" ");
        if commands(&text).is_empty() {
            let example = text
                .to_lowercase()
                .find("example")
                .unwrap_or_else(|| panic!("no example in --help of {line}:\n{text}"));
            assert!(
                text[example..].contains(&format!("entente {line}")),
                "the example of {line} does not use it:\n{text}"
            );
        }
        seen.push(line);
        check_below(&inner, seen);
    }
}

#[test]
fn help_of_every_command_shows_an_example() {
    let mut seen = Vec::new();
    check_below(&[], &mut seen);
    for command in [
        "demo",
        "init",
        "serve",
        "import",
        "export",
        "migrate",
        "check",
        "reindex",
        "compact",
        "backup",
        "restore",
        "search",
        "passwd",
        "app-password",
        "whoami",
        "config check",
    ] {
        assert!(seen.iter().any(|name| name == command), "no command {command} among {seen:?}");
    }
}

/// What a command does is told at length where one asks for it by name, and in a line where all are listed.
#[test]
fn help_of_a_command_says_more_than_the_list_of_all() {
    let list = help(&[]);
    for (command, line, more) in [
        (
            "check",
            "Compare everything derived with the entries' state",
            "Exit status: 0 nothing was found, 1 differences",
        ),
        (
            "import",
            "Load LDIF into the data directory",
            "Exit status: 0 everything went in, 2 some records were refused",
        ),
        ("backup", "Write a compressed copy of the data", "password hashes too"),
        ("modify", "Apply the changes of an LDIF file", "Exit status: 0 all were done, 1 one was refused"),
        ("search", "Find entries, over LDAP", "Exit status: 0 the search was done"),
    ] {
        let told = help(&[command.to_owned()]);
        assert!(list.contains(line), "{command}: {list}");
        assert!(told.split_whitespace().collect::<Vec<_>>().join(" ").contains(more), "{command}: {told}");
    }
    for (words, more) in [
        (["access", "explain"], "Exit status: 0 everything asked about is allowed, 1 something is denied"),
        (["config", "check"], "Exit status: 0 the node will start"),
        (["schema", "check"], "Exit status: 0 they do, 1 they do not"),
        (["encryption", "apply"], "Offline: no node may be serving"),
        (["replica", "conflicts"], "Of two changes of one value"),
    ] {
        let told = help(&words.map(str::to_owned));
        assert!(told.split_whitespace().collect::<Vec<_>>().join(" ").contains(more), "{words:?}: {told}");
    }
}

#[test]
fn version_is_told() {
    let text = run(entente().arg("--version")).expect_success();
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}

#[test]
fn unknown_command_is_an_error_that_names_a_near_one() {
    let text = run(entente().arg("exprot")).expect_failure();
    assert!(text.contains("export"), "{text}");
}
