//! False alarms on ordinary activity: a recording of a whole machine without a planted leak.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::replayed;

/// Prints each process with the verdict `leak`, and the number and observed time of all processes, without the ids in
/// `lists` (which `corpus record` writes next to its whole recordings).
pub fn count(recording: &Path, lists: &[&str]) -> Result<()> {
    let mut others = BTreeSet::new();
    for list in lists {
        let text = fs::read_to_string(list).with_context(|| (*list).to_owned())?;
        let ids = text.lines().filter_map(|line| line.split(' ').next()?.parse::<u32>().ok());
        others.extend(ids);
    }
    let (mut processes, mut seconds, mut alarms) = (0, 0.0, 0);
    for history in replayed::play(recording)? {
        if others.contains(&history.id.pid()) {
            continue;
        }
        let Some(last) = history.verdicts.last() else { continue };
        processes += 1;
        seconds += last.at;
        if let Some(called) = history.verdicts.iter().find(|verdict| verdict.verdict == "leak") {
            alarms += 1;
            let grew = (called.held - history.verdicts[0].held) / f64::from(1 << 20);
            println!("{} after {:.0} of {:.0} s, grown by {grew:.1} MiB", history.name, called.at, last.at);
        }
    }
    println!("{alarms} alarms, {processes} processes, {:.1} process hours", seconds / 3600.0);
    Ok(())
}
