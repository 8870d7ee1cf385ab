//! What failed, why, and what to do next; with the exit code that says which kind of failure it is.

use std::{fmt, io};

use crate::text::harmless;

/// How the program ends. The numbers are part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// It answered, but a promised column is missing for the whole run or something was lost.
    Incomplete = 3,
    /// It did what was asked, and found something that harms the machine or soon will (`overview --once`).
    Urgent = 10,
    /// It lacks the privilege or the kernel feature.
    Unable = 77,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// An error as the user reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What was being done: "reading recording x".
    doing: String,
    /// What went wrong, in the words of who refused.
    why: String,
    /// What to do next, a whole sentence; empty where there is nothing to advise.
    next: String,
    pub exit: Exit,
}

impl Error {
    /// Something that should have worked did not.
    pub fn failed(doing: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self {
            doing: harmless(&doing.to_string()),
            why: harmless(&why.to_string()),
            next: String::new(),
            exit: Exit::Failed,
        }
    }

    /// What was typed cannot be done.
    pub fn usage(doing: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(doing, why) }
    }

    /// The privilege or the kernel feature is missing.
    pub fn unable(doing: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { exit: Exit::Unable, ..Self::failed(doing, why) }
    }

    /// A write to standard output failed. Where its reader has gone, that is the end and no failure: the exit is
    /// [`Exit::Done`], and there is nothing to print.
    pub fn output(cause: &io::Error) -> Self {
        let error = Self::failed("writing the report to standard output", cause);
        if cause.kind() == io::ErrorKind::BrokenPipe { Self { exit: Exit::Done, ..error } } else { error }
    }

    /// The same error with advice.
    #[must_use]
    pub fn advise(mut self, next: impl fmt::Display) -> Self {
        self.next = next.to_string();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.doing, self.why)?;
        if self.next.is_empty() { Ok(()) } else { write!(formatter, "\n{}", self.next) }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let error = Error::failed("opening night.obs", "no such file")
            .advise("Give the path of a file that `observer record` wrote.");
        assert_eq!(
            error.to_string(),
            "opening night.obs: no such file\nGive the path of a file that `observer record` wrote."
        );
        assert_eq!(error.exit.code(), 1);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        assert_eq!(Error::output(&io::ErrorKind::BrokenPipe.into()).exit.code(), 0);
        assert_eq!(Error::output(&io::ErrorKind::StorageFull.into()).exit.code(), 1);
    }
}
