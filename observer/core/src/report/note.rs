//! Notes: facts to know before trusting a number. Each domain declares its own.

use crate::severity::Severity;

/// The properties that all notes of one code share; made by [`notes!`](crate::notes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteKind {
    /// For scripts; listed in docs/notes.md.
    pub code: &'static str,
    pub severity: Severity,
    /// Whether a promised column stays empty for the whole run, or something was not read: the report is then
    /// incomplete, and the exit code says so.
    pub incomplete: bool,
}

/// One note of a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    pub kind: NoteKind,
    /// One or more sentences for humans.
    pub text: String,
}

/// Declares the notes of a domain as an enum: for each its code, its severity, and `incomplete` if the report is.
/// [`Note::new`] takes a variant; `ALL` has every kind.
///
/// ```
/// observer_core::notes! {
///     /// Notes about teapots.
///     pub enum TeapotNote {
///         /// There is not enough tea for all guests.
///         Short = "tea-short", Watch;
///         /// The pot could not be opened.
///         Unread = "tea-unread", Info, incomplete;
///     }
/// }
/// assert_eq!(TeapotNote::ALL[0].code, "tea-short");
/// assert!(TeapotNote::Unread.kind().incomplete);
/// ```
#[macro_export]
macro_rules! notes {
    (
        $(#[$about:meta])*
        $visible:vis enum $name:ident {
            $($(#[$meaning:meta])* $variant:ident = $code:literal, $severity:ident $(, $incomplete:ident)?;)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visible enum $name {
            $($(#[$meaning])* $variant,)+
        }

        impl $name {
            /// Every kind, in the order of declaration.
            pub const ALL: &'static [$crate::report::note::NoteKind] = &[$(Self::$variant.kind(),)+];

            /// Its code, severity and effect.
            #[must_use]
            pub const fn kind(self) -> $crate::report::note::NoteKind {
                match self {
                    $(Self::$variant => $crate::report::note::NoteKind {
                        code: $code,
                        severity: $crate::severity::Severity::$severity,
                        incomplete: false $(|| { let $incomplete = true; $incomplete })?,
                    },)+
                }
            }
        }

        impl From<$name> for $crate::report::note::NoteKind {
            fn from(note: $name) -> Self {
                note.kind()
            }
        }
    };
}

crate::notes! {
    /// Notes that every view can have.
    pub enum CommonNote {
        /// A hook could not be attached. Its columns decide about the exit code.
        Missing = "missing", Info;
        /// An alternative sees less than the best one of its hook.
        Blind = "blind", Info;
        /// Reports come less often than requested.
        Stretched = "stretched", Info;
        /// A scan of the kernel's state ended early.
        Unread = "unread", Info, incomplete;
        /// Trends begin later than the observation, because the time on the screen has jumped.
        Jumped = "jumped", Info;
        /// A shared resource is near its limit or over it.
        NearLimit = "near-limit", Soon;
    }
}

impl Note {
    /// The most notes of one code that are about one thing each; there may be very many things.
    pub const FEW: usize = 5;

    /// A note.
    #[must_use]
    pub fn new(kind: impl Into<NoteKind>, text: impl Into<String>) -> Self {
        Self { kind: kind.into(), text: text.into() }
    }

    /// A note for each of the first few of the `ranked` items, and one more for the others, if there are any.
    pub fn few<T>(
        kind: impl Into<NoteKind>,
        ranked: &[T],
        text: impl Fn(&T) -> String,
        others: impl FnOnce(&[T]) -> String,
    ) -> Vec<Self> {
        let kind = kind.into();
        let (first, rest) = ranked.split_at(ranked.len().min(Self::FEW));
        let others = (!rest.is_empty()).then(|| others(rest));
        first.iter().map(text).chain(others).map(|text| Self { kind, text }).collect()
    }

    /// Sorts the notes for a report and removes duplicates: notes about limits come first, the others by their code.
    pub fn arrange(notes: &mut Vec<Self>) {
        notes.sort();
        notes.sort_by_key(|note| note.kind.severity > Severity::Soon);
        notes.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_about_a_limit_comes_first_and_the_others_follow_by_code() {
        let mut notes = vec![
            Note::new(CommonNote::Unread, "b"),
            Note::new(CommonNote::NearLimit, "z"),
            Note::new(CommonNote::Blind, "c"),
            Note::new(CommonNote::Unread, "b"),
        ];
        Note::arrange(&mut notes);
        let codes: Vec<_> = notes.iter().map(|note| note.kind.code).collect();
        assert_eq!(codes, ["near-limit", "blind", "unread"]);
    }

    #[test]
    fn a_few_things_have_a_note_and_one_note_counts_the_others() {
        let of = |many: usize| {
            let things: Vec<usize> = (0..many).collect();
            Note::few(CommonNote::NearLimit, &things, usize::to_string, |rest| format!("{} more", rest.len()))
        };
        assert_eq!(of(0), []);
        assert_eq!(of(5).len(), 5);
        let texts: Vec<_> = of(7).into_iter().map(|note| note.text).collect();
        assert_eq!(texts, ["0", "1", "2", "3", "4", "2 more"]);
    }
}
