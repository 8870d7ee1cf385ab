//! Running observer, and reading its reports.

use std::{
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{child, observer_path};

/// A running observer with JSON output; killed on drop.
#[derive(Debug)]
pub struct Observer {
    child: Child,
    command: String,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    last: Option<Value>,
    text: String,
}

/// The result of a finished observer.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote to standard error.
    pub stderr: String,
    /// Reports that were not read before.
    pub reports: Vec<Value>,
    /// All of its standard output, including earlier reports.
    pub stdout: String,
}

impl Observer {
    /// Starts it with these arguments; `--json` should be among them.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(Self::command(arguments))
    }

    /// The command that [`Observer::start`] runs, for a test that changes its user, environment or descriptors.
    ///
    /// A live one gets the budget of a whole core, so that reports come at the requested interval. It loads the kernel
    /// objects in the folder `OBSERVER_OBJECTS`, if set.
    #[must_use]
    pub fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(observer_path());
        command.args(arguments);
        let live = matches!(arguments.first(), Some(&("overview" | "mem" | "disk" | "net" | "record")));
        if live && !arguments.contains(&"--budget") {
            command.args(["--budget", "100"]);
        }
        if live && let Some(folder) = std::env::var_os("OBSERVER_OBJECTS") {
            command.arg("--objects").arg(folder);
        }
        command
    }

    /// Starts a changed command, with standard output and error captured.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child::spawn(&mut command);
        let lines = child::lines(child.stdout.take().expect("standard output is piped"));
        let errors = child::all(child.stderr.take().expect("standard error is piped"));
        Self { child, command: shown, lines, errors: Some(errors), last: None, text: String::new() }
    }

    /// Runs it until it exits.
    #[must_use]
    pub fn run(arguments: &[&str]) -> Finished {
        Self::start(arguments).finish()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next report; `None` at the end of the output.
    ///
    /// # Panics
    /// When none comes within `deadline`, or when a line is not JSON.
    pub fn next_report(&mut self, deadline: Duration) -> Option<Value> {
        let line = match self.lines.recv_timeout(deadline) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => panic!(
                "no report of {} within {deadline:?}; the last one was\n{}",
                self.command,
                shown(self.last.as_ref())
            ),
        };
        let report = parse(&line);
        self.keep(&line);
        self.last = Some(report.clone());
        Some(report)
    }

    /// The next report, which must come.
    ///
    /// # Panics
    /// When none comes.
    pub fn report(&mut self) -> Value {
        match self.next_report(crate::deadline()) {
            Some(report) => report,
            None => self.ended_too_early(),
        }
    }

    /// Reads reports until `wanted` returns a value for one.
    ///
    /// # Panics
    /// When none does within [`deadline`](crate::deadline); the message contains the last report.
    pub fn wait_for<T>(&mut self, mut wanted: impl FnMut(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + crate::deadline();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(report) = self.next_report(left) else { self.ended_too_early() };
            if let Some(found) = wanted(&report) {
                return found;
            }
            assert!(
                !left.is_zero(),
                "not found within {:?}; the last report was\n{report:#}",
                crate::deadline()
            );
        }
    }

    /// Closes the pipe of its output, once it has written the next report.
    pub fn close_output(&mut self) {
        // The reading thread ends when its channel is closed, and closes the pipe.
        drop(std::mem::replace(&mut self.lines, std::sync::mpsc::channel().1));
    }

    /// Sends SIGINT, like Ctrl-C.
    pub fn interrupt(&self) {
        child::signal(&self.child, libc::SIGINT);
    }

    /// Sends SIGTERM, like a service manager.
    pub fn terminate(&self) {
        child::signal(&self.child, libc::SIGTERM);
    }

    /// Sends SIGSTOP: events meanwhile wait in the kernel.
    pub fn stop(&self) {
        child::signal(&self.child, libc::SIGSTOP);
    }

    /// Sends SIGCONT, after [`Self::stop`].
    pub fn resume(&self) {
        child::signal(&self.child, libc::SIGCONT);
    }

    /// Sends SIGKILL, so that it cannot clean up.
    pub fn kill(&self) {
        child::signal(&self.child, libc::SIGKILL);
    }

    /// Waits until it exits; interrupt it first if it does not exit by itself.
    ///
    /// # Panics
    /// When it does not exit.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let status = child::wait(&mut self.child, &self.command);
        let unread: Vec<String> = self.lines.iter().collect();
        unread.iter().for_each(|line| self.keep(line));
        let reports = unread.iter().map(|line| parse(line)).collect();
        let stdout = std::mem::take(&mut self.text);
        Finished { code: status.code(), stderr: self.stderr(), reports, stdout }
    }

    fn keep(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn stderr(&mut self) -> String {
        self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default()
    }

    fn ended_too_early(&mut self) -> ! {
        let status = child::wait(&mut self.child, &self.command);
        let stderr = self.stderr();
        panic!(
            "{} exited ({status}) too early; its standard error was\n{stderr}\nthe last report was\n{}",
            self.command,
            shown(self.last.as_ref())
        );
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("not a line of JSON ({error}): {line}"))
}

fn shown(report: Option<&Value>) -> String {
    report.map_or_else(|| "(none)".to_owned(), |report| format!("{report:#}"))
}
