//! What the model asks of the program: plain values, carried out elsewhere.

use std::path::PathBuf;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// From the next report on, whole reports of these views are needed (names as in JSON); of the others, only the
    /// first rows.
    Watch(Vec<&'static str>),
    /// Show the reports of another time.
    Seek(Seek),
    /// Write these bytes to a new file.
    Export {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    /// Write the facts of the last minutes to a recording.
    Record {
        path: PathBuf,
    },
    /// Put text on the clipboard of the terminal's user.
    Copy(String),
    Quit,
}

/// A time, relative to the one that is shown or by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// This number of reports earlier.
    Earlier(usize),
    /// This number of reports later.
    Later(usize),
    Oldest,
    /// The newest: what is observed now, or the end of a recording.
    Newest,
    /// The last report that is not later than this, in nanoseconds since the Unix epoch.
    At(u64),
}
