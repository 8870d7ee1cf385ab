//! What a rejection by the kernel means.
//!
//! An alternative that a kernel does not support is no fault: the next one is used, and the reason is recorded. Any
//! other rejection is a fault of observer, even if another alternative works: the notes and the exit code report it.

use aya::programs::ProgramError;

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
    // A field that the plan did not find.
    "this kernel has no `",
];

/// The statistics at the end of a verifier log: they differ each time and are no reason.
const SUMS: &[&str] = &["processed ", "verification time ", "stack depth ", "insns processed "];

/// Whether the kernel reports that it lacks something, or that it does not allow it.
pub fn is_not_here(reason: &str) -> bool {
    NOT_HERE.iter().any(|words| reason.contains(words))
}

/// The rejection of a program as text: the error, and the decisive lines of the verifier's log.
pub fn of(error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else { return chain(error) };
    let decisive = decisive(&verifier_log.to_string());
    if decisive.is_empty() { io_error.to_string() } else { format!("{io_error}: {decisive}") }
}

/// The last lines of a verifier log without its statistics: the rejected instruction and the reason.
fn decisive(log: &str) -> String {
    let is_sum = |line: &&str| SUMS.iter().any(|sum| line.trim_start().starts_with(sum));
    let telling: Vec<&str> =
        log.lines().map(str::trim).filter(|line| !line.is_empty() && !is_sum(line)).collect();
    telling[telling.len().saturating_sub(3)..].join(" / ")
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
        assert!(is_not_here(
            "Invalid argument (os error 22): 34: (85) call unknown#162 / invalid func unknown#162"
        ));
        assert!(is_not_here("Operation not permitted (os error 1)"));
        assert!(!is_not_here("Invalid argument (os error 22): access beyond struct sock"));
        assert!(!is_not_here("Permission denied (os error 13): R1 invalid mem access 'scalar'"));
    }
}
