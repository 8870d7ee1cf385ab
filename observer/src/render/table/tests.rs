//! What people see, letter for letter at the widths that matter, and what holds at every width.

use super::*;
use crate::render::samples;

fn text(report: &Report, width: Option<usize>) -> String {
    lines(report, width, Paint::Bare, Notes::Whole).join("\n")
}

/// `OBSERVER_LOOK=1 cargo test -p observer look -- --nocapture` shows every sample at every width.
#[test]
fn look() {
    for report in samples::all() {
        for width in [200, 120, 80, 40, 20] {
            let drawn = lines(&report, Some(width), Paint::Coloured, Notes::Whole).join("\n");
            if std::env::var_os("OBSERVER_LOOK").is_some() {
                println!("{}\n{drawn}\n", "=".repeat(width));
            }
            assert!(!drawn.is_empty());
        }
    }
}
