//! One line of text that is being typed.

use crate::key::{Key, KeyCode, NamedKey};

/// What the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Filter,
    Jump,
    Export,
    Record,
}

/// The most bytes that a prompt takes.
const LONGEST: usize = 1000;

/// The line and its cursor.
#[derive(Clone, Debug)]
pub struct Prompt {
    pub purpose: Purpose,
    text: String,
    /// In bytes, between two characters.
    cursor: usize,
}

/// What a key did to a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    Nothing,
    Changed,
    Entered,
    Left,
}

impl Prompt {
    /// A prompt that begins with this text, the cursor behind it.
    #[must_use]
    pub fn new(purpose: Purpose, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { purpose, cursor: text.len(), text }
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    #[must_use]
    pub fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Inserts text without its control characters.
    pub fn insert(&mut self, text: &str) {
        for character in text.chars().filter(|character| !character.is_control()) {
            if self.text.len() < LONGEST {
                self.text.insert(self.cursor, character);
                self.cursor += character.len_utf8();
            }
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Typed {
        let previous = || self.text[..self.cursor].char_indices().next_back().map_or(0, |(at, _)| at);
        let next = || self.cursor + self.text[self.cursor..].chars().next().map_or(0, char::len_utf8);
        match (key.control, key.code) {
            (false, KeyCode::Named(NamedKey::Enter)) => return Typed::Entered,
            (false, KeyCode::Named(NamedKey::Escape)) | (true, KeyCode::Character('c' | 'g')) => {
                return Typed::Left;
            }
            (false, KeyCode::Named(NamedKey::Left)) => self.cursor = previous(),
            (false, KeyCode::Named(NamedKey::Right)) => self.cursor = next(),
            (false, KeyCode::Named(NamedKey::Home)) | (true, KeyCode::Character('a')) => self.cursor = 0,
            (false, KeyCode::Named(NamedKey::End)) | (true, KeyCode::Character('e')) => {
                self.cursor = self.text.len()
            }
            (false, KeyCode::Named(NamedKey::Backspace)) if self.text.is_empty() => return Typed::Left,
            (false, KeyCode::Named(NamedKey::Backspace)) => return self.remove(previous(), self.cursor),
            (false, KeyCode::Named(NamedKey::Delete)) => return self.remove(self.cursor, next()),
            (true, KeyCode::Character('u')) => return self.remove(0, self.cursor),
            (true, KeyCode::Character('w')) => {
                let word = self.before_cursor().trim_end().rfind(' ').map_or(0, |at| at + 1);
                return self.remove(word, self.cursor);
            }
            (false, KeyCode::Character(character)) if !key.alt => {
                let before = self.text.len();
                self.insert(character.encode_utf8(&mut [0; 4]));
                return if self.text.len() > before { Typed::Changed } else { Typed::Nothing };
            }
            _ => {}
        }
        Typed::Nothing
    }

    fn remove(&mut self, from: usize, to: usize) -> Typed {
        if from == to {
            return Typed::Nothing;
        }
        self.text.replace_range(from..to, "");
        self.cursor = from;
        Typed::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[&str]) -> (String, String) {
        let mut prompt = Prompt::new(Purpose::Filter, "");
        for key in keys {
            prompt.key(key.parse().unwrap());
        }
        (prompt.text().to_owned(), prompt.before_cursor().to_owned())
    }

    #[test]
    fn a_line_is_edited_by_characters_of_any_width() {
        let after = |text: &str, before: &str| (text.to_owned(), before.to_owned());
        assert_eq!(typed(&["漢", "字", "left", "é"]), after("漢é字", "漢é"));
        assert_eq!(typed(&["a", "漢", "backspace", "b"]), after("ab", "ab"));
        assert_eq!(typed(&["a", "b", "home", "delete"]), after("b", ""));
        assert_eq!(typed(&["a", "space", "b", "c", "ctrl+w"]), after("a ", "a "));
        assert_eq!(typed(&["a", "b", "left", "ctrl+u"]), after("b", ""));
        assert_eq!(typed(&["right", "left", "delete", "end"]), after("", ""));
    }

    #[test]
    fn pasted_text_has_no_control_characters() {
        let mut prompt = Prompt::new(Purpose::Filter, "");
        prompt.insert("a\x1b]0;x\x07b\r\n");
        assert_eq!(prompt.text(), "a]0;xb");
    }
}
