//! The same frame in ASCII, for locales and fonts without more.

use ratatui::buffer::Buffer;

/// Replaces every character outside of ASCII: drawn ones by their likes, those of names by `?`.
pub(super) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol.is_ascii() {
            continue;
        }
        let first = symbol.chars().next().unwrap_or('?');
        let plain = like(first).unwrap_or('?');
        // A wide character covers the next cell too, which is then drawn as blank.
        cell.set_symbol(&plain.to_string());
    }
}

fn like(character: char) -> Option<char> {
    Some(match character {
        '▁' | '▂' | '·' | '•' => '.',
        '▃' | '▄' => ':',
        '▅' | '▆' | '│' | '┃' => '|',
        '▇' | '█' => '#',
        '–' | '—' | '─' | '━' | '−' => '-',
        '…' => '~',
        'µ' => 'u',
        '±' => '+',
        '→' | '▶' | '›' => '>',
        '←' => '<',
        '↑' | '▲' => '^',
        '↓' | '▼' => 'v',
        '×' => 'x',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' => '+',
        '“' | '”' => '"',
        '‘' | '’' => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    #[test]
    fn a_frame_in_ascii_has_the_same_places() {
        let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "RSS↓ 漢字 4…", Style::new());
        to_ascii(&mut buffer);
        let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert!(text.is_ascii());
        assert_eq!(text.trim_end(), "RSSv ? ?  4~");
    }
}
