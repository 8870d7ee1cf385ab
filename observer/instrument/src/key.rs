//! Keys as plain values, with the names that the configuration file uses.

use std::{fmt, str::FromStr};

/// One key, with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub code: KeyCode,
    pub control: bool,
    pub alt: bool,
}

/// A key without its modifiers. Shift is part of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyCode {
    Character(char),
    Function(u8),
    Named(NamedKey),
}

/// A key that types no character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedKey {
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Insert,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    PageUp,
    PageDown,
}

const NAMED: [(NamedKey, &str); 15] = [
    (NamedKey::Enter, "enter"),
    (NamedKey::Escape, "escape"),
    (NamedKey::Tab, "tab"),
    (NamedKey::BackTab, "backtab"),
    (NamedKey::Backspace, "backspace"),
    (NamedKey::Delete, "delete"),
    (NamedKey::Insert, "insert"),
    (NamedKey::Left, "left"),
    (NamedKey::Right, "right"),
    (NamedKey::Up, "up"),
    (NamedKey::Down, "down"),
    (NamedKey::Home, "home"),
    (NamedKey::End, "end"),
    (NamedKey::PageUp, "pageup"),
    (NamedKey::PageDown, "pagedown"),
];

impl Key {
    /// The key that types this character.
    #[must_use]
    pub const fn character(character: char) -> Self {
        Self { code: KeyCode::Character(character), control: false, alt: false }
    }

    /// This key without modifiers.
    #[must_use]
    pub const fn named(key: NamedKey) -> Self {
        Self { code: KeyCode::Named(key), control: false, alt: false }
    }

    /// The same key together with Ctrl.
    #[must_use]
    pub const fn with_control(mut self) -> Self {
        self.control = true;
        self
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.control {
            formatter.write_str("ctrl+")?;
        }
        if self.alt {
            formatter.write_str("alt+")?;
        }
        match self.code {
            KeyCode::Character(' ') => formatter.write_str("space"),
            KeyCode::Character(character) => write!(formatter, "{character}"),
            KeyCode::Function(number) => write!(formatter, "f{number}"),
            KeyCode::Named(key) => {
                let name = NAMED.iter().find(|(named, _)| *named == key).map_or("", |(_, name)| name);
                formatter.write_str(name)
            }
        }
    }
}

impl FromStr for Key {
    type Err = String;

    /// Reads `q`, `?`, `space`, `f5`, `ctrl+c`, `alt+enter`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut control, mut alt) = (false, false);
        let mut rest = text;
        loop {
            if let Some(after) = rest.strip_prefix("ctrl+").filter(|after| !after.is_empty()) {
                (control, rest) = (true, after);
            } else if let Some(after) = rest.strip_prefix("alt+").filter(|after| !after.is_empty()) {
                (alt, rest) = (true, after);
            } else {
                break;
            }
        }
        let code = code(rest).ok_or_else(|| {
            format!(
                "`{text}` is no key: give one character, or ctrl+, alt+ and one of {}, space, f1 to f12",
                NAMED.map(|(_, name)| name).join(", ")
            )
        })?;
        Ok(Self { code, control, alt })
    }
}

fn code(name: &str) -> Option<KeyCode> {
    let mut characters = name.chars();
    if let (Some(character), None) = (characters.next(), characters.next()) {
        return (!character.is_control()).then_some(KeyCode::Character(character));
    }
    if name == "space" {
        return Some(KeyCode::Character(' '));
    }
    if let Some((key, _)) = NAMED.iter().find(|(_, known)| *known == name) {
        return Some(KeyCode::Named(*key));
    }
    let number = name.strip_prefix('f')?.parse().ok()?;
    (1..=12).contains(&number).then_some(KeyCode::Function(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_it_is_read() {
        for name in
            ["q", "Q", "?", "/", "+", "space", "f5", "ctrl+c", "alt+enter", "ctrl+alt+x", "pagedown", "ö"]
        {
            assert_eq!(name.parse::<Key>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_is_no_key_is_an_error_with_the_choices() {
        for name in ["", "f13", "ctrl+", "enter+x", "qq", "\u{1b}"] {
            let error = name.parse::<Key>().unwrap_err();
            assert!(error.contains("pagedown"), "{error}");
        }
    }
}
