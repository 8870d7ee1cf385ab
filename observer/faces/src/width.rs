//! Text in a given number of terminal columns: wide characters count as what they take.

use unicode_width::UnicodeWidthStr as _;

/// Columns that `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `columns` columns; the part that is cut shows as `…`.
pub fn truncated(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let mut end = 0;
    for (start, character) in text.char_indices() {
        let next = start + character.len_utf8();
        // The width of the whole prefix: that of some characters depends on those before them.
        if width(&text[..next]) > room {
            break;
        }
        end = next;
    }
    format!("{}…", &text[..end])
}

/// Like [`truncated`], but keeps the end of a path, which identifies the file in a deep folder.
pub fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns || !text.starts_with('/') || columns < 2 {
        return truncated(text, columns);
    }
    let starts = text.char_indices().map(|(start, _)| start);
    let tail = starts.map(|start| &text[start..]).find(|tail| width(tail) < columns);
    format!("…{}", tail.unwrap_or_default())
}

/// `text` broken between words into lines of at most `columns` columns, the first indented by `first` blanks and the
/// others by `rest`. A word that is too long for a line is broken; narrow text is not indented.
pub fn wrapped(text: &str, columns: usize, first: usize, rest: usize) -> Vec<String> {
    let (first, rest) = if first.max(rest) + 12 > columns { (0, 0) } else { (first, rest) };
    let mut lines = Vec::new();
    let mut line = " ".repeat(first);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let used = width(&line);
        let started = !line.trim().is_empty();
        if started && used + 1 + width(word) > columns {
            lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
        } else if started {
            line.push(' ');
        }
        for character in word.chars() {
            let mut longer = line.clone();
            longer.push(character);
            if width(&longer) > columns && !line.trim().is_empty() {
                lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
            }
            line.push(character);
        }
    }
    if !line.trim().is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_visible() {
        assert_eq!(truncated("abcdef", 6), "abcdef");
        assert_eq!(truncated("abcdef", 4), "abc…");
        assert_eq!(truncated("abcdef", 1), "…");
        assert_eq!(truncated("abcdef", 0), "");
    }

    #[test]
    fn the_end_of_a_path_stays() {
        assert_eq!(shortened("/var/log/legacy/debug.log", 16), "…egacy/debug.log");
        assert_eq!(shortened("/漢字/漢", 4), "…/漢");
        assert_eq!(shortened("relative/path", 5), "rela…");
        assert_eq!(shortened("/var", 4), "/var");
    }

    #[test]
    fn a_wide_character_is_never_halved() {
        assert_eq!(width("漢字"), 4);
        assert_eq!(truncated("漢字漢", 5), "漢字…");
        assert_eq!(truncated("漢字漢", 4), "漢…");
        assert_eq!(wrapped("漢字漢", 4, 0, 0), ["漢字", "漢"]);
    }

    #[test]
    fn lines_break_between_words_and_lose_none() {
        let text = "Memory 23.5 GiB, 61 % used, growing by 41 MiB a minute: full in about 3 h 40 min.";
        for columns in 1..100 {
            let lines = wrapped(text, columns, 1, 2);
            assert!(lines.iter().all(|line| width(line) <= columns), "{columns}: {lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""), "{columns}");
        }
        assert_eq!(wrapped("one two three four", 14, 0, 2), ["one two three", "  four"]);
    }
}
