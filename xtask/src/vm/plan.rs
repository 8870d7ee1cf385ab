//! What each guest is to do: its boots, and the steps of each.

/// What is wanted of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The page, every way, and the live tests that were chosen.
    All,
    /// The same with all of the live tests.
    Thorough,
    /// The same without any.
    Ways,
    Doctor,
    Tests(String),
    /// These steps alone.
    Script(String),
}

impl Wanted {
    /// Whether each kernel is started in all the ways that the page and the data tell of.
    pub const fn has_every_start(&self) -> bool {
        matches!(self, Self::All | Self::Thorough | Self::Ways | Self::Doctor)
    }

    /// Whether what failed is tried once more: not where somebody looks at single tests.
    pub const fn tries_again(&self) -> bool {
        matches!(self, Self::All | Self::Thorough)
    }
}

/// One start of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// How it differs from the kernel as distributed; empty if not at all.
    pub title: &'static str,
    /// Words for the kernel's command line.
    pub command_line: String,
    /// A script of `step`s.
    pub steps: String,
    /// Whether live tests are among the steps.
    pub tests: bool,
    /// Those that must be among them.
    pub chosen: Vec<&'static str>,
}

impl Boot {
    /// The kernel's series with how it was started.
    pub fn name(&self, series: &str) -> String {
        if self.title.is_empty() { series.to_owned() } else { format!("{series}+{}", self.title) }
    }
}

/// Seconds of steps and guests end what hangs, also on a machine that has much else to do; no sound run comes near.
const DOCTOR: &str =
    "step 600 doctor sh -c 'observer doctor >/tmp/doctor; code=$?; cat /tmp/doctor; exit $code'\n";

/// What is kept of a kernel as data. Only where every start of a series is run: one file holds them all.
const SURVEY: &str = "step 300 survey observer doctor --survey\n";

/// The live tests that every kernel runs, each with why.
const CHOSEN: &str = include_str!("guest/chosen.txt");

/// Where a kernel has no way to sockets, what is asked of them has no answer that could be tested: see [`super::judge`].
const SKIP: &str = "grep -q '  ✗ net.sockets ' /tmp/doctor && \
    skip='--skip net:: --skip room:: --skip limits:: --skip what_processes_say'\n";

/// The tests that these words leave out.
pub fn needs_sockets(test: &str) -> bool {
    ["net::", "room::", "limits::"].iter().any(|room| test.starts_with(room))
        || test.contains("what_processes_say")
}

/// What lockdown takes away is the same on all of them: the oldest kernel that is well supported and a new one.
const LOCKED: &[&str] = &["6.1", "6.18"];

const SMOKE: &str = "\
step 300 'smoke mem' observer mem --once --json --top 1
step 300 'smoke disk' observer disk --deleted-open --once --json --top 1
step 300 'smoke net' observer net --top 1 --once --json
";

/// What a running system does to an observer, and what it may be denied.
const DAYS: &str = include_str!("guest/days.sh");

/// The names of the chosen tests.
fn chosen() -> Vec<&'static str> {
    let names = CHOSEN
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next());
    names.collect()
}

/// The step of the live tests that `filter` leaves.
fn live(filter: &str) -> String {
    let build = super::disk::BUILD;
    format!("{SKIP}step 6000 live {build}/deps/live --test-threads=1 --nocapture $skip {filter}\n")
}

/// These tests alone, on a machine started as for `boot`.
pub fn tests(boot: &Boot, names: &[&str]) -> Boot {
    let steps = format!("{DOCTOR}{}", live(&format!("--exact {}", names.join(" "))));
    Boot { steps, tests: true, chosen: Vec::new(), ..boot.clone() }
}

/// The boots of one series.
pub fn boots(series: &str, wanted: &Wanted) -> Vec<Boot> {
    let around = |tests: &str| format!("{DOCTOR}{SURVEY}{SMOKE}force\n{tests}{DAYS}");
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
        Wanted::Ways => boot("", "", around("")),
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
    fn each_kernel_starts_as_it_is_and_two_of_them_locked_down() {
        let titles =
            |series| -> Vec<&str> { boots(series, &Wanted::All).iter().map(|boot| boot.title).collect() };
        assert_eq!(titles("5.10"), [""]);
        assert_eq!(titles("6.1"), ["", "integrity", "confidentiality"]);
        assert!(boots("6.1", &Wanted::Tests("x".to_owned())).len() == 1);
        let ways = boots("6.1", &Wanted::Ways);
        assert_eq!(ways.len(), 3);
        assert!(!ways[0].tests && ways[0].steps.contains("force\n") && ways[0].steps.contains(DAYS));
    }
}
