//! Starting workloads, and both sides of the protocol with them.
//!
//! A workload writes one JSON object a line: its truth so far, with its `pid`. It acts only on a line of its standard
//! input, and exits at the end of the input. So a test knows the time and content of each action.

use std::{
    io::{BufRead as _, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::Receiver,
};

use serde_json::Value;

use crate::{child, workload_path};

/// A running workload; killed on drop.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    command: String,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Its first line: `{"ready":true,…}`.
    pub ready: Value,
}

impl Workload {
    /// Starts `workload` with these arguments, and waits until it is ready.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(workload_path());
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts any command with the protocol of a workload (a program in another language, or of another user).
    ///
    /// # Panics
    /// When its first line does not report that it is ready.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child::spawn(&mut command);
        let input = child.stdin.take();
        let lines = child::lines(child.stdout.take().expect("standard output is piped"));
        let mut workload = Self { child, command: shown, input, lines, ready: Value::Null };
        workload.ready = workload.read();
        assert_eq!(workload.ready["ready"], true, "{} is not ready", workload.command);
        workload
    }

    /// The id of the started process; a workload of several processes reports the others itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request: `step`, `quit`, or a command of its domain.
    ///
    /// # Panics
    /// When its input is closed.
    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open until `quit`");
        if let Err(error) = writeln!(input, "{line}") {
            panic!("{} does not read `{line}`: {error}", self.command);
        }
    }

    /// Reads its next line.
    ///
    /// # Panics
    /// When it writes nothing within [`deadline`](crate::deadline), has exited, or writes a line that is not JSON.
    pub fn read(&mut self) -> Value {
        match self.lines.recv_timeout(crate::deadline()) {
            Ok(line) => serde_json::from_str(&line).unwrap_or_else(|error| {
                panic!("{} wrote a line that is not JSON ({error}): {line}", self.command)
            }),
            Err(error) => panic!("{} writes nothing: {error}", self.command),
        }
    }

    /// Sends a request and returns the answer.
    pub fn ask(&mut self, line: &str) -> Value {
        self.send(line);
        self.read()
    }

    /// Closes its input, waits until it exits, and returns its exit code.
    pub fn quit(mut self) -> Option<i32> {
        self.input = None;
        child::wait(&mut self.child, &self.command).code()
    }

    /// Kills it, and waits until it has exited.
    pub fn kill(mut self) {
        child::signal(&self.child, libc::SIGKILL);
        child::wait(&mut self.child, &self.command);
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The workload's side: writes its truth so far, with its `pid`.
///
/// # Panics
/// When `truth` is not a JSON object.
pub fn tell(mut truth: Value) {
    truth.as_object_mut().expect("a truth is an object").insert("pid".to_owned(), std::process::id().into());
    // If the test has ended, so does the workload, with its input.
    let _ = writeln!(std::io::stdout().lock(), "{truth}");
}

/// The workload's side: the words of the next request; `None` at the end.
#[must_use]
pub fn hear() -> Option<Vec<String>> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(length) if length > 0 && line.trim() != "quit" => {
            Some(line.split_whitespace().map(str::to_owned).collect())
        }
        _ => None,
    }
}
