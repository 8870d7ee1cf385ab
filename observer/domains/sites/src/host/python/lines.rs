//! Line tables of CPython's code objects, which have had three forms.

/// The line of the instruction at the byte `at` of a function of CPython 3.`minor`; `None` if it has none.
pub fn line(minor: u32, table: &[u8], first: u32, at: u64) -> Option<u32> {
    match minor {
        8 | 9 => Some(by_increments(table, first, at)),
        10 => by_ranges(table, first, at),
        _ => by_locations(table, first, at),
    }
}

fn moved(line: u32, by: i64) -> u32 {
    u32::try_from(i64::from(line) + by).unwrap_or(line)
}

/// Pairs of bytes: how far the next line begins after the last one, and by how many lines it differs (`lnotab_notes.txt`).
fn by_increments(table: &[u8], first: u32, at: u64) -> u32 {
    let (mut line, mut start) = (first, 0);
    for [distance, lines] in table.as_chunks::<2>().0 {
        start += u64::from(*distance);
        if start > at {
            break;
        }
        line = moved(line, i64::from(lines.cast_signed()));
    }
    line
}

/// Pairs of bytes: the length of a range, and the difference of its line; -128 is no line (PEP 626).
fn by_ranges(table: &[u8], first: u32, at: u64) -> Option<u32> {
    let (mut line, mut end) = (first, 0);
    for [length, lines] in table.as_chunks::<2>().0 {
        let lines = lines.cast_signed();
        let known = lines != i8::MIN;
        if known {
            line = moved(line, i64::from(lines));
        }
        end += u64::from(*length);
        if at < end {
            return known.then_some(line);
        }
    }
    None
}

/// Entries of a first byte with the form and the length, and what the form has (`locations.md`).
fn by_locations(table: &[u8], first: u32, at: u64) -> Option<u32> {
    let (mut line, mut end, mut place) = (first, 0, 0);
    while let Some(head) = table.get(place) {
        place += 1;
        let form = head >> 3 & 15;
        end += 2 * (u64::from(head & 7) + 1);
        match form {
            // Columns only.
            0..=9 => place += 1,
            10..=12 => {
                line = moved(line, i64::from(form) - 10);
                place += 2;
            }
            13 => line = moved(line, signed(table, &mut place)?),
            14 => {
                line = moved(line, signed(table, &mut place)?);
                for _ in 0..3 {
                    unsigned(table, &mut place)?;
                }
            }
            _ => {}
        }
        if at < end {
            return (form != 15).then_some(line);
        }
    }
    None
}

/// A number of six bits a byte, the lowest first; bit 6 says that more follow.
fn unsigned(table: &[u8], place: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..60).step_by(6) {
        let byte = *table.get(*place)?;
        *place += 1;
        value |= u64::from(byte & 63) << shift;
        if byte & 64 == 0 {
            return Some(value);
        }
    }
    None
}

/// The same with the sign in the lowest bit.
fn signed(table: &[u8], place: &mut usize) -> Option<i64> {
    let value = unsigned(table, place)?;
    let amount = i64::try_from(value >> 1).ok()?;
    Some(if value & 1 == 1 { -amount } else { amount })
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_three_forms_name_the_line_of_an_instruction() {
        // Six bytes of line 10, then line 12, then line 11.
        let increments = [6, 2, 4, 0xff];
        let lines = [0, 5, 6, 9, 10, 99].map(|at| line(9, &increments, 10, at));
        assert_eq!(lines, [Some(10), Some(10), Some(12), Some(12), Some(11), Some(11)]);
        // Two bytes without a line.
        let ranges = [6, 0, 4, 2, 2, 0x80, 2, 0xff];
        assert_eq!(
            [5, 6, 10, 12, 99].map(|at| line(10, &ranges, 10, at)),
            [Some(10), Some(12), None, Some(11), None]
        );
        let locations = [
            0x80 | 13 << 3,
            0,
            0x80 | 11 << 3 | 1,
            0,
            0,
            0x80 | 15 << 3,
            0x80 | 14 << 3,
            3,
            0,
            0,
            0,
            0x80,
            7,
        ];
        let lines = [0, 2, 5, 6, 8, 10, 12].map(|at| line(12, &locations, 10, at));
        assert_eq!(lines, [Some(10), Some(11), Some(11), None, Some(10), Some(10), None]);
        assert_eq!(line(11, &[0x80 | 13 << 3], 10, 0), None, "a table that ends early");
    }
}
