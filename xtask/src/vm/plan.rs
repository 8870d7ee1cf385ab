//! What each guest is to do: its boots, and the steps of each.

/// What is wanted of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    Doctor,
    Tests(String),
    /// These steps alone.
    Script(String),
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
    /// Seconds after which the guest is ended.
    pub seconds: u32,
    /// Whether the live tests are among the steps.
    pub tests: bool,
}

impl Boot {
    /// The kernel's series with how it was started.
    pub fn name(&self, series: &str) -> String {
        if self.title.is_empty() { series.to_owned() } else { format!("{series}+{}", self.title) }
    }
}

const DOCTOR: &str = "\
step 120 doctor observer doctor
step 60 survey observer doctor --survey
";

/// Where a kernel has no way to sockets, what is asked of them has no answer that could be tested.
const SKIP: &str = "observer doctor | grep -q '  ✗ net.sockets ' && skip='--skip net'\n";

/// What lockdown takes away is the same on all of them: the oldest kernel that is well supported and a new one.
const LOCKED: &[&str] = &["6.1", "6.18"];

const SMOKE: &str = "\
step 60 'smoke mem' observer mem --once --json --top 1
step 60 'smoke disk' observer disk --deleted-open --once --json --top 1
step 60 'smoke net' observer net --top 1 --once --json
";

/// What a running system does to an observer, and what it may be denied.
const DAYS: &str = include_str!("guest/days.sh");

/// The boots of one series.
pub fn boots(series: &str, wanted: &Wanted) -> Vec<Boot> {
    let live = |filter: &str| {
        let build = super::disk::BUILD;
        format!("{SKIP}step 1500 live {build}/deps/live --test-threads=1 --nocapture $skip {filter}\n")
    };
    let plain = |steps: String, seconds, tests| Boot {
        title: "",
        command_line: String::new(),
        steps,
        seconds,
        tests,
    };
    let mut boots = vec![match wanted {
        Wanted::Doctor => plain(DOCTOR.to_owned(), 180, false),
        Wanted::Script(steps) => plain(steps.clone(), 1560, false),
        Wanted::Tests(filter) => plain(live(&format!("'{filter}'")), 1560, true),
        Wanted::All => {
            let steps = format!("{DOCTOR}observer doctor >/tmp/doctor\n{SMOKE}force\n{}{DAYS}", live(""));
            plain(steps, 2700, true)
        }
    }];
    if matches!(wanted, Wanted::All | Wanted::Doctor) && LOCKED.contains(&series) {
        for (title, command_line) in
            [("integrity", "lockdown=integrity"), ("confidentiality", "lockdown=confidentiality")]
        {
            let steps = if *wanted == Wanted::All { format!("{DOCTOR}{SMOKE}") } else { DOCTOR.to_owned() };
            let command_line = command_line.to_owned();
            boots.push(Boot { title, command_line, steps, seconds: 300, tests: false });
        }
    }
    boots
}
