//! The plan of a run: the boots of each series, and the steps of each boot.

/// The requested part of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The page, every alternative, and the chosen live tests.
    All,
    /// The same with all live tests.
    Thorough,
    /// The same without live tests.
    Alternatives,
    /// Only doctor.
    Doctor,
    /// Live tests that match a filter.
    Tests(String),
    /// Only these steps.
    Script(String),
}

impl Wanted {
    /// Whether each kernel is started in every variant that the page and the surveys contain.
    pub const fn has_every_start(&self) -> bool {
        matches!(self, Self::All | Self::Thorough | Self::Alternatives | Self::Doctor)
    }

    /// Whether failed checks are repeated: not in a run of single tests.
    pub const fn repeats_failures(&self) -> bool {
        matches!(self, Self::All | Self::Thorough)
    }
}

/// One start of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The difference from the default start; empty if none.
    pub title: &'static str,
    /// Additional kernel parameters.
    pub command_line: String,
    /// A script of `step`s.
    pub steps: String,
    /// Whether the steps contain live tests.
    pub tests: bool,
    /// Live tests that must run.
    pub chosen: Vec<&'static str>,
}

impl Boot {
    /// The kernel's series with the variant of its start: `6.1+integrity`.
    pub fn name(&self, series: &str) -> String {
        if self.title.is_empty() { series.to_owned() } else { format!("{series}+{}", self.title) }
    }
}

/// The time limits of steps, in seconds, only end steps that hang, also on a busy machine; a good run needs much less.
const DOCTOR: &str =
    "step 600 doctor sh -c 'observer doctor >/tmp/doctor; code=$?; cat /tmp/doctor; exit $code'\n";

/// The survey of a kernel. Only in runs with every start of a series, because one file contains them all.
const SURVEY: &str = "step 300 survey observer doctor --survey\n";

/// The live tests that every kernel runs, with reasons.
const CHOSEN: &str = include_str!("guest/chosen.txt");

/// Tests of sockets are skipped on a kernel without the hook: see [`super::judge`].
const SKIP: &str = "grep -q '  ✗ net.sockets ' /tmp/doctor && \
    skip='--skip net:: --skip capacity:: --skip limits:: --skip traffic_of_processes'\n";

/// Whether `SKIP` leaves out this test.
pub fn needs_sockets(test: &str) -> bool {
    ["net::", "capacity::", "limits::"].iter().any(|module| test.starts_with(module))
        || test.contains("traffic_of_processes")
}

/// Series that also start under lockdown: the oldest kernel that is well supported, and a new one. Lockdown has the
/// same effect on all.
const LOCKED: &[&str] = &["6.1", "6.18"];

const SMOKE: &str = "\
step 300 'smoke mem' observer mem --once --json --top 1
step 300 'smoke disk' observer disk --deleted-open --once --json --top 1
step 300 'smoke net' observer net --top 1 --once --json
";

/// Events of a running system that disturb observer, and missing privileges.
const HOSTILE: &str = include_str!("guest/hostile.sh");

/// The names of the chosen tests.
fn chosen() -> Vec<&'static str> {
    let names = CHOSEN
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next());
    names.collect()
}

/// The step that runs the live tests matching `filter`.
fn live(filter: &str) -> String {
    let build = super::disk::BUILD;
    format!("{SKIP}step 6000 live {build}/deps/live --test-threads=1 --nocapture $skip {filter}\n")
}

/// A boot like `boot` that runs only these tests.
pub fn tests(boot: &Boot, names: &[&str]) -> Boot {
    let steps = format!("{DOCTOR}{}", live(&format!("--exact {}", names.join(" "))));
    Boot { steps, tests: true, chosen: Vec::new(), ..boot.clone() }
}

/// The boots of one series.
pub fn boots(series: &str, wanted: &Wanted) -> Vec<Boot> {
    let around = |tests: &str| format!("{DOCTOR}{SURVEY}{SMOKE}force\n{tests}{HOSTILE}");
    let whole = |tests: &str| around(&live(tests));
    let boot = |title, command_line: &str, steps: String| {
        let command_line = command_line.to_owned();
        let tests = steps.contains("step 6000 live");
        Boot { title, command_line, steps, tests, chosen: Vec::new() }
    };
    let mut boots = vec![match wanted {
        Wanted::Doctor => boot("", "", format!("{DOCTOR}{SURVEY}")),
        Wanted::Script(steps) => boot("", "", steps.clone()),
        Wanted::Tests(filter) => boot("", "", format!("{DOCTOR}{}", live(&format!("'{filter}'")))),
        Wanted::Alternatives => boot("", "", around("")),
        Wanted::Thorough => boot("", "", whole("")),
        Wanted::All => {
            let chosen = chosen();
            let steps = whole(&format!("--exact {}", chosen.join(" ")));
            Boot { chosen, ..boot("", "", steps) }
        }
    }];
    if wanted.has_every_start() && LOCKED.contains(&series) {
        for (title, command_line) in
            [("integrity", "lockdown=integrity"), ("confidentiality", "lockdown=confidentiality")]
        {
            let smoke = if *wanted == Wanted::Doctor { "" } else { SMOKE };
            boots.push(boot(title, command_line, format!("{DOCTOR}{SURVEY}{smoke}")));
        }
    }
    boots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chosen_test_has_its_reason() {
        for line in CHOSEN.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, why) = line.split_once("  ").expect("two spaces between a test and its reason");
            assert!(name.contains("::") && why.len() > 2, "{line}");
        }
        assert!(chosen().len() > 40);
    }

    #[test]
    fn each_kernel_starts_by_default_and_two_also_under_lockdown() {
        let titles =
            |series| -> Vec<&str> { boots(series, &Wanted::All).iter().map(|boot| boot.title).collect() };
        assert_eq!(titles("5.10"), [""]);
        assert_eq!(titles("6.1"), ["", "integrity", "confidentiality"]);
        assert!(boots("6.1", &Wanted::Tests("x".to_owned())).len() == 1);
        let alternatives = boots("6.1", &Wanted::Alternatives);
        assert_eq!(alternatives.len(), 3);
        assert!(
            !alternatives[0].tests
                && alternatives[0].steps.contains("force\n")
                && alternatives[0].steps.contains(HOSTILE)
        );
    }
}
