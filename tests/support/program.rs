//! Programs that a test starts: output collected, waited for with a deadline, ended when their owner goes.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{Deadline, PATIENCE, wait_for, wait_for_within};

/// The server under test, as cargo built it; for long campaigns another build of it, by `ENTENTE_PROGRAM`.
pub(crate) fn entente() -> Command {
    match std::env::var_os("ENTENTE_PROGRAM") {
        Some(program) => Command::new(program),
        None => Command::new(env!("CARGO_BIN_EXE_entente")),
    }
}

/// A program that runs beside the test. Dropping it kills it.
pub(crate) struct Program {
    name: String,
    child: Child,
    lines: Mutex<Receiver<String>>,
    said: Arc<Mutex<String>>,
}

impl Program {
    /// Starts the command; standard output is read line by line, both outputs are kept for messages.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let output = child.stdout.take().expect("stdout is piped");
        let errors = child.stderr.take().expect("stderr is piped");
        let said_by_output = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                remember(&said_by_output, &line);
                // Nobody may be listening any more; the pipe is drained all the same.
                let _ = sender.send(line);
            }
        });
        let said_by_errors = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                remember(&said_by_errors, &line);
            }
        });
        Self { name, child, lines: Mutex::new(lines), said }
    }

    /// The next line of standard output that begins with `prefix`.
    #[track_caller]
    pub(crate) fn wait_for_line(&mut self, prefix: &str) -> String {
        match self.try_wait_for_line(prefix) {
            Ok(line) => line,
            Err(why) => panic!("no line '{prefix}…' from {}: {why}; it said:\n{}", self.name, self.said()),
        }
    }

    /// [`Program::wait_for_line`] that says why there is none.
    pub(crate) fn try_wait_for_line(&mut self, prefix: &str) -> Result<String, String> {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
            match lines.recv_timeout(deadline.left()) {
                Ok(line) if line.starts_with(prefix) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Err(format!("silent for {} s", PATIENCE.as_secs())),
                Err(RecvTimeoutError::Disconnected) => return Err(format!("it ended: {:?}", self.wait())),
            }
        }
    }

    /// Everything said on both outputs so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().map(|said| said.clone()).unwrap_or_default()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended by itself; its exit status tells then.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let child = &mut self.child;
        wait_for(&what, || child.try_wait().ok().flatten())
    }

    /// SIGTERM, then the exit status.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL: no chance to tidy up.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        // T-09: whatever a test does to a server, none of it may be a defect that the server has to tell of.
        let said = self.said();
        let defect = said.lines().find(|line| line.contains("defect in the server"));
        assert!(std::thread::panicking() || defect.is_none(), "{}: {defect:?}", self.name);
    }
}

fn remember(said: &Mutex<String>, line: &str) {
    if let Ok(mut said) = said.lock() {
        said.push_str(line);
        said.push('\n');
    }
}

/// How a program ended that was run to its end.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Fails unless the exit status is 0; returns standard output.
    #[track_caller]
    pub(crate) fn expect_success(self) -> String {
        assert!(self.status.success(), "{self:#?}");
        self.stdout
    }

    /// Fails unless the exit status is the one given.
    #[track_caller]
    pub(crate) fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.status.code(), Some(status), "{self:#?}");
        self
    }

    /// Fails if the program said that all is well; returns both outputs.
    #[track_caller]
    pub(crate) fn expect_failure(self) -> String {
        assert!(!self.status.success(), "{self:#?}");
        self.stdout + &self.stderr
    }
}

/// Runs a program to its end, at most ten minutes, with `input` on its standard input.
#[track_caller]
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Finished {
    let shown = format!("{command:?}");
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // A program may end without reading everything.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let status = wait_for_within(Duration::from_secs(600), &shown, || child.try_wait().ok().flatten());
    writer.join().expect("writing does not panic");
    let text = |handle: JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&handle.join().expect("reading does not panic")).into_owned()
    };
    Finished { command: shown, status, stdout: text(stdout), stderr: text(stderr) }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// Runs a program to its end with empty input.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Finished {
    run_with_input(command, b"")
}
