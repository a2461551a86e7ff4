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
