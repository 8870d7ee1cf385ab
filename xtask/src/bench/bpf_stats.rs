//! The kernel's BPF statistics: how often the BPF programs of processes ran, and for how long.
//!
//! The additional time of a call is small against the call itself, and noise of the machine can hide it. The statistics
//! measure a program from its start to its end, so only noise within the run counts. They include one clock read per
//! run. They do not include the kernel's path to the program and back.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result};

use super::child::LineChild;

/// Switches the statistics on and off; they take time themselves.
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The statistics are on while this value lives.
pub struct BpfStats {
    before: String,
}

/// Run time and runs of some programs, since they were loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTime {
    pub nanoseconds: u64,
    pub runs: u64,
}

impl BpfStats {
    /// Switches the statistics on.
    ///
    /// # Errors
    /// When the kernel has no such switch, or without root.
    pub fn enable() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self { before })
    }

    /// The sum over all programs that these processes hold.
    ///
    /// # Errors
    /// When a process has exited.
    pub fn read(&self, holders: &[LineChild]) -> Result<RunTime> {
        let mut programs = HashMap::new();
        for holder in holders {
            let folder = format!("/proc/{}/fdinfo", holder.pid());
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
                // A descriptor may be closed meanwhile.
                let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
                programs.extend(program(&text));
            }
        }
        let add = |sum: RunTime, ran: &RunTime| RunTime {
            nanoseconds: sum.nanoseconds + ran.nanoseconds,
            runs: sum.runs + ran.runs,
        };
        Ok(programs.values().fold(RunTime::default(), add))
    }
}

impl Drop for BpfStats {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, &self.before);
    }
}

/// Reads `fdinfo`: the id of the program that a descriptor refers to, and its statistics; `None` if it refers to
/// something else.
fn program(text: &str) -> Option<(u64, RunTime)> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().parse().ok()
    };
    let ran = RunTime { nanoseconds: field("run_time_ns")?, runs: field("run_cnt")? };
    Some((field("prog_id")?, ran))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_descriptor_of_a_program_counts() {
        let of_program =
            "pos:\t0\nprog_type:\t26\nprog_id:\t41\nrun_time_ns:\t5200\nrun_cnt:\t100\nverified_insns:\t7\n";
        assert_eq!(program(of_program), Some((41, RunTime { nanoseconds: 5200, runs: 100 })));
        assert_eq!(program("pos:\t0\nlink_type:\ttracing\nprog_id:\t41\n"), None);
    }
}
