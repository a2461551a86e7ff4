use super::*;

const DOCUMENTED: &str = include_str!("../../deploy/entente.toml");

/// The commented file with every setting switched on: a setting has no blank after its `#`.
fn switched_on() -> String {
    let mut within = false;
    DOCUMENTED
        .lines()
        .map(|line| {
            let Some(rest) = line.strip_prefix('#') else { return line.to_owned() };
            let begins = rest.starts_with(|c: char| c.is_ascii_lowercase());
            if !begins && !within {
                return line.to_owned();
            }
            within = if begins { rest.ends_with('[') } else { rest != "]" };
            rest.to_owned()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    let mut config = Config::default();
    let mut problems = Vec::new();
    reader::assign_text(&mut config, "entente.toml", text, Path::new("/etc/entente"), &mut problems);
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// The one problem of a text, as shown.
fn problem(text: &str) -> String {
    let problems = read(text).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

fn with(sets: &[&str]) -> Result<Config, ConfigError> {
    Config::load(None, &sets.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>())
}

#[test]
fn the_documented_file_as_it_stands_changes_nothing() {
    assert_eq!(read(DOCUMENTED), Ok(Config::default()));
}

#[test]
fn the_documented_file_switched_on_holds_every_setting_with_its_default() {
    let text = switched_on();
    assert_eq!(read(&text), Ok(Config::default()));
    let table: toml::Table = text.parse().unwrap();
    let documented: Vec<String> = table
        .iter()
        .flat_map(|(section, keys)| {
            keys.as_table().unwrap().keys().map(move |key| format!("{section}.{key}")).collect::<Vec<_>>()
        })
        .collect();
    let mut known: Vec<String> = SETTINGS.iter().map(ToString::to_string).collect();
    known.sort();
    let mut documented_sorted = documented.clone();
    documented_sorted.sort();
    assert_eq!(documented_sorted, known);
}

#[test]
fn the_documented_file_marks_what_sighup_changes() {
    let mut mark = false;
    let mut section = String::new();
    for line in DOCUMENTED.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if line.starts_with("# ") {
            mark |= line.ends_with("(SIGHUP)");
        } else if line.is_empty() {
            mark = false;
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ")
            && let Some(setting) = setting(&section, key)
        {
            assert_eq!(setting.reloadable, mark, "{setting}");
        }
    }
}

#[test]
fn later_sources_win() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entente.toml");
    std::fs::write(&file, "[limits]\nsize = 5\ntime_s = 7\n").unwrap();
    let sets = ["limits.size=6".to_owned(), "limits.size=8".to_owned()];
    let config = Config::load(Some(&file), &sets).unwrap();
    assert_eq!((config.limits.size, config.limits.time_s, config.limits.lookthrough), (8, 7, 5000));
}

#[test]
fn every_setting_can_be_given_on_the_command_line() {
    let sets: Vec<String> =
        Config::default().values().into_iter().map(|(setting, value)| format!("{setting}={value}")).collect();
    assert_eq!(Config::load(None, &sets).unwrap(), Config::default());
    assert_eq!(sets.len(), SETTINGS.len());
}

#[test]
fn command_line_values_need_no_quotes() {
    let config = with(&[
        "server.listen=ldap://0.0.0.0:3389",
        "log.format=json",
        "server.data_dir=/srv/a b",
        "server.default_search_base=dc=example,dc=com",
        "index.substring=[\"cn\", \"!sn\"]",
    ])
    .unwrap();
    assert_eq!(config.server.listen, ["ldap://0.0.0.0:3389".parse().unwrap()]);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.server.data_dir, Path::new("/srv/a b"));
    assert_eq!(config.server.default_search_base, "dc=example,dc=com");
    // A base that is also a number in TOML is still a text.
    assert_eq!(with(&["server.default_search_base=12"]).unwrap().server.default_search_base, "12");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one_and_its_section() {
    let text = problem("[limits]\nsiez = 3\n");
    assert!(text.starts_with("entente.toml line 2: unknown key limits.siez; did you mean limits.size?"), "{text}");
    assert!(text.contains("[limits] knows size, anonymous_size"), "{text}");
    assert!(problem("[server]\nsize = 3\n").contains("did you mean limits.size?"));
    assert!(problem("[limits]\ntime = 3\n").contains("did you mean limits.time_s?"));
    assert!(problem("[limts]\nsize = 3\n").contains("unknown section [limts]; did you mean [limits]?"));
    assert!(problem("listen = []\n").contains("listen stands outside a section; did you mean server.listen?"));
    let error = with(&["limits.sice=3"]).unwrap_err().to_string();
    assert!(error.starts_with("--set limits.sice=3: unknown key limits.sice; did you mean limits.size?"), "{error}");
}

#[test]
fn a_wrong_value_names_key_line_and_what_is_allowed() {
    let cases = [
        (
            "[limits]\n\nsize = \"many\"\n",
            "entente.toml line 3: limits.size is \"many\"; allowed: 0 to 2147483647 entries",
        ),
        ("[limits]\nsize = -1\n", "entente.toml line 2: limits.size is -1; allowed: 0 to"),
        ("[limits]\nhandshake_s = 0\n", "limits.handshake_s is 0; allowed: 1 to 600 seconds"),
        ("[server]\nldapi = 1\n", "server.ldapi is 1; allowed: true or false"),
        (
            "[server]\nlisten = [\"http://x\"]\n",
            "server.listen is a list with something else in it; allowed: a list of",
        ),
        ("[tls]\nmin_version = \"1.1\"\n", "tls.min_version is \"1.1\"; allowed: \"1.2\" or \"1.3\""),
        ("[log]\nlevel = {}\n", "log.level is a table; allowed: \"error\""),
        ("[index]\nequality = [\"a b\"]\n", "index.equality is a list with something else in it"),
    ];
    for (text, expected) in cases {
        let shown = problem(text);
        assert!(shown.contains(expected), "{shown}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let problems = read("[limits]\nsize = true\nfoo = 1\n[nonsense]\na = 1\n").unwrap_err();
    assert_eq!(problems.len(), 3);
    assert!(problem("[limits]\nsize = = 1\n").starts_with("entente.toml line 2: not TOML"));
    assert!(problem("[limits]\nsize = 1\nsize = 2\n").contains("line 3"));
}

#[test]
fn arguments_without_a_name_or_value_are_refused() {
    for set in ["", "limits.size", "size=3", "=3", ".=", "limits.=1"] {
        assert!(with(&[set]).is_err(), "{set}");
    }
    assert!(with(&["size=3"]).unwrap_err().to_string().contains("did you mean limits.size?"));
}

#[test]
fn paths_in_the_file_are_meant_from_its_folder() {
    let config =
        read("[tls]\ncertificate = \"tls/cert.pem\"\nkey = \"/abs/key.pem\"\n[schema]\nfiles = [\"a.ldif\"]\n");
    let config = config.unwrap();
    assert_eq!(config.tls.certificate.as_deref(), Some(Path::new("/etc/entente/tls/cert.pem")));
    assert_eq!(config.tls.key.as_deref(), Some(Path::new("/abs/key.pem")));
    assert_eq!(config.schema.files, [Path::new("/etc/entente/a.ldif")]);
}

#[test]
fn replication_settings_that_no_member_could_use_are_told() {
    let found = |setting: &str| {
        let config = Config::load(None, &[format!("replication.{setting}")]).unwrap();
        let found = config.check().into_iter().filter(|finding| finding.setting.starts_with("replication."));
        found.map(|finding| finding.to_string()).collect::<Vec<_>>()
    };
    for good in [
        "listen=*",
        "listen=*:7636",
        "listen=192.0.2.1",
        "listen=[2001:db8::1]:7636",
        "advertise=[\"ldap1.example.org\"]",
    ] {
        assert_eq!(found(good), Vec::<String>::new(), "{good}");
    }
    for (wrong, part) in [
        ("listen=ldap://*:389", "no scheme"),
        ("listen=*:0", "1 to 65535"),
        ("listen=a:70000", "1 to 65535"),
        ("advertise=[\"*\"]", "none to dial"),
        ("advertise=[\"two words\"]", "no host"),
        ("name=\"a\tb\"", "control characters"),
    ] {
        assert!(
            found(wrong).iter().any(|text| text.starts_with("error: ") && text.contains(part)),
            "{wrong}: {:?}",
            found(wrong)
        );
    }
    let config =
        Config::load(None, &["replication.listen=127.0.0.1".into(), "replication.advertise=[\"a.example\"]".into()]);
    let told = config.unwrap().check().iter().any(|finding| finding.text.contains("on this machine alone"));
    assert!(told);
}

#[test]
fn a_reload_takes_what_it_can_and_names_the_rest() {
    let running = Config::default();
    let new = with(&["limits.size=7", "log.level=debug", "server.threads=3", "storage.readers=99"]).unwrap();
    let (merged, kept) = running.reloaded(&new);
    assert_eq!((merged.limits.size, merged.log.level), (7, LogLevel::Debug));
    assert_eq!((merged.server.threads, merged.storage.readers), (0, 512));
    assert_eq!(kept.iter().map(ToString::to_string).collect::<Vec<_>>(), ["server.threads", "storage.readers"]);
}

#[test]
fn index_selections_take_names_in_and_out() {
    let all = IndexSelection::all_but(&["userPassword"]);
    assert!(all.selects(&["cn", "commonName"]));
    assert!(!all.selects(&["USERPASSWORD"]));
    let some = IndexSelection::only(&["cn"]);
    assert!(some.selects(&["commonName", "CN"]));
    assert!(!some.selects(&["sn"]));
}

#[test]
fn check_finds_what_will_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("server.data_dir={}", folder.path().display());
    let config =
        with(&[&data, "server.listen=ldaps://*:636", "tls.client_ca=/nowhere/ca.pem", "limits.pdu_bytes=2048"]);
    let settings: Vec<&str> = config
        .unwrap()
        .check()
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.setting)
        .collect();
    assert_eq!(settings, ["tls.client_ca", "tls.certificate", "tls.client_ca", "limits.pdu_bytes"]);
    let config = with(&[&data, "limits.connections=1000"]).unwrap();
    assert!(config.check().iter().all(|finding| finding.severity < Severity::Error), "{:?}", config.check());
}

/// Cyrus SASL refuses more rounds than the default.
#[test]
fn check_says_that_clients_refuse_more_rounds_of_scram() {
    let told = |sets: &[&str]| {
        let findings = with(sets).unwrap().check();
        findings.iter().any(|finding| finding.setting == "password.scram_iterations")
    };
    let offered = r#"password.scram=["SCRAM-SHA-256"]"#;
    assert!(!told(&[offered]) && !told(&["password.scram_iterations=65537"]));
    assert!(told(&[offered, "password.scram_iterations=65537"]));
}

/// Rules with groupdn would silently mean nobody.
#[test]
fn check_says_that_rules_about_groups_need_the_index_of_members() {
    let told = |sets: &[&str]| {
        let findings = with(sets).unwrap().check().into_iter();
        let about =
            findings.filter(|finding| finding.setting.starts_with("index.") && finding.text.contains("groupdn"));
        about.map(|finding| finding.setting).collect::<Vec<_>>()
    };
    assert_eq!(told(&[]), [""; 0]);
    assert_eq!(told(&["index.equality=[\"*\", \"!member\"]"]), ["index.equality"]);
    assert_eq!(told(&["index.presence=[\"cn\", \"MEMBER\"]"]), ["index.presence"]);
    assert_eq!(told(&["index.equality=[]", "index.presence=[]"]).len(), 4);
}

#[test]
fn defaults_pass_hardening_but_for_what_a_person_must_decide() {
    let weak: Vec<&str> = Config::default()
        .hardening()
        .into_iter()
        .filter(|finding| finding.severity != Severity::Pass && finding.setting != "server")
        .map(|finding| finding.setting)
        .collect();
    assert_eq!(weak, ["server.loopback_needs_no_tls", "tls.min_version", "log.operations"]);
    let open = with(&["server.listen=ldap://*:389", "limits.size=0", "server.require_tls_for_simple_bind=false"]);
    let weak: Vec<&str> = open
        .unwrap()
        .hardening()
        .into_iter()
        .filter(|finding| finding.severity != Severity::Pass)
        .map(|finding| finding.setting)
        .collect();
    for setting in ["server.listen", "limits.size", "server.require_tls_for_simple_bind", "tls.certificate"] {
        assert!(weak.contains(&setting), "{setting}: {weak:?}");
    }
    for weakened in [
        "limits.failed_binds_per_account=0",
        "limits.failed_binds_per_address=100000",
        "limits.failed_binds_window_s=2",
        "server.proxy_protocol_from=[\"0.0.0.0/0\"]",
        "server.proxy_protocol_from=[\"2001:db8::/64\"]",
        "ldapi.user_attribute=uidNumber",
        "storage.check_at_start=never",
    ] {
        let (setting, _) = weakened.split_once('=').unwrap();
        let found =
            with(&[weakened]).unwrap().hardening().into_iter().find(|finding| finding.setting == setting).unwrap();
        assert_ne!(found.severity, Severity::Pass, "{weakened}: {found}");
        let found = Config::default().hardening().into_iter().find(|finding| finding.setting == setting).unwrap();
        assert_eq!(found.severity, Severity::Pass, "{found}");
    }
    let balancers = with(&["server.proxy_protocol_from=[\"192.0.2.7\", \"192.0.2.0/24\"]"]).unwrap().hardening();
    let found = balancers.into_iter().find(|finding| finding.setting == "server.proxy_protocol_from").unwrap();
    assert_eq!(found.severity, Severity::Pass, "{found}");
}

#[test]
fn the_floors_below_get_what_the_settings_say() {
    let config = with(&[
        "server.data_dir=/srv/data",
        "tls.certificate=/c.pem",
        "tls.key=/k.pem",
        "tls.min_version=1.3",
        "limits.connections=7",
    ])
    .unwrap();
    let urls: Vec<String> = config.listen_urls().iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["ldap://127.0.0.1:389", "ldapi://%2Fsrv%2Fdata%2Fldapi"]);
    let options = config.tls_options().unwrap();
    assert!(options.tls13_only && options.client_ca.is_none() && options.key == Path::new("/k.pem"));
    assert_eq!(config.admission_limits().connections, 7);
    assert_eq!(Config::default().tls_options(), None);
    assert!(with(&["server.ldapi=false", "server.listen=[]"]).unwrap().listen_urls().is_empty());
}

#[test]
fn encryption_without_a_key_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let found = |sets: &[&str]| {
        let config = with(sets).unwrap();
        let about = |finding: &Finding| finding.setting.starts_with("storage.encrypt");
        config.check().into_iter().filter(about).map(|finding| finding.to_string()).collect::<Vec<_>>()
    };
    assert!(found(&[]).is_empty());
    let [one] = &found(&[r#"storage.encrypted_attributes=["mail"]"#])[..] else { panic!("one") };
    assert!(one.starts_with("error") && one.contains("create-key"), "{one}");
    let missing = format!("storage.encryption_key_file={}", folder.path().join("none").display());
    assert_eq!(found(&[&missing]).len(), 1);
}
