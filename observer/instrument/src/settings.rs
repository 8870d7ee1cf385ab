//! The settings of the instrument, and the configuration file that changes them.
//!
//! The file is TOML. What it does not name keeps its usual value; what it names wrongly is an error with the line.

use serde::Deserialize;
use toml::Spanned;

use crate::{
    action::{ACTIONS, Action},
    bindings::Bindings,
    key::Key,
};
use std::{collections::BTreeMap, fmt::Write as _};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub bindings: Bindings,
    pub look: Look,
    /// Whether the mouse is off. A terminal with the mouse on selects text only with Shift held.
    pub mouse: Mouse,
}

/// How frames look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub colour: Colour,
    pub symbols: Symbols,
    pub trend: TrendSymbols,
}

/// Whether colours are used. They are the terminal's own 16, so light and dark terminals look as their owner likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Unless `NO_COLOR` or `CLICOLOR=0` is set.
    #[default]
    Auto,
    Never,
}

/// Which characters are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Symbols {
    /// ASCII where the locale is not UTF-8.
    #[default]
    Auto,
    Unicode,
    Ascii,
}

/// What graphs are drawn with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrendSymbols {
    #[default]
    Braille,
    Blocks,
}

/// Whether the mouse is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mouse {
    #[default]
    On,
    Off,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    instrument: Instrument,
    #[serde(default)]
    keys: BTreeMap<Spanned<String>, Spanned<Keys>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Instrument {
    colour: Colour,
    symbols: Symbols,
    trend: TrendSymbols,
    mouse: Mouse,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Keys {
    One(String),
    Several(Vec<String>),
}

impl Settings {
    /// The settings with the changes of a configuration file with this text.
    ///
    /// # Errors
    /// With the line, what is wrong in it, and what to do.
    pub fn read(text: &str) -> Result<Self, String> {
        let line = |at: usize| {
            text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            format!("line {}: {}", line(at), error.message())
        })?;
        let mut bindings = Bindings::default();
        let mut bound: BTreeMap<Key, Action> = BTreeMap::new();
        for (name, keys) in &file.keys {
            let here = |what: String| format!("line {}: {what}", line(name.span().start));
            let action = Action::named(name.get_ref()).ok_or_else(|| {
                let names: Vec<&str> = ACTIONS.iter().map(|entry| entry.name).collect();
                here(format!("there is no action `{}`: choose one of {}", name.get_ref(), names.join(", ")))
            })?;
            let names = match keys.get_ref() {
                Keys::One(key) => std::slice::from_ref(key),
                Keys::Several(keys) => keys,
            };
            let keys: Result<Vec<Key>, String> = names.iter().map(|name| name.parse()).collect();
            let keys = keys.map_err(here)?;
            for key in &keys {
                if let Some(other) = bound.insert(*key, action).filter(|other| *other != action) {
                    return Err(here(format!("`{key}` is already given to `{}`", other.name())));
                }
            }
            bindings.bind(action, &keys);
        }
        if bindings.keys(Action::Quit).is_empty() {
            return Err("no key is left for `quit`: give it one under [keys]".to_owned());
        }
        let Instrument { colour, symbols, trend, mouse } = file.instrument;
        Ok(Self { bindings, look: Look { colour, symbols, trend }, mouse })
    }

    /// The settings as a configuration file, each with its meaning: the schema of the file.
    #[must_use]
    pub fn shown(&self) -> String {
        let Look { colour, symbols, trend } = self.look;
        let mut text = format!(
            "[instrument]\n\
             # \"auto\": the terminal's own colours, unless NO_COLOR is set; \"never\"\n\
             colour = \"{}\"\n\
             # \"auto\": ASCII where the locale is not UTF-8; \"unicode\", \"ascii\"\n\
             symbols = \"{}\"\n\
             # graphs: \"braille\", or \"blocks\" for fonts without braille\n\
             trend = \"{}\"\n\
             # \"on\": click rows, columns and pages (select text with Shift held); \"off\"\n\
             mouse = \"{}\"\n\
             \n\
             # An action has one key, \"q\", or several, [\"q\", \"ctrl+c\"]. A key that is given to an action is taken\n\
             # from the one that usually has it.\n\
             [keys]\n",
            if colour == Colour::Auto { "auto" } else { "never" },
            match symbols {
                Symbols::Auto => "auto",
                Symbols::Unicode => "unicode",
                Symbols::Ascii => "ascii",
            },
            if trend == TrendSymbols::Braille { "braille" } else { "blocks" },
            if self.mouse == Mouse::On { "on" } else { "off" },
        );
        for entry in ACTIONS {
            let keys: Vec<String> =
                self.bindings.keys(entry.action).iter().map(|key| quoted(&key.to_string())).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} = [{}]  # {}", entry.name, keys.join(", "), entry.help);
        }
        text
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_settings_are_a_file_that_means_the_same() {
        let mut settings = Settings::default();
        assert_eq!(Settings::read(&settings.shown()), Ok(settings.clone()));
        assert_eq!(Settings::read(""), Ok(settings.clone()));
        settings.look.colour = Colour::Never;
        settings.mouse = Mouse::Off;
        settings.bindings.bind(Action::Quit, &["\"".parse().unwrap(), "\\".parse().unwrap()]);
        assert_eq!(Settings::read(&settings.shown()), Ok(settings));
    }

    #[test]
    fn a_key_can_be_given_to_another_action() {
        let settings = Settings::read("[keys]\nquit = \"x\"\n").unwrap();
        assert_eq!(settings.bindings.action(Key::character('x')), Some(Action::Quit));
        assert_eq!(settings.bindings.action(Key::character('q')), None);
    }

    #[test]
    fn an_error_names_its_line_and_what_to_do() {
        for (text, line, advice) in [
            ("[instrument]\n\ncolor = \"auto\"", 3, "colour"),
            ("[instrument]\nmouse = \"maybe\"", 2, "on"),
            ("[keys]\nquit = \"qq\"", 2, "pagedown"),
            ("[keys]\n\nleave = \"q\"", 3, "quit"),
            ("[keys]\nhelp = \"h\"\nsort = [\"s\", \"h\"]", 3, "already given to `help`"),
            ("[keys\n", 1, ""),
        ] {
            let error = Settings::read(text).unwrap_err();
            assert!(
                error.starts_with(&format!("line {line}: ")) && error.contains(advice),
                "{text}: {error}"
            );
        }
        let error = Settings::read("[keys]\nquit = []").unwrap_err();
        assert!(error.contains("`quit`"), "{error}");
    }
}
