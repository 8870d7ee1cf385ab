//! The function that every string from outside passes before it reaches an output.

/// Bytes from outside as text that is safe in a terminal and lossless in JSON: each byte of a control character, of a
/// bidirectional control, or of invalid UTF-8 becomes `\xNN`, and a backslash becomes `\\`.
pub fn printable(bytes: &[u8]) -> String {
    // Nearly all are plain, and there are many.
    if let Ok(text) = str::from_utf8(bytes)
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\')
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push_str("\\\\");
            } else {
                push(character, &mut text);
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    text
}

/// Makes text that may contain names from outside, such as an error message, safe for a terminal. Safe text, and text
/// that passed [`printable`], is unchanged.
pub fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' {
            safe.push(character);
        } else {
            push(character, &mut safe);
        }
    }
    safe
}

fn push(character: char, text: &mut String) {
    if is_unsafe(character) {
        let mut buffer = [0; 4];
        escape(character.encode_utf8(&mut buffer).as_bytes(), text);
    } else {
        text.push(character);
    }
}

fn escape(bytes: &[u8], text: &mut String) {
    use std::fmt::Write as _;
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls, and invisible formatting
/// that could make one name look like another.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{harmless, printable};

    #[test]
    fn an_escape_sequence_never_reaches_the_terminal() {
        assert_eq!(printable(b"\x1b]0;x\x07"), "\\x1b]0;x\\x07");
    }

    #[test]
    fn raw_bytes_and_backslashes_stay_apart() {
        assert_eq!(printable(b"a\xff\\xff"), "a\\xff\\\\xff");
        assert_eq!(printable("é\u{202e}x\u{85}".as_bytes()), "é\\xe2\\x80\\xaex\\xc2\\x85");
    }

    #[test]
    fn making_text_harmless_twice_changes_nothing() {
        let text = harmless("no column `\x1b]0;x\x07` in C:\\x\n");
        assert_eq!(text, "no column `\\x1b]0;x\\x07` in C:\\x\n");
        assert_eq!(harmless(&text), text);
        assert_eq!(harmless(&printable(b"\x1b\xff")), printable(b"\x1b\xff"));
    }
}
