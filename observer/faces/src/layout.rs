//! Which columns fit into a width, and how wide each is.
//!
//! By hand: `comfy-table` arranges widths, but neither drops columns nor cuts a path at its front.

/// What is known of a column before it is laid out.
#[derive(Clone, Copy, Debug)]
pub struct WidthNeed {
    /// Columns of the terminal that its widest cell takes, its heading included.
    pub natural: usize,
    /// As [`observer_core::report::column::Heading::importance`].
    pub importance: u8,
    /// Whether its text can be cut; a cut number would be another number.
    pub text: bool,
}

/// Blanks between columns.
pub const GAP: usize = 2;
/// Narrower text is less useful than another column; a command or an address fits into this width.
const READABLE: usize = 16;
/// Narrower text is useless.
const HINT: usize = 4;

/// The columns that are shown, in their order, each with its width. Without a width all are shown as they are.
pub fn fit(needs: &[WidthNeed], width: Option<usize>) -> Vec<(usize, usize)> {
    let mut shown: Vec<(usize, usize)> =
        needs.iter().enumerate().map(|(at, need)| (at, need.natural)).collect();
    let Some(width) = width else { return shown };
    let least = |need: &WidthNeed, text: usize| if need.text { need.natural.min(text) } else { need.natural };

    // First, the least important columns are removed while the others would be unreadable…
    while total(shown.iter().map(|(at, _)| least(&needs[*at], READABLE))) > width {
        let leaving = shown.iter().enumerate().filter(|(_, (at, _))| needs[*at].importance > 0);
        let Some((index, _)) = leaving.max_by_key(|(_, (at, _))| needs[*at].importance) else {
            break;
        };
        shown.remove(index);
    }
    // …then text is cut, always the widest, the last of equal ones; first down to a readable width.
    for floor in [READABLE, HINT] {
        while total(shown.iter().map(|(_, wide)| *wide)) > width {
            let widest = shown.iter_mut().filter(|(at, wide)| *wide > least(&needs[*at], floor));
            let Some((_, wide)) = widest.max_by_key(|(_, wide)| *wide) else { break };
            *wide -= 1;
        }
    }
    // Only necessary numbers are left: they are removed from the right, because the first column names the subject.
    while shown.len() > 1 && total(shown.iter().map(|(_, wide)| *wide)) > width {
        shown.pop();
    }
    shown
}

fn total(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    GAP * widths.len().saturating_sub(1) + widths.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(natural: usize, importance: u8) -> WidthNeed {
        WidthNeed { natural, importance, text: false }
    }

    fn width(natural: usize, importance: u8) -> WidthNeed {
        WidthNeed { natural, importance, text: true }
    }

    fn places(needs: &[WidthNeed], width: usize) -> Vec<usize> {
        fit(needs, Some(width)).into_iter().map(|(at, _)| at).collect()
    }

    #[test]
    fn a_table_that_fits_is_unchanged() {
        let needs = [number(5, 0), width(40, 1), number(9, 2)];
        assert_eq!(fit(&needs, None), fit(&needs, Some(200)));
        assert_eq!(fit(&needs, None), [(0, 5), (1, 40), (2, 9)]);
    }

    #[test]
    fn the_least_important_column_is_removed_first() {
        let needs = [number(5, 0), number(10, 3), number(10, 1), number(10, 2)];
        assert_eq!(places(&needs, 41), [0, 1, 2, 3]);
        assert_eq!(places(&needs, 40), [0, 2, 3]);
        assert_eq!(places(&needs, 20), [0, 2]);
        assert_eq!(places(&needs, 16), [0]);
    }

    #[test]
    fn a_long_text_is_cut_before_a_column_is_removed() {
        let needs = [number(5, 0), number(10, 3), width(80, 1)];
        assert_eq!(fit(&needs, Some(60)), [(0, 5), (1, 10), (2, 41)]);
        assert_eq!(fit(&needs, Some(26)), [(0, 5), (2, 19)]);
    }

    #[test]
    fn long_texts_share_the_remaining_width() {
        let needs = [number(9, 0), width(25, 0), width(28, 1), width(6, 0)];
        assert_eq!(fit(&needs, Some(61)), [(0, 9), (1, 20), (2, 20), (3, 6)]);
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let needs = [number(6, 0), width(30, 0), width(60, 2), number(9, 0), number(12, 5), width(8, 1)];
        for width in 6..200 {
            let shown = fit(&needs, Some(width));
            assert!(total(shown.iter().map(|(_, wide)| *wide)) <= width, "{width}: {shown:?}");
            assert!(!shown.is_empty());
        }
    }
}
