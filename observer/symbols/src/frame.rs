//! One function of a call path, as a human reads it.

use observer_core::{facts::sites::Language, text::printable};

/// Characters of a name; templates and generics can have millions.
const MOST_NAME: usize = 240;

/// A function, and the line in it that runs or that calls the next inner frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Demangled; printable; at most some hundred characters.
    pub function: String,
    /// The source file, as the compiler was given it.
    pub file: Option<String>,
    pub line: Option<u32>,
    /// Whether the compiler has put the function into the one of the next outer frame.
    pub inlined: bool,
    pub language: Language,
}

/// A name from outside: printable, and cut where it is too long.
pub fn bounded(name: &str) -> String {
    // A character takes at most four bytes, so nothing of a longer text is looked at.
    let head = &name.as_bytes()[..name.len().min(4 * MOST_NAME)];
    let text = printable(head);
    match text.char_indices().nth(MOST_NAME) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if head.len() < name.len() => format!("{text}…"),
        None => text,
    }
}

/// The language of a function with this name, as a demangler wrote it.
pub fn language(name: &str, file: Option<&str>) -> Language {
    let has = |endings: &[&str]| file.is_some_and(|file| endings.iter().any(|ending| file.ends_with(ending)));
    if has(&[".rs"]) {
        Language::Rust
    } else if has(&[".go"]) {
        Language::Go
    } else if has(&[".cc", ".cpp", ".cxx", ".hpp", ".hh"]) {
        Language::Cpp
    } else if name.starts_with('<') && name.contains(" as ") || name.contains("::{{closure}}") {
        Language::Rust
    } else if name.contains("::") {
        // Both Rust and C++ separate names like this; Rust has no parameters in its names.
        if name.contains('(') { Language::Cpp } else { Language::Rust }
    } else {
        Language::Native
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, MOST_NAME, bounded, language};

    #[test]
    fn a_hostile_name_is_short_and_printable() {
        let name = "\u{1b}]0;x\u{7}".repeat(1_000_000);
        let short = bounded(&name);
        assert!(short.chars().count() <= MOST_NAME + 1, "{}", short.len());
        assert!(!short.chars().any(char::is_control));
        assert_eq!(bounded("malloc"), "malloc");
        assert!(bounded(&"é".repeat(MOST_NAME + 1)).ends_with('…'));
    }

    #[test]
    fn the_language_follows_from_the_file_or_the_name() {
        assert_eq!(language("leak", Some("/src/a.c")), Language::Native);
        assert_eq!(language("alloc::vec::Vec<T>::push", None), Language::Rust);
        assert_eq!(language("std::vector<int>::push_back(int&&)", None), Language::Cpp);
        assert_eq!(language("main", Some("main.rs")), Language::Rust);
        assert_eq!(language("malloc", None), Language::Native);
    }
}
