//! Starting workloads, and both halves of the dialogue with them.
//!
//! A workload writes one JSON object a line: its truth so far, with its `pid`. It does nothing until it is told to by
//! a line on its standard input, and quits when that ends. So a test knows what has been done, and when.

use std::{
    io::{BufRead as _, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::Receiver,
};

use serde_json::Value;

use crate::{child, workload_path};

/// A workload that is running; killed when dropped.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    what: String,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// The first thing it said: `{"ready":true,…}`.
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

    /// Starts any command that speaks as a workload does (a program in another language, another user's).
    ///
    /// # Panics
    /// When its first line does not say that it is ready.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child::spawn(&mut command);
        let input = child.stdin.take();
        let lines = child::lines(child.stdout.take().expect("standard output is piped"));
        let mut workload = Self { child, what, input, lines, ready: Value::Null };
        workload.ready = workload.read();
        assert_eq!(workload.ready["ready"], true, "{} is not ready", workload.what);
        workload
    }

    /// The process that was started; a workload of several processes names the others itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something: `step`, `quit`, or what its domain understands.
    ///
    /// # Panics
    /// When it does not listen any more.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open until `quit`");
        if let Err(error) = writeln!(input, "{line}") {
            panic!("{} does not listen to `{line}`: {error}", self.what);
        }
    }

    /// What it says next.
    ///
    /// # Panics
    /// When it says nothing within [`deadline`](crate::deadline), has ended, or says something else than JSON.
    pub fn read(&mut self) -> Value {
        match self.lines.recv_timeout(crate::deadline()) {
            Ok(line) => serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("{} said no JSON ({error}): {line}", self.what)),
            Err(error) => panic!("{} says nothing: {error}", self.what),
        }
    }

    /// Tells it something and returns its answer.
    pub fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        self.read()
    }

    /// Closes its input, waits for its end, and returns its exit code.
    pub fn quit(mut self) -> Option<i32> {
        self.input = None;
        child::wait(&mut self.child, &self.what).code()
    }

    /// Ends it at once, and waits until it is gone.
    pub fn kill(mut self) {
        child::signal(&self.child, libc::SIGKILL);
        child::wait(&mut self.child, &self.what);
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The workload's half: tells the test its truth so far; its `pid` is added.
///
/// # Panics
/// When `truth` is no JSON object.
pub fn tell(mut truth: Value) {
    truth.as_object_mut().expect("a truth is an object").insert("pid".to_owned(), std::process::id().into());
    // A test that no longer listens has ended: so does the workload, with its input.
    let _ = writeln!(std::io::stdout().lock(), "{truth}");
}

/// The workload's half: the words of the next line that the test says; `None` when it is time to quit.
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
