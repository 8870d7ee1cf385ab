//! The kernel's own books: how often the BPF programs of processes ran, and how long.
//!
//! What a call takes more is small beside the call, and drowns where neighbours slow the machine down by turns. How long a
//! program runs is measured from its start to its end, so noise is a part of that alone. In it is one look at the clock, of
//! a run of any program; not in it is the kernel's way to the program and back.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result};

use super::child::Speaker;

/// Whether the kernel keeps books, which itself takes time.
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Books are kept while this lives.
pub struct Books {
    before: String,
}

/// What is in the books of some programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    pub nanoseconds: u64,
    pub times: u64,
}

impl Books {
    /// # Errors
    /// When the kernel keeps none.
    pub fn open() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self { before })
    }

    /// What the programs that these processes hold have run so far, all together.
    ///
    /// # Errors
    /// When one is gone.
    pub fn read(&self, holders: &[Speaker]) -> Result<Ran> {
        let mut programs = HashMap::new();
        for holder in holders {
            let folder = format!("/proc/{}/fdinfo", holder.pid());
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
                // A descriptor may be closed meanwhile.
                let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
                programs.extend(program(&text));
            }
        }
        let add = |sum: Ran, ran: &Ran| Ran {
            nanoseconds: sum.nanoseconds + ran.nanoseconds,
            times: sum.times + ran.times,
        };
        Ok(programs.values().fold(Ran::default(), add))
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, &self.before);
    }
}

/// The number of the program that a descriptor stands for, and its books; `None` for one that stands for something else.
fn program(text: &str) -> Option<(u64, Ran)> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().parse().ok()
    };
    let ran = Ran { nanoseconds: field("run_time_ns")?, times: field("run_cnt")? };
    Some((field("prog_id")?, ran))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_from_what_names_one() {
        let of_program =
            "pos:\t0\nprog_type:\t26\nprog_id:\t41\nrun_time_ns:\t5200\nrun_cnt:\t100\nverified_insns:\t7\n";
        assert_eq!(program(of_program), Some((41, Ran { nanoseconds: 5200, times: 100 })));
        assert_eq!(program("pos:\t0\nlink_type:\ttracing\nprog_id:\t41\n"), None);
    }
}
