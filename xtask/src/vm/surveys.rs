//! Surveys of kernels, kept as data for the tests of plans: the output of `doctor --survey` for each start of a series,
//! in one file.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

use super::verdicts::{Check, Verdict};

/// The folder of the surveys.
pub const FOLDER: &str = "tests/data/kernels";

/// The surveys of a run, by series.
#[derive(Default)]
pub struct Surveys {
    found: BTreeMap<String, Value>,
}

impl Surveys {
    /// Adds the output of a guest. Output without JSON is ignored, because the step itself fails.
    pub fn add(&mut self, series: &str, start: &str, output: &str) {
        let Ok(survey) = serde_json::from_str::<Value>(output.trim()) else { return };
        let own = survey["starts"][""].clone();
        let whole = self.found.entry(series.to_owned()).or_insert_with(|| {
            let mut empty = survey;
            empty["starts"] = Value::Object(serde_json::Map::new());
            empty
        });
        whole["starts"][start] = own;
    }

    /// Writes the surveys that changed, and returns a verdict for each.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<Check>> {
        let mut checks = Vec::new();
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        for (series, survey) in &self.found {
            let path = folder.join(format!("{series}.json"));
            let before = fs::read(&path).ok().and_then(|known| serde_json::from_slice::<Value>(&known).ok());
            let verdict = verdict(before.as_ref(), survey);
            if verdict != Verdict::Passed {
                let text = serde_json::to_string_pretty(survey).context("writing a survey")? + "\n";
                fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            }
            checks.push(Check { kernel: series.clone(), name: "survey".to_owned(), verdict });
        }
        Ok(checks)
    }
}

/// A change for the same kernel is an error in this project, in a field's name or in its look-up. A newer kernel of the
/// series may differ, which is reported.
fn verdict(before: Option<&Value>, survey: &Value) -> Verdict {
    let Some(before) = before else { return Verdict::Failed(format!("it was not in {FOLDER}: commit it")) };
    let changed = changes(before, survey);
    if changed.is_empty() {
        return Verdict::Passed;
    }
    let changed = changed.join(", ");
    if before["release"] == survey["release"] {
        return Verdict::Failed(format!(
            "{} differs from its survey in {FOLDER}: {changed}",
            before["release"]
        ));
    }
    let (old, new) = (&before["release"], &survey["release"]);
    Verdict::NotRun(format!("{new} differs from {old}: check the change and commit it: {changed}"))
}

/// The names of changed entries. An offset is no change, because programs get offsets at load time.
fn changes(before: &Value, after: &Value) -> Vec<String> {
    let mut changed = Vec::new();
    for part in ["starts", "points", "helpers", "fields"] {
        let of = |survey: &Value| {
            let entries = survey[part].as_object().into_iter().flatten();
            entries.map(|(name, value)| (name.clone(), without_offset(value))).collect::<BTreeMap<_, _>>()
        };
        let (before, after) = (of(before), of(after));
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        changed.extend(names.filter(|name| before.get(*name) != after.get(*name)).cloned());
    }
    changed
}

/// A value without its offset: `at 8, 4 wide` gives `4 wide`.
fn without_offset(value: &Value) -> Value {
    match value.as_str().and_then(|text| text.strip_prefix("at ")?.split_once(", ")) {
        Some((_, width)) => Value::from(width),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_offset_is_no_change_and_a_width_is() {
        let survey = |field: &str| json!({"release": "6.1", "fields": {"a.b": field, "a.c": null}});
        assert_eq!(changes(&survey("at 8, 4 wide"), &survey("at 16, 4 wide")), Vec::<String>::new());
        assert_eq!(changes(&survey("at 8, 4 wide"), &survey("at 8, 8 wide")), ["a.b"]);
        assert_eq!(changes(&json!({}), &survey("at 8, 8 wide")), ["a.b", "a.c"]);
    }

    #[test]
    fn only_a_newer_kernel_may_differ() {
        let survey = |release: &str, width| json!({"release": release, "fields": {"a.b": width}});
        let before = survey("6.1.5", "at 8, 4 wide");
        assert_eq!(verdict(Some(&before), &survey("6.1.6", "at 16, 4 wide")), Verdict::Passed);
        assert!(matches!(verdict(Some(&before), &survey("6.1.6", "at 8, 8 wide")), Verdict::NotRun(_)));
        assert!(matches!(verdict(Some(&before), &survey("6.1.5", "at 8, 8 wide")), Verdict::Failed(_)));
        assert!(matches!(verdict(None, &before), Verdict::Failed(_)));
    }

    #[test]
    fn the_starts_of_one_series_are_one_survey() {
        let output =
            |lockdown: &str| format!("{}\n", json!({"starts": {"": {"lockdown": lockdown}}, "fields": {}}));
        let mut surveys = Surveys::default();
        surveys.add("6.1", "", &output("None"));
        surveys.add("6.1", "integrity", &output("Integrity"));
        surveys.add("6.1", "broken", "no JSON");
        let starts = &surveys.found["6.1"]["starts"];
        assert_eq!(starts, &json!({"": {"lockdown": "None"}, "integrity": {"lockdown": "Integrity"}}));
    }
}
