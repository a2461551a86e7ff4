//! What a supervisor of the sd_notify kind is told: ready, reloading, stopping.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::program::{Program, entente, run};

fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).expect("the supervisor is told within its time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn supervisor_is_told_of_start_reload_and_stop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket of our own");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
    let (data, password) = (folder.path().join("data"), folder.path().join("password"));
    std::fs::write(&password, "secret\n").expect("a file of our own");
    let mut init = entente();
    init.arg("init").arg("--data").arg(&data).args(["--suffix", "dc=example,dc=com"]);
    run(init.arg("--admin-password-file").arg(&password)).expect_success();
    let mut program = Program::start(
        entente()
            .arg("serve")
            .arg("--data")
            .arg(&data)
            .args(["--listen", "ldap://127.0.0.1:0"])
            .env("NOTIFY_SOCKET", folder.path().join("notify")),
    );
    assert_eq!(next(&socket).trim(), "READY=1");
    program.signal(Signal::HUP);
    assert!(next(&socket).starts_with("RELOADING=1"));
    assert_eq!(next(&socket).trim(), "READY=1");
    assert!(program.terminate().success());
    assert_eq!(next(&socket).trim(), "STOPPING=1");
}
