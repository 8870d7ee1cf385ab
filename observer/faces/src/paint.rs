//! Whether and how lines are coloured.

use std::ffi::OsString;

use observer_core::report::Emphasis;

/// The escape sequences that may be put around a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// None.
    Bare,
    /// Colours and weights of ECMA-48.
    Coloured,
}

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Headline,
    Heading,
    Row(Emphasis),
    Footer,
    /// Something was lost.
    Warning,
}

impl Paint {
    /// Decides by the environment: no colour if standard output is no terminal, if `NO_COLOR` is set to anything,
    /// if `CLICOLOR` is 0, or if `TERM` is `dumb`. `environment` gives the value of a variable.
    #[must_use]
    pub fn allowed(terminal: bool, environment: impl Fn(&str) -> Option<OsString>) -> Self {
        let disabled = environment("NO_COLOR").is_some_and(|value| !value.is_empty())
            || environment("CLICOLOR").is_some_and(|value| value == "0")
            || environment("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
        if terminal && !disabled { Self::Coloured } else { Self::Bare }
    }

    pub(super) fn line(self, style: Style, text: String) -> String {
        let code = match style {
            _ if self == Self::Bare || text.is_empty() => return text,
            Style::Headline => "1",
            Style::Heading | Style::Footer | Style::Row(Emphasis::Faint) => "2",
            Style::Row(Emphasis::Alarm) => "1;31",
            Style::Row(Emphasis::Notice) | Style::Warning => "33",
            Style::Row(Emphasis::Plain) => return text,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(terminal: bool, variables: &[(&str, &str)]) -> Paint {
        Paint::allowed(terminal, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn colour_is_for_terminals_without_a_setting_against_it() {
        assert_eq!(allowed(true, &[("TERM", "xterm")]), Paint::Coloured);
        assert_eq!(allowed(true, &[("TERM", "xterm"), ("NO_COLOR", "")]), Paint::Coloured);
        for variables in [
            &[("TERM", "xterm"), ("NO_COLOR", "1")][..],
            &[("TERM", "xterm"), ("CLICOLOR", "0")],
            &[("TERM", "dumb")],
            &[],
        ] {
            assert_eq!(allowed(true, variables), Paint::Bare, "{variables:?}");
        }
        assert_eq!(allowed(false, &[("TERM", "xterm")]), Paint::Bare);
    }

    #[test]
    fn without_colour_a_line_is_its_text() {
        assert_eq!(Paint::Bare.line(Style::Row(Emphasis::Alarm), "x".to_owned()), "x");
        assert_eq!(Paint::Coloured.line(Style::Row(Emphasis::Alarm), "x".to_owned()), "\x1b[1;31mx\x1b[0m");
    }
}
