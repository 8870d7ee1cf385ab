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

/// A name as one word of a shell command, in single quotes if it needs them. `None` if it has bytes that a terminal
/// would not show, so that what is pasted is what was read, or blanks that a wrapped line would merge.
pub fn quoted(name: &[u8]) -> Option<String> {
    let text = str::from_utf8(name).ok()?;
    let is_hidden = |character: char| is_unsafe(character) || (character.is_whitespace() && character != ' ');
    if text.is_empty() || text.chars().any(is_hidden) || text.contains("  ") {
        return None;
    }
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'@' | b':');
    if text.bytes().all(plain) && !text.starts_with('-') {
        return Some(text.to_owned());
    }
    Some(format!("'{}'", text.replace('\'', "'\\''")))
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
    use super::{harmless, printable, quoted};

    #[test]
    fn a_hostile_name_is_one_word_of_a_command_or_in_none() {
        assert_eq!(quoted(b"/var/log").as_deref(), Some("/var/log"));
        assert_eq!(quoted(b"/a b").as_deref(), Some("'/a b'"));
        assert_eq!(quoted(b"-rf").as_deref(), Some("'-rf'"));
        assert_eq!(quoted(b"/it's; rm -rf $HOME `x`").as_deref(), Some("'/it'\\''s; rm -rf $HOME `x`'"));
        for hidden in
            [&b""[..], b"/a\nb", b"/a\x1b[2Jb", b"/a\xff", "/a\u{202e}b".as_bytes(), b"/a  b", b"/a\tb"]
        {
            assert_eq!(quoted(hidden), None, "{hidden:?}");
        }
    }

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
