//! The request: which view, which processes, which order.

use regex::Regex;

/// A question that a domain answers. The domain declares it, one of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its flag on the command line, without dashes. `None` for the main view, which the name of the domain asks for.
    pub flag: Option<&'static str>,
    /// The help text of the flag; for the main view, of the command.
    pub help: &'static str,
    /// What `--by` calls the rows of this view, where that asks for it in place of the main view of its domain.
    pub by: Option<&'static str>,
    /// Whether its rows have the other end of a connection: only then can they be merged by it.
    pub remotes: bool,
}

impl View {
    /// A main view that has this name in JSON.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, flag: None, help: "", by: None, remotes: false }
    }
}

/// What rows are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupBy {
    #[default]
    Process,
    Unit,
    Container,
    Comm,
    /// The user id.
    User,
    /// The other end, in net.
    Remote,
}

/// A column to sort by, as JSON spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    pub column: String,
    pub ascending: bool,
}

/// Everything that shapes a report, and nothing that shapes its output.
#[derive(Clone, Debug)]
pub struct Request {
    pub view: View,
    /// The maximum number of rows; `None` for all.
    pub top: Option<usize>,
    pub sort: Option<Sort>,
    /// Only these process ids; empty for all.
    pub pids: Vec<u32>,
    /// Only processes with a matching `comm`.
    pub comm: Option<Regex>,
    /// Only processes of a systemd unit with a matching name.
    pub unit: Option<Regex>,
    /// Only processes in a container with a matching id or name.
    pub container: Option<Regex>,
    pub by: GroupBy,
    /// Seconds that growth and trends look back over.
    pub window: f64,
    /// Whether command lines may be read and shown.
    pub cmdline: bool,
    /// Whether peer addresses may be resolved to names.
    pub resolve: bool,
    /// Whether what is asked for goes into a recording, which is for every view of its domain.
    pub records: bool,
    /// Whether problems are looked for: the domain then also asks what they need.
    pub problems: bool,
}

impl Request {
    /// The view with everything at its default.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self {
            view,
            top: None,
            sort: None,
            pids: Vec::new(),
            comm: None,
            unit: None,
            container: None,
            by: GroupBy::default(),
            window: 60.0,
            cmdline: false,
            resolve: true,
            records: false,
            problems: false,
        }
    }
}
