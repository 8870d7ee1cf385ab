//! What a key can do: each action with its name in the configuration file, its usual keys, and its help.

/// One action of the instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The page at this place, counted from 0.
    Page(u8),
    NextPage,
    PreviousPage,
    NextTable,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Back,
    Filter,
    Sort,
    Reverse,
    Columns,
    Group,
    Pause,
    Ended,
    Notes,
    Earlier,
    Later,
    Oldest,
    Newest,
    Jump,
    Export,
    Record,
    Copy,
    Help,
    Quit,
}

/// An action with everything that is known of it before a configuration is read.
#[derive(Clone, Copy, Debug)]
pub struct ActionEntry {
    pub action: Action,
    /// Its name in the configuration file.
    pub name: &'static str,
    /// The keys that it has unless the configuration gives others, as the configuration spells them.
    pub keys: &'static [&'static str],
    /// One line for humans.
    pub help: &'static str,
}

const fn entry(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    help: &'static str,
) -> ActionEntry {
    ActionEntry { action, name, keys, help }
}

/// Every action, in the order of the help.
pub const ACTIONS: &[ActionEntry] = &[
    entry(Action::Page(0), "page-1", &["1"], "the first page: what runs out on this machine"),
    entry(Action::Page(1), "page-2", &["2"], "the second page: memory"),
    entry(Action::Page(2), "page-3", &["3"], "the third page: disk"),
    entry(Action::Page(3), "page-4", &["4"], "the fourth page: network"),
    entry(Action::NextPage, "next-page", &["tab"], "the next page"),
    entry(Action::PreviousPage, "previous-page", &["backtab"], "the previous page"),
    entry(Action::NextTable, "next-table", &["v"], "the next table of this page"),
    entry(Action::Up, "up", &["up"], "one row up"),
    entry(Action::Down, "down", &["down"], "one row down"),
    entry(Action::PageUp, "page-up", &["pageup", "ctrl+b"], "one screen up"),
    entry(Action::PageDown, "page-down", &["pagedown", "ctrl+f"], "one screen down"),
    entry(Action::First, "first", &["ctrl+home", "<"], "the first row"),
    entry(Action::Last, "last", &["ctrl+end", ">"], "the last row"),
    entry(Action::Open, "open", &["enter"], "all that is known of this row's subject"),
    entry(Action::Back, "back", &["escape", "backspace"], "back; removes a filter"),
    entry(Action::Filter, "filter", &["/"], "filter: words, /regex/, rss>1G and unit~nginx"),
    entry(Action::Sort, "sort", &["s"], "choose the column to sort by"),
    entry(Action::Reverse, "reverse", &["r"], "reverse the order"),
    entry(Action::Columns, "columns", &["c"], "choose the columns"),
    entry(Action::Group, "group", &["g"], "group rows by unit, container, command, user"),
    entry(Action::Pause, "pause", &["space"], "pause; observation continues"),
    entry(Action::Ended, "ended", &["x"], "show what has ended lately"),
    entry(Action::Notes, "notes", &["n"], "notes, and what was lost"),
    entry(Action::Earlier, "earlier", &["left"], "one report back in time"),
    entry(Action::Later, "later", &["right"], "one report forward in time"),
    entry(Action::Oldest, "oldest", &["home"], "the oldest report"),
    entry(Action::Newest, "newest", &["end"], "now, or the end of the recording"),
    entry(Action::Jump, "jump", &["j"], "jump to a time: 14:30, -5min"),
    entry(Action::Export, "export", &["e"], "write what is shown to a file: .json or .csv"),
    entry(Action::Record, "record", &["w"], "write the last minutes to a recording"),
    entry(Action::Copy, "copy", &["y"], "copy the row's next command, else its subject"),
    entry(Action::Help, "help", &["?", "f1"], "this help"),
    entry(Action::Quit, "quit", &["q", "ctrl+c"], "quit"),
];

impl Action {
    /// The action with this name in the configuration file.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.iter().find(|entry| entry.name == name).map(|entry| entry.action)
    }

    /// Its name in the configuration file.
    #[must_use]
    pub fn name(self) -> &'static str {
        ACTIONS.iter().find(|entry| entry.action == self).map_or("", |entry| entry.name)
    }
}
