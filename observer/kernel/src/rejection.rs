//! What a refusal of the kernel means.
//!
//! A way that is not to be had on a kernel is no fault: the next one is taken, and the reason is recorded. Any other
//! refusal is a fault of ours, whatever way is taken in its place: it is in the notes, and in the exit code.

use aya::programs::ProgramError;

/// The kernel's words for what it does not have, or does not allow who asks.
const NOT_HERE: &[&str] = &[
    // A helper function that is younger than the kernel, or not for programs of this kind.
    "invalid func unknown#",
    "unknown func bpf_",
    // A helper that lockdown takes away; before 5.15 by the number alone.
    "cannot use helper bpf_probe_read",
    // An atomic instruction before 5.12.
    "BPF_STX uses reserved fields",
    // Lockdown, or a capability that is missing.
    "Operation not permitted",
    // A place, or an architecture's support of it, that is not there.
    "No such process",
    "os error 524",
    // A field that the plan found missing.
    "this kernel has no `",
];

/// The verifier's sums at the end of its log: another number each time, and no reason.
const SUMS: &[&str] = &["processed ", "verification time ", "stack depth ", "insns processed "];

/// Whether the kernel says that it does not have something, or that it does not allow it.
#[must_use]
pub fn is_not_here(reason: &str) -> bool {
    NOT_HERE.iter().any(|words| reason.contains(words))
}

/// The refusal of a program: the kernel's words, and of a verifier's log the lines that decide.
#[must_use]
pub fn of(error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else { return chain(error) };
    let decisive = decisive(&verifier_log.to_string());
    if decisive.is_empty() { io_error.to_string() } else { format!("{io_error}: {decisive}") }
}

/// The last lines of a verifier's log that are no sums: what it looked at, and what is wrong with it.
fn decisive(log: &str) -> String {
    let is_sum = |line: &&str| SUMS.iter().any(|sum| line.trim_start().starts_with(sum));
    let telling: Vec<&str> =
        log.lines().map(str::trim).filter(|line| !line.is_empty() && !is_sum(line)).collect();
    telling[telling.len().saturating_sub(3)..].join(" / ")
}

/// An error with all its causes in one line.
#[must_use]
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
    fn of_a_log_the_lines_that_decide_are_left() {
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
    fn what_a_kernel_lacks_is_told_from_a_fault_of_ours() {
        assert!(is_not_here(
            "Invalid argument (os error 22): 34: (85) call unknown#162 / invalid func unknown#162"
        ));
        assert!(is_not_here("Operation not permitted (os error 1)"));
        assert!(!is_not_here("Invalid argument (os error 22): access beyond struct sock"));
        assert!(!is_not_here("Permission denied (os error 13): R1 invalid mem access 'scalar'"));
    }
}
