//! How urgent a finding is: shared by problems and notes, so that both sort alike.

/// From the most urgent to mere information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Harm has begun, or is minutes away.
    Now,
    /// Harm is to be expected: a limit is near.
    Soon,
    /// No harm yet. The trend, or the finding, is worth a look.
    Watch,
    /// A note on how to read the numbers.
    Info,
}

impl Severity {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Soon => "soon",
            Self::Watch => "watch",
            Self::Info => "info",
        }
    }
}
