//! What each attached program costs, from the kernel's own books: for `-v` and the benchmark.

use std::{fmt::Write as _, time::Duration};

use aya::programs::Program;

/// One program that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramActivity {
    pub domain: &'static str,
    pub program: String,
    /// Instructions that the verifier walked; `None` before kernel 5.16.
    pub verified: Option<u32>,
    /// Bytes of machine code.
    pub code: u32,
    /// How often it ran since the statistics were switched on, and how long in all.
    pub runs: u64,
    pub time: Duration,
}

/// The loaded ones among `programs`.
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
            })
        })
        .collect();
    activity.sort_by(|one, other| one.program.cmp(&other.program));
    activity
}

/// As lines for people.
#[must_use]
pub fn table(activity: &[ProgramActivity]) -> String {
    let mut text = format!(
        "{:<6} {:<28} {:>10} {:>8} {:>12} {:>10}\n",
        "object", "program", "verified", "bytes", "runs", "ns a run"
    );
    for program in activity {
        let verified = program.verified.map_or_else(|| "–".to_owned(), |verified| verified.to_string());
        let each = (program.time.as_nanos() as u64).checked_div(program.runs);
        let each = each.map_or_else(|| "–".to_owned(), |each| each.to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<6} {:<28} {verified:>10} {:>8} {:>12} {each:>10}",
            program.domain, program.program, program.code, program.runs
        );
    }
    text
}
