//! A kernel as data: its survey, and what it allowed at each of its starts. Tests make plans for kernels from it that are
//! not here.

use std::{collections::BTreeMap, path::Path};

use observer_core::domain::Declaration;
use serde::{Deserialize, Serialize};

use super::{btf::BtfError, facts::KernelFacts, lockdown::Lockdown, privilege::Capabilities, survey::Survey};

/// How a kernel was started: what it allows, whatever its types are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub lockdown: Lockdown,
    pub trampolines: Result<(), String>,
}

/// A kernel as data: what `doctor --survey` prints of the running one, and what is kept of each of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surveyed {
    pub release: String,
    /// By what was said on its command line; empty for nothing.
    pub starts: BTreeMap<String, Start>,
    #[serde(flatten)]
    pub survey: Survey,
}

impl Surveyed {
    /// What is to be kept of the running kernel, whose types are in the file `path`.
    ///
    /// # Errors
    /// When the types cannot be read.
    pub fn of(facts: &KernelFacts, domains: &[&Declaration], path: &Path) -> Result<Self, BtfError> {
        let survey = Survey::read(domains, path)?;
        let start = Start { lockdown: facts.lockdown, trampolines: facts.trampolines.clone() };
        Ok(Self { release: facts.release.clone(), starts: BTreeMap::from([(String::new(), start)]), survey })
    }

    /// The facts that a plan for this kernel is made of, for each of its starts; who runs has every capability.
    pub fn facts(&self, domains: &[&Declaration]) -> impl Iterator<Item = (&str, KernelFacts)> {
        let types = self.survey.types(domains);
        self.starts.iter().map(move |(title, start)| {
            let facts = KernelFacts {
                release: self.release.clone(),
                build: String::new(),
                lockdown: start.lockdown,
                capabilities: Capabilities(u64::MAX),
                types: types.clone(),
                trampolines: start.trampolines.clone(),
            };
            (title.as_str(), facts)
        })
    }
}
