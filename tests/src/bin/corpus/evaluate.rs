//! Accuracy of the verdicts: every run of the corpus is replayed and compared with its label.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    manifest::{Kind, Label, Manifest, Part, Profile, Run},
    proportion::Proportion,
    replayed::{self, ProcessHistory, ReportedVerdict},
};

/// Verdicts, in the order of the table.
const VERDICTS: [&str; 6] = ["leak", "growing", "warmup", "stable", "shrinking", "unknown"];

/// Seconds until the first check of a rate, and between checks.
const RATES: (f64, f64) = (120.0, 60.0);

/// Seconds at the start of a run that are not part of its long-run slope.
const SETTLED: f64 = 60.0;

/// The figures of some runs.
#[derive(Default)]
pub struct Figures {
    runs: usize,
    packaged: usize,
    /// By label: verdicts at the end of the run.
    ends: BTreeMap<Label, BTreeMap<String, usize>>,
    /// Runs of each label with the verdict `leak` at any time.
    called: BTreeMap<Label, Proportion>,
    /// Seconds until the first `leak`, for leaks.
    times: Vec<f64>,
    coverage: Proportion,
    /// Half widths of the intervals, relative to the truth.
    widths: Vec<f64>,
    wrong: Vec<String>,
}

/// Replays the recordings of these parts only.
pub fn evaluate(root: &Path, parts: &[Part]) -> Result<Figures> {
    let mut figures = Figures::default();
    for part in parts {
        figures.take_part(root, *part)?;
    }
    Ok(figures)
}

impl Figures {
    fn take_part(&mut self, root: &Path, part: Part) -> Result<()> {
        let runs: BTreeMap<String, Run> =
            Manifest::read(root, part)?.runs().into_iter().map(|run| (run.name(), run)).collect();
        let folder = part.recordings(root);
        let mut recordings: Vec<_> = std::fs::read_dir(&folder)
            .with_context(|| folder.display().to_string())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "recording"))
            .collect();
        recordings.sort();
        for recording in recordings {
            for history in replayed::play(&recording)? {
                let run =
                    runs.get(&history.name).with_context(|| format!("{} is in no manifest", history.name))?;
                self.take(run, &history);
            }
        }
        Ok(())
    }

    fn take(&mut self, run: &Run, history: &ProcessHistory) {
        let label = run.workload.label;
        let Some(last) = history.verdicts.last() else { return };
        self.runs += 1;
        self.packaged += usize::from(run.workload.kind == Kind::Packaged);
        *self.ends.entry(label).or_default().entry(last.verdict.clone()).or_default() += 1;
        let called = history.verdicts.iter().find(|verdict| verdict.verdict == "leak");
        self.called.entry(label).or_default().count(called.is_some());
        match (label, called) {
            (Label::Leak, Some(verdict)) => self.times.push(verdict.at),
            (Label::Leak, None) => {
                self.wrong.push(format!(
                    "missed: {} ({}; at its end {})",
                    history.name, run.workload.why, last.verdict
                ));
            }
            (_, Some(verdict)) => {
                self.wrong.push(format!(
                    "called after {:.0} s: {} ({})",
                    verdict.at, history.name, run.workload.why
                ));
            }
            (_, None) => {}
        }
        if label == Label::Leak && run.profile() == Profile::Steady {
            self.rates(&history.verdicts);
        }
    }

    /// Checks whether the intervals of a steady leak's rate contain its slope over the whole run.
    fn rates(&mut self, verdict: &[ReportedVerdict]) {
        let settled: Vec<(f64, f64)> = verdict
            .iter()
            .filter(|verdict| verdict.at >= SETTLED)
            .map(|verdict| (verdict.at, verdict.held))
            .collect();
        let truth = slope(&settled);
        let mut next = RATES.0;
        for each in verdict {
            if each.at < next {
                continue;
            }
            next += RATES.1;
            if let Some([_, low, high]) = each.rate {
                self.coverage.count((low..=high).contains(&truth));
                self.widths.push((high - low) / 2.0 / truth);
            }
        }
    }

    /// Runs with the verdict `leak` that are no leaks.
    fn alarms(&self) -> usize {
        self.called.iter().filter(|(label, _)| **label != Label::Leak).map(|(_, called)| called.of).sum()
    }

    /// The figures as Markdown.
    pub fn page(&self) -> String {
        let mut page = String::new();
        let found = self.called.get(&Label::Leak).copied().unwrap_or_default();
        let precision = Proportion::new(found.of, found.of + self.alarms());
        let mut line = |text: String| {
            let _ = writeln!(page, "{text}");
        };
        line(format!("{} runs, {} of them of packaged programs.\n", self.runs, self.packaged));
        line("| figure | value (cases; 95 % interval) |\n| --- | --- |".to_owned());
        line(format!("| precision of `leak` | {precision} |"));
        line(format!("| recall of `leak` | {found} |"));
        line(format!("| time to `leak`, seconds: median, 90 % | {} |", times(&self.times)));
        line(format!("| the rate's 95 % interval holds the long-run slope | {} |", self.coverage));
        line(format!(
            "| half width of that interval over the slope: median, 90 % | {} |",
            ratios(&self.widths)
        ));
        line(format!("\n| label | {} | called `leak` at any moment |", VERDICTS.join(" | ")));
        line(format!("|{}", " --- |".repeat(VERDICTS.len() + 2)));
        for (label, ends) in &self.ends {
            let counts: Vec<String> =
                VERDICTS.iter().map(|verdict| ends.get(*verdict).copied().unwrap_or(0).to_string()).collect();
            let called = self.called.get(label).copied().unwrap_or_default();
            line(format!("| {} | {} | {} of {} |", name(*label), counts.join(" | "), called.of, called.all));
        }
        if !self.wrong.is_empty() {
            line("\nWrong:".to_owned());
            self.wrong.iter().for_each(|wrong| line(format!("- {wrong}")));
        }
        page
    }
}

const fn name(label: Label) -> &'static str {
    match label {
        Label::Leak => "leak",
        Label::Bounded => "bounded",
        Label::Stable => "stable",
        Label::Shrinking => "shrinking",
    }
}

fn times(values: &[f64]) -> String {
    let at = |share| quantile(values, share).map_or("–".to_owned(), |value| format!("{value:.0}"));
    format!("{}, {}", at(0.5), at(0.9))
}

fn ratios(values: &[f64]) -> String {
    let at = |share| quantile(values, share).map_or("–".to_owned(), |value| format!("{value:.2}"));
    format!("{}, {}", at(0.5), at(0.9))
}

fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get((share * (values.len().max(1) - 1) as f64).round() as usize).copied()
}

/// The slope of the least-squares line; exactly 0 for constant values.
fn slope(points: &[(f64, f64)]) -> f64 {
    let begin = points.first().map_or(0.0, |point| point.1);
    let points: Vec<(f64, f64)> = points.iter().map(|(at, value)| (*at, value - begin)).collect();
    let n = points.len() as f64;
    let (at, value) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / n, sum.1 + point.1 / n));
    let together: f64 = points.iter().map(|point| (point.0 - at) * (point.1 - value)).sum();
    together / points.iter().map(|point| (point.0 - at).powi(2)).sum::<f64>()
}
