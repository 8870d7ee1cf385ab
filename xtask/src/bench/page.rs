//! docs/performance.md: the figures of one complete run. Text below them is written by hand and kept.

use std::{fmt::Write as _, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};

use super::{environment, table::Table};
use crate::process;

const PAGE: &str = "docs/performance.md";

/// Everything from this line on is kept.
const KEPT: &str = "<!-- What follows is written by hand and kept. -->";

/// Writes the page from the tables of a complete run.
///
/// # Errors
/// When it cannot be written.
pub fn write(root: &Path, tables: &[Table], thorough: bool, took: Duration) -> Result<()> {
    let path = root.join(PAGE);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let kept = before.find(KEPT).map_or_else(|| format!("{KEPT}\n"), |at| before[at..].to_owned());
    let date = process::output(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let mut page = format!(
        "# Performance\n\nMade by `cargo xtask bench{}` in {} s on {date}: {}, Linux {}. Every figure is a median. Compared \
         measurements take turns. ± is half the interquartile range. Goals are ratios, except for a few absolute times and \
         sizes.\n\n",
        if thorough { " --thorough" } else { "" },
        took.as_secs(),
        environment::machine(),
        environment::kernel(),
    );
    summary(&mut page, tables);
    tables.iter().for_each(|table| page.push_str(&table.markdown()));
    page.push_str(&kept);
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    println!("bench: written to {PAGE}");
    Ok(())
}

fn summary(page: &mut String, tables: &[Table]) {
    let goals: Vec<_> = tables.iter().flat_map(|table| &table.goals).collect();
    let met = goals.iter().filter(|goal| goal.met).count();
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{met} of {} goals are met. Missed:\n", goals.len());
    for goal in goals.iter().filter(|goal| !goal.met) {
        let _ = writeln!(page, "- {}: measured {}", goal.wanted, goal.measured);
    }
    page.push('\n');
}
