//! What the net domain needs of `/proc` and `/sys`.

use std::path::Path;

use crate::{observation::Observation, wants::Wants};

/// Facts of the machine that every report needs, read once a report.
pub fn tick(_root: &Path, _out: &mut Vec<Observation>) {}

/// Answers what the net domain's report asked for.
pub fn answer(_root: &Path, _wants: &Wants, _out: &mut Vec<Observation>) {}
