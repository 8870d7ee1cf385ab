//! What a rejection by the kernel means.
//!
//! An alternative that a kernel does not support is no fault: the next one is used, and the reason is recorded. Any
//! other rejection is a fault of observer, even if another alternative works: the notes and the exit code report it.

use std::fmt;

use aya::programs::ProgramError;
use observer_common::names::ProgramName;

use super::{control_group::NoControlGroup, types::NoField};
use observer_core::hook::Alternative;

/// Why a program was not loaded or attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the object has no program {0}")]
    NoProgram(ProgramName),
    /// The error of the kernel or of the loader, with its causes; if the verifier rejected the program, with the
    /// decisive lines of its log.
    #[error("{0}")]
    Kernel(String),
}

/// An alternative that was possible in the plan, and that the kernel rejected nevertheless.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub alternative: &'static Alternative,
    pub reason: Rejection,
    /// Fields that its programs have no offset for: often the cause.
    pub lacking: Vec<NoField>,
}

impl Rejected {
    /// Whether this kernel lacks something, or does not allow it. Otherwise the rejection is a fault of observer.
    pub fn is_not_here(&self) -> bool {
        self.lacking.iter().any(|field| matches!(field, NoField::Missing { .. })) || is_not_here(&self.reason)
    }
}

/// The reason, then the lacking fields.
impl fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.reason)?;
        self.lacking.iter().try_for_each(|field| write!(formatter, "; {field}"))
    }
}

/// Messages of the kernel about something that it lacks, or that it does not allow this process.
const NOT_HERE: &[&str] = &[
    // A helper function that is newer than the kernel, or not for programs of this kind.
    "invalid func unknown#",
    "unknown func bpf_",
    // A helper that lockdown removes; before 5.15 named only by its number.
    "cannot use helper bpf_probe_read",
    // An atomic instruction before 5.12.
    "BPF_STX uses reserved fields",
    // Lockdown, or a capability that is missing.
    "Operation not permitted",
    // An attach point, or an architecture's support of it, that is missing.
    "No such process",
    "os error 524",
];

/// The statistics at the end of a verifier log: they differ each time and are no reason.
const SUMS: &[&str] = &["processed ", "verification time ", "stack depth ", "insns processed "];

fn is_not_here(reason: &Rejection) -> bool {
    matches!(reason, Rejection::Kernel(text) if NOT_HERE.iter().any(|words| text.contains(words)))
}

impl From<NoControlGroup> for Rejection {
    fn from(error: NoControlGroup) -> Self {
        Self::Kernel(error.to_string())
    }
}

impl From<ProgramError> for Rejection {
    fn from(error: ProgramError) -> Self {
        let ProgramError::LoadError { io_error, verifier_log } = &error else {
            return Self::Kernel(chain(&error));
        };
        let decisive = decisive(&verifier_log.to_string());
        Self::Kernel(if decisive.is_empty() {
            io_error.to_string()
        } else {
            format!("{io_error}: {decisive}")
        })
    }
}

/// The last lines of a verifier log without its statistics: the rejected instruction and the reason.
fn decisive(log: &str) -> String {
    let is_sum = |line: &&str| SUMS.iter().any(|sum| line.trim_start().starts_with(sum));
    let lines: Vec<&str> =
        log.lines().map(str::trim).filter(|line| !line.is_empty() && !is_sum(line)).collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}

/// An error with all its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decisive_lines_of_a_log_are_kept() {
        let log = "0: R1=ctx(off=0)\n; let sk = context.arg(0)\n12: (79) r1 = *(u64 *)(r6 +4294967295)\n\
                   access beyond struct sock\nverification time 212 usec\nstack depth 64\n\
                   processed 13 insns (limit 1000000) max_states_per_insn 0\n\n";
        assert_eq!(
            decisive(log),
            "; let sk = context.arg(0) / 12: (79) r1 = *(u64 *)(r6 +4294967295) / access beyond struct sock"
        );
        assert_eq!(decisive(""), "");
    }

    #[test]
    fn a_missing_feature_is_distinguished_from_a_fault_of_observer() {
        let is_not_here = |text: &str| is_not_here(&Rejection::Kernel(text.to_owned()));
        assert!(is_not_here(
            "Invalid argument (os error 22): 34: (85) call unknown#162 / invalid func unknown#162"
        ));
        assert!(is_not_here("Operation not permitted (os error 1)"));
        assert!(!is_not_here("Invalid argument (os error 22): access beyond struct sock"));
        assert!(!is_not_here("Permission denied (os error 13): R1 invalid mem access 'scalar'"));
    }
}
