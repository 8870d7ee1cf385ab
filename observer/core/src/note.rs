//! Codes of notes: stable names for scripts, each documented in docs/notes.md.

/// The code of a note, such as `mem-oom`. Only [`note_codes!`](crate::note_codes) makes them, so that every code is in a
/// list that tests compare with the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteCode {
    text: &'static str,
    gap: bool,
}

impl NoteCode {
    /// A code that says how to read the report.
    #[must_use]
    pub const fn remark(text: &'static str) -> Self {
        Self { text, gap: false }
    }

    /// A code that says that a promised column is missing for the whole run, or that something was not read: the answer is
    /// then incomplete, which is in the exit code.
    #[must_use]
    pub const fn gap(text: &'static str) -> Self {
        Self { text, gap: true }
    }

    /// As JSON has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.text
    }

    /// Whether it was made by [`Self::gap`].
    #[must_use]
    pub const fn is_gap(self) -> bool {
        self.gap
    }
}

impl PartialEq<&str> for NoteCode {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

/// Declares codes as constants, and `ALL` of them: `MEM_OOM: remark "mem-oom";`.
#[macro_export]
macro_rules! note_codes {
    ($($name:ident: $kind:ident $text:literal;)*) => {
        $(pub const $name: $crate::note::NoteCode = $crate::note::NoteCode::$kind($text);)*
        /// Every code that is declared here.
        pub const ALL: &[$crate::note::NoteCode] = &[$($name),*];
    };
}

// The codes of notes that every view can have.
note_codes! {
    MISSING: remark "missing";
    BLIND: remark "blind";
    STRETCHED: remark "stretched";
    NEAR_LIMIT: remark "near-limit";
    UNREAD: gap "unread";
}
