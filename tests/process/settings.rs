//! Wrong settings are errors in words: the key, the nearest known one, the place.

use crate::support::program::{Finished, entente, run};
use crate::support::server::{Server, Setup, init};
use crate::support::wait::wait_until;
use crate::support::{code, oid, request};

/// `entente serve` on fresh data with further arguments; it must end by itself.
#[track_caller]
fn serve_with(arguments: &[&str]) -> Finished {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    init(&data, folder.path());
    let mut command = entente();
    command.arg("serve").arg("--data").arg(&data).args(["--listen", "ldap://127.0.0.1:0"]);
    run(command.args(arguments))
}

#[test]
fn unknown_setting_names_the_nearest_known_one() {
    for (wrong, right) in
        [("limits.sice=3", "limits.size"), ("limit.size=3", "limits"), ("tls.certificat=x", "tls.certificate")]
    {
        let text = serve_with(&["--set", wrong]).expect_failure();
        assert!(text.contains(right), "{wrong}: {text}");
    }
}

#[test]
fn value_of_the_wrong_kind_names_the_setting() {
    for wrong in ["limits.size=many", "limits.size=-1", "log.level=shouting", "limits.size"] {
        let text = serve_with(&["--set", wrong]).expect_failure();
        assert!(text.contains(wrong.split('=').next().unwrap_or_default()), "{wrong}: {text}");
    }
}

#[test]
fn unknown_key_of_the_file_names_line_or_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("entente.toml");
    std::fs::write(&file, "[limits]\nsize = 10\nsice = 3\n").expect("temporary folder is writable");
    let text = run(entente().arg("serve").arg("--config").arg(&file)).expect_failure();
    assert!(text.contains("sice") && text.contains("size"), "{text}");
}

#[test]
fn busy_port_names_the_port_and_the_setting() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let url = format!("ldap://127.0.0.1:{port}");
    let text = serve_with(&["--listen", &url]).expect_failure();
    assert!(text.contains(&port.to_string()) && text.contains("listen"), "{text}");
}

#[test]
fn data_that_is_not_there_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("nothing");
    for command in ["serve", "export", "check"] {
        let text = run(entente().arg(command).arg("--data").arg(&data)).expect_failure();
        assert!(text.contains("nothing") && text.contains("init"), "{command}: {text}");
    }
    assert!(!data.exists(), "a failed command leaves no folder behind");
}

#[test]
fn second_server_on_the_same_data_is_refused() {
    let server = Server::start(Setup::default());
    let mut command = entente();
    command.arg("serve").arg("--data").arg(server.data()).args(["--listen", "ldap://127.0.0.1:0"]);
    run(&mut command).expect_failure();
    assert_eq!(server.anonymous().who_am_i(), "");
}

#[test]
fn init_does_not_overwrite_data() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    init(&data, folder.path());
    let mut command = entente();
    command.arg("init").arg("--data").arg(&data).args(["--suffix", "dc=other"]);
    command.arg("--admin-password-file").arg(folder.path().join("admin-password"));
    let text = run(&mut command).expect_failure();
    assert!(text.contains("data"), "{text}");
}

#[test]
fn what_is_no_option_is_refused_in_the_settings() {
    let text = serve_with(&["--set", r#"schema.attribute_options=["lang-", "a b"]"#]).expect_failure();
    assert!(text.contains("schema.attribute_options") && text.contains("\"a b\" is no option"), "{text}");
}

/// A folder of somebody else's is no data folder; what the program itself, the settings and the command name may be there.
#[test]
fn init_in_a_folder_with_other_files_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("schema")).expect("temporary folder is writable");
    let password = data.join("admin-password");
    std::fs::write(&password, "secret-1234\n").expect("temporary folder is writable");
    crate::support::tls::restrict(&password);
    std::fs::write(data.join("letter.txt"), "Dear").expect("temporary folder is writable");
    let mut command = entente();
    command.arg("init").arg("--data").arg(&data).args(["--suffix", "dc=example,dc=com"]);
    command.arg("--admin-password-file").arg(&password);
    let text = run(&mut command).expect_failure();
    assert!(text.contains("letter.txt") && text.contains("choose an empty folder"), "{text}");
    assert!(!text.contains("admin-password"), "{text}");
    let mut left: Vec<_> =
        std::fs::read_dir(&data).expect("it is there").flatten().map(|file| file.file_name()).collect();
    left.sort();
    assert_eq!(left, ["admin-password", "letter.txt", "schema"]);
    std::fs::remove_file(data.join("letter.txt")).expect("it was just written");
    run(&mut command).expect_success();
}

#[test]
fn init_with_a_suffix_that_is_no_dn_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let password = folder.path().join("pw");
    std::fs::write(&password, "secret-1234\n").expect("temporary folder is writable");
    crate::support::tls::restrict(&password);
    let mut command = entente();
    command.arg("init").arg("--data").arg(folder.path().join("data")).args(["--suffix", "example"]);
    let text = run(command.arg("--admin-password-file").arg(&password)).expect_failure();
    assert!(text.contains("example"), "{text}");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn init_without_the_password_file_names_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = entente();
    command.arg("init").arg("--data").arg(folder.path().join("data")).args(["--suffix", "dc=example,dc=com"]);
    let text = run(command.arg("--admin-password-file").arg(folder.path().join("no-such-file"))).expect_failure();
    assert!(text.contains("no-such-file"), "{text}");
}

/// A certificate without its key cannot serve.
#[test]
fn certificate_without_a_key_is_refused() {
    let text = serve_with(&["--set", "tls.certificate=/nowhere.pem"]).expect_failure();
    assert!(text.contains("tls."), "{text}");
}

/// SIGHUP ends neither the server nor a connection, old or new.
#[test]
fn sighup_reloads_and_every_connection_goes_on() {
    let server = Server::start(Setup::default().with_tls());
    let who_am_i = request::extended(oid::WHO_AM_I, None);
    let mut before = server.person("ann");
    let process = server.process_id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).unwrap_or(0)));
    rustix::process::kill_process(process.expect("a process"), rustix::process::Signal::HUP).expect("our own process");
    let mut answers = 0;
    wait_until("word of the reload", || {
        let answer = server.anonymous().try_perform(&who_am_i);
        assert!(answer.is_some(), "no answer to connection {answers} amid the reload: {}", server.said());
        answers += 1;
        server.said().contains("reload")
    });
    before.perform(&who_am_i).expect(code::SUCCESS);
    server.anonymous().perform(&who_am_i).expect(code::SUCCESS);
}
