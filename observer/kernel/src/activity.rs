//! What each attached program costs, and how often the kernel did not run it, as the kernel counts it: for `-v`, the
//! benchmark, and the losses in every report.

use std::{
    fmt::Write as _,
    os::fd::{AsFd as _, AsRawFd as _},
    time::Duration,
};

use aya::programs::Program;

/// One loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramActivity {
    pub domain: &'static str,
    pub program: String,
    /// Instructions that the verifier processed; `None` before kernel 5.16.
    pub verified: Option<u32>,
    /// Bytes of machine code.
    pub code: u32,
    /// How often it ran since the statistics were switched on, and the total time of these runs.
    pub runs: u64,
    pub time: Duration,
    /// Events that it missed because it was running on that CPU already; not counted before kernel 5.12.
    pub skipped: u64,
}

/// Those of `programs` that are loaded.
pub fn of<'a>(
    domain: &'static str,
    programs: impl Iterator<Item = (&'a str, &'a Program)>,
) -> Vec<ProgramActivity> {
    let mut activity: Vec<ProgramActivity> = programs
        .filter_map(|(name, program)| {
            let info = program.info().ok()?;
            Some(ProgramActivity {
                domain,
                program: name.to_owned(),
                verified: info.verified_instruction_count(),
                code: info.size_jitted(),
                runs: info.run_count(),
                time: info.run_time(),
                skipped: skipped(program),
            })
        })
        .collect();
    activity.sort_by(|one, other| one.program.cmp(&other.program));
    activity
}

/// How often the kernel did not run `program` because it was running on that CPU already; 0 if it is not loaded.
///
/// A program can be interrupted, and at a function also preempted. An event in between that would run it again is
/// skipped. The kernel counts these events (`recursion_misses`, since 5.12); the loader's own view of this structure
/// lacks the counter.
pub fn skipped(program: &Program) -> u64 {
    const GET_INFO: libc::c_long = 15;
    /// The position of the counter in `struct bpf_prog_info`, in units of eight bytes; the structure only grows at
    /// its end.
    const COUNTER: usize = 26;
    /// The member of `union bpf_attr` for this command.
    #[repr(C)]
    struct About {
        program: u32,
        length: u32,
        info: u64,
    }
    let Ok(descriptor) = program.fd() else { return 0 };
    // All zeroes: no buffers, so the kernel writes nothing outside this structure.
    let mut info = [0_u64; COUNTER + 1];
    let about = About {
        program: descriptor.as_fd().as_raw_fd() as u32,
        length: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `info`, which outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, GET_INFO, &raw const about, size_of::<About>()) };
    if result < 0 { 0 } else { info[COUNTER] }
}

/// A table for humans, one line per program.
pub fn table(activity: &[ProgramActivity]) -> String {
    let mut text = format!(
        "{:<6} {:<28} {:>10} {:>8} {:>12} {:>10} {:>8}\n",
        "object", "program", "verified", "bytes", "runs", "ns a run", "skipped"
    );
    for program in activity {
        let verified = program.verified.map_or_else(|| "–".to_owned(), |verified| verified.to_string());
        let each = (program.time.as_nanos() as u64).checked_div(program.runs);
        let each = each.map_or_else(|| "–".to_owned(), |each| each.to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<6} {:<28} {verified:>10} {:>8} {:>12} {each:>10} {:>8}",
            program.domain, program.program, program.code, program.runs, program.skipped
        );
    }
    text
}
