//! The rules of the house that can be read off its files: who may import whom, what a file begins with, and that
//! documents name files that exist. Sizes are a habit, not a rule, so they are not checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder, sorted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Every Rust file of the crate with its path below `src`, but not those of the small crates that live among them.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let of_other_crate = |path: &Path| {
        path.ancestors().skip(1).take_while(|folder| *folder != src).any(|folder| folder.join("Cargo.toml").exists())
    };
    files_below(&src)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") && !of_other_crate(path))
        .map(|path| {
            let name = path.strip_prefix(&src).expect("found below src").to_string_lossy().into_owned();
            (name, read(&path))
        })
        .collect()
}

/// Lines of code with their numbers; comments and the text behind `//` are blanked.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
}

/// The floor of each module, and its place among siblings, as the table in `src/lib.rs` has it.
///
/// A line is `floor  name, name | name   meaning`: names apart by commas are one household, those apart by `|` are
/// siblings that do not know each other.
fn floors() -> BTreeMap<String, (u32, usize)> {
    let mut floors = BTreeMap::new();
    for line in read(&root().join("src/lib.rs")).lines() {
        let Some(text) = line.strip_prefix("//!").map(str::trim) else { continue };
        let Some((number, rest)) = text.split_once(' ') else { continue };
        let Ok(floor) = number.parse::<u32>() else { continue };
        let names = rest.trim_start().split("   ").next().unwrap_or("");
        for (household, group) in names.split('|').enumerate() {
            for name in group.split(',') {
                floors.insert(name.trim().to_owned(), (floor, household));
            }
        }
    }
    floors
}

/// Names that directly follow `crate::` in a piece of code: `crate::a::B`, and `crate::{a::B, c}`.
fn imported(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (position, _) in code.match_indices("crate::") {
        // `$crate::` and `my_crate::` are other things.
        let before = code.get(..position).unwrap_or("");
        if before.ends_with(|c: char| c.is_alphanumeric() || "_$".contains(c)) {
            continue;
        }
        let rest = code.get(position + "crate::".len()..).unwrap_or("");
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(group) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut expects_name = true;
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expects_name = true,
                c if expects_name && (c.is_alphabetic() || c == '_') => {
                    found.push(word(group.get(index..).unwrap_or("")));
                    expects_name = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn imports_only_go_down() {
    let floors = floors();
    assert!(floors.len() >= 15, "the table of floors in src/lib.rs was not understood: {floors:?}");
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let module = name.split('/').next().unwrap_or("").trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let Some((floor, household)) = floors.get(module) else {
            wrong.push(format!("src/{name}: src/lib.rs gives {module} no floor"));
            continue;
        };
        let code: Vec<&str> = code_lines(&text).map(|(_, line)| line).collect();
        // The binary and documentation examples name the library by its name.
        for import in imported(&code.join("\n").replace("entente::", "crate::")) {
            let Some((other_floor, other_household)) = floors.get(&import) else { continue };
            let down = other_floor < floor;
            let same = other_floor == floor && (other_household == household || import == module);
            if !down && !same {
                wrong.push(format!("src/{name} (floor {floor}) imports {import} (floor {other_floor})"));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "imports go down only:\n{}", wrong.join("\n"));
}

#[test]
fn only_storage_names_lmdb() {
    let names = ["lmdb::", "lmdb_sys", "use lmdb", "extern crate lmdb", "mdb_env", "mdb_txn"];
    let mut wrong = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !name.starts_with("storage/")) {
        for (number, line) in code_lines(text) {
            if names.iter().any(|word| line.contains(word)) {
                wrong.push(format!("src/{name}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "only src/storage knows LMDB:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !name.ends_with("/tests.rs") && !name.contains("/tests/")) {
        let header: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        let sentence = header.join(" ");
        if sentence.len() < 20 || !sentence.contains(['.', ':', '?']) {
            wrong.push(format!("src/{name}"));
        }
    }
    assert!(wrong.is_empty(), "a file begins with `//!` and a sentence:\n{}", wrong.join("\n"));
}

#[test]
fn names_say_something() {
    let empty = ["util", "utils", "common", "misc", "helper", "helpers", "manager", "stuff"];
    let mut wrong = Vec::new();
    for path in ["src", "tests"].iter().flat_map(|folder| files_below(&root().join(folder))) {
        let below = path.strip_prefix(root()).expect("found below the root");
        let says_nothing = below.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part.split('.').next().is_some_and(|name| empty.contains(&name))
        });
        if says_nothing {
            wrong.push(below.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "names that say nothing:\n{}", wrong.join("\n"));
}

/// Paths of this repository that a text names.
fn named_paths(text: &str) -> Vec<String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "_-./*".contains(c);
    let mut found = Vec::new();
    for word in text.split(|c: char| !inside(c)) {
        let word = word.strip_prefix("./").unwrap_or(word).trim_end_matches(['.', '-']);
        let top = word.split('/').next().unwrap_or("");
        if word.contains('/') && ["src", "tests", "deploy", "ldif", "schema"].contains(&top) {
            found.push(word.to_owned());
        }
    }
    found
}

/// True if a path, in which the last part may hold one `*`, is there.
fn is_there(path: &str) -> bool {
    let full = root().join(path);
    let Some((before, after)) = path.rsplit('/').next().and_then(|last| last.split_once('*')) else {
        return full.exists();
    };
    let Some(folder) = full.parent() else { return false };
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(before) && name.ends_with(after)
        })
    })
}

/// Both versions of a passage, as a merge that nobody has finished leaves them.
#[test]
fn no_file_holds_both_sides_of_a_merge() {
    let begins = "<".repeat(7) + " ";
    let texts =
        ["src", "schema", "tests", "ldif", "deploy"].iter().flat_map(|folder| files_below(&root().join(folder)));
    let own = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Cargo.toml"].iter().map(|name| root().join(name));
    let is_text = |path: &PathBuf| !path.components().any(|part| part.as_os_str() == "corpus");
    for path in texts.chain(own).filter(is_text) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        assert!(!text.lines().any(|line| line.starts_with(&begins)), "{}", path.display());
    }
}

#[test]
fn documents_name_files_that_exist() {
    let mut documents: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].iter().map(|name| root().join(name)).collect();
    let deploy = files_below(&root().join("deploy"));
    documents.extend(deploy.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let mut wrong = Vec::new();
    for document in documents.iter().filter(|document| document.exists()) {
        let name = document.strip_prefix(root()).expect("found below the root").display();
        wrong.extend(
            named_paths(&read(document)).iter().filter(|path| !is_there(path)).map(|path| format!("{name}: {path}")),
        );
    }
    assert!(wrong.is_empty(), "documents name what is not there:\n{}", wrong.join("\n"));
}

/// `tests/all` names every target that it asks for: one whose feature it does not enable would fail it.
#[test]
fn every_feature_that_a_test_needs_is_enabled_by_the_test_command() {
    let all = read(&root().join("tests/all"));
    let enabled = all.lines().find_map(|line| line.strip_prefix("features=")).expect("a line with the features");
    let enabled: Vec<&str> = enabled.split(',').collect();
    for line in read(&root().join("Cargo.toml")).lines() {
        let Some(needed) = line.strip_prefix("required-features = [") else { continue };
        for feature in needed.trim_end_matches(']').split(", ").map(|name| name.trim_matches('"')) {
            assert!(enabled.contains(&feature), "tests/all does not enable {feature}");
        }
    }
}

/// Code of a source file that is no test: up to the module of tests at its end.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or("")
}

/// Sources that are no tests as a whole.
fn product() -> Vec<(String, String)> {
    let tests = ["dit/fixture", "dit/replica", "state/cluster_model", "state/testing"];
    let is_test = |name: &str| {
        name.contains("/tests") || name.ends_with("tests.rs") || tests.iter().any(|test| name.starts_with(test))
    };
    sources().into_iter().filter(|(name, _)| !is_test(name)).collect()
}

/// T-01 to T-47 and T-54 to T-56: attacks by clients. The others are about members and stand in their own tests.
fn attacks() -> Vec<String> {
    (1..=47).chain(54..=56).map(|number| format!("T-{number:02}")).collect()
}

/// `deploy/hostile.md` has a line for each attack, and each file that the line names has the number in it.
#[test]
fn every_attack_is_met_by_the_tests_that_the_table_names() {
    let table = read(&root().join("deploy/hostile.md"));
    let mut wrong = Vec::new();
    for attack in attacks() {
        let start = format!("| {attack} |");
        let Some(line) = table.lines().find(|line| line.starts_with(&start)) else {
            wrong.push(format!("{attack} has no line"));
            continue;
        };
        let files: Vec<String> = named_paths(line).into_iter().filter(|path| path.ends_with(".rs")).collect();
        if files.is_empty() {
            wrong.push(format!("{attack} names no test"));
        }
        for file in files {
            let path = root().join(&file);
            if !path.exists() || !read(&path).contains(&attack) {
                wrong.push(format!("{file} does not speak of {attack}"));
            }
        }
    }
    assert!(wrong.is_empty(), "deploy/hostile.md:\n{}", wrong.join("\n"));
}

/// T-07: before 0.8.1 the codec recursed as deep as a filter was nested (GHSA-qcxq-75wr-5cm8). It is the client side of our
/// tools, and what a server sends is hostile input too.
#[test]
fn the_second_codec_is_of_a_version_that_bounds_recursion() {
    let text = read(&root().join("Cargo.lock"));
    let version = text.split("name = \"ldap3_proto\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
    let parts: Vec<u32> = version.unwrap_or("").split('.').flat_map(str::parse).collect();
    assert!(parts.as_slice() >= [0, 8, 1].as_slice(), "ldap3_proto {version:?}");
}

/// T-08: what panics by itself is denied by lints; what says so in words is counted here. Each of these cannot fail, and says
/// why beside it.
#[test]
fn nothing_in_the_product_panics_in_words() {
    let lints = read(&root().join("Cargo.toml"));
    for lint in ["unwrap_used = \"deny\"", "indexing_slicing = \"warn\"", "todo = \"deny\"", "unimplemented = \"deny\""]
    {
        assert!(lints.contains(lint), "Cargo.toml: {lint}");
    }
    assert!(read(&root().join("tests/all")).contains("-D warnings"), "warnings are errors where it counts");
    let allowed = ["schema/mod.rs", "policy/password_hash.rs", "policy/password_hash/argon.rs"];
    let mut wrong = Vec::new();
    for (name, text) in product() {
        for (number, line) in code_lines(without_tests(&text)) {
            let expects = line.match_indices(".expect(\"").any(|(at, _)| {
                let rest = line.get(at + ".expect(\"".len()..).unwrap_or("");
                rest.find('"').is_some_and(|end| rest.get(end + 1..).unwrap_or("").starts_with(')') && end > 1)
            });
            let panics = ["panic!(", "unreachable!(", ".unwrap()"].iter().any(|word| line.contains(word));
            if panics || (expects && !allowed.contains(&name.as_str())) {
                wrong.push(format!("src/{name}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "an error is returned, not thrown:\n{}", wrong.join("\n"));
}

/// T-27: what proves who somebody is is compared in the same time wherever it differs.
#[test]
fn secrets_are_compared_in_constant_time() {
    for (file, what) in [
        ("src/policy/password_hash.rs", "digests of passwords"),
        ("src/policy/scram.rs", "proofs and channel bindings"),
        ("src/replication/membership.rs", "invitations"),
    ] {
        assert!(read(&root().join(file)).contains(".ct_eq("), "{file}: {what}");
    }
}

/// T-54: filters and names are built of values, never pasted together as text that is parsed again. Commands that an
/// administrator types are their own danger.
#[test]
fn no_filter_and_no_name_is_pasted_together() {
    let mut wrong = Vec::new();
    for (name, text) in product().iter().filter(|(name, _)| !name.starts_with("cli/")) {
        for (number, line) in code_lines(without_tests(text)) {
            if ["Filter::parse(&format!", "Dn::parse(&format!", "LdapUrl::parse(&format!"]
                .iter()
                .any(|word| line.contains(word))
            {
                wrong.push(format!("src/{name}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "build it of values:\n{}", wrong.join("\n"));
}

/// T-56: files that LDIF names are read by commands of an administrator, below one folder, and never by the server.
#[test]
fn only_commands_read_files_that_ldif_names() {
    let wrong: Vec<_> = product()
        .into_iter()
        .filter(|(name, text)| {
            !name.starts_with("cli/") && !name.starts_with("model/") && text.contains("UrlPolicy::Folder")
        })
        .map(|(name, _)| name)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Tests of a file that begin with `only_entente!`, by its reason.
fn asked_of_entente_alone(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("only_entente!(").filter(|_| is_test) {
            found.extend(rest.split(')').next().map(str::to_owned));
            is_test = false;
        } else if line == "}" {
            is_test = false;
        }
    }
    found
}

/// Reasons for which a file's cases ask Entente alone from some line on.
fn left_to_entente(text: &str) -> Vec<String> {
    let after = text.split("only_entente_from_here!(").skip(1);
    after.filter_map(|rest| Some(rest.split(')').next()?.to_owned())).collect()
}

/// The cases of tests/ldap are asked of slapd too. One that is not says so by its first statement, one that is in part by
/// the line from which on it is not, with a reason of `tests/ldap/only.rs`; `tests/ldap/README.md` counts both: who adds one
/// writes the table anew.
#[test]
fn cases_that_ask_entente_alone_are_counted_by_their_reasons() {
    let folder = root().join("tests/ldap");
    let mut reasons = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in files_below(&folder).iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = read(path);
        for reason in asked_of_entente_alone(&text) {
            reasons.entry(reason).or_insert((0, 0)).0 += 1;
        }
        for reason in left_to_entente(&text) {
            reasons.entry(reason).or_insert((0, 0)).1 += 1;
        }
        let name = path.strip_prefix(root()).expect("found below the root").display();
        let statements = text.matches("only_entente!(").count();
        if statements != asked_of_entente_alone(&text).len() {
            wrong.push(format!("{name}: only_entente! stands once in a test, before `}}`"));
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            if pair.first().is_some_and(|line| line.contains("is_slapd() {"))
                && pair.last().is_some_and(|line| ["return;", "return None;"].contains(line))
            {
                wrong.push(format!("{name}: leaves slapd out without a reason: {}", pair.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "tests/ldap:\n{}", wrong.join("\n"));
    let readme = read(&folder.join("README.md"));
    let told: BTreeMap<String, (i32, i32)> = readme
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [reason, _, whole, part] = cells.as_slice() else { return None };
            Some((reason.trim_matches('`').to_owned(), (whole.parse().ok()?, part.parse().ok()?)))
        })
        .collect();
    let all = reasons.values().fold((0, 0), |(whole, part), more| (whole + more.0, part + more.1));
    reasons.insert("all".to_owned(), all);
    assert_eq!(told, reasons, "the table of tests/ldap/README.md (left) and the cases (right)");
}

#[test]
fn the_readers_of_this_test_read_right() {
    assert_eq!(imported("use crate::a::B; crate::{c::{D, e}, f, g::*}; my_crate::x"), ["a", "c", "f", "g"]);
    let text = "See `src/lib.rs`, tests/tidy.rs. Not /etc/src/x; (deploy/*.toml) [x](./ldif/example.ldif)";
    assert_eq!(named_paths(text), ["src/lib.rs", "tests/tidy.rs", "deploy/*.toml", "ldif/example.ldif"]);
    assert!(is_there("deploy/*.toml") && !is_there("deploy/*.nothing") && !is_there("src/nothing.rs"));
    let cases = "#[test]\nfn a() {\n    only_entente!(Own);\n}\n#[test]\nfn b() {\n    c();\n}\n";
    assert_eq!(asked_of_entente_alone(cases), ["Own"]);
    assert_eq!(left_to_entente("a();\n    only_entente_from_here!(Log);\n"), ["Log"]);
    let floors = floors();
    assert_eq!(floors.get("schema").map(|(floor, _)| floor), floors.get("wire").map(|(floor, _)| floor));
    assert_ne!(floors.get("schema"), floors.get("wire"));
}
