//! A kernel as data: its survey, and what it allowed at each of its starts. Tests use it to make plans for kernels
//! other than the running one.

use std::{collections::BTreeMap, path::Path};

use observer_core::domain::Declaration;
use serde::{Deserialize, Serialize};

use super::{
    btf::BtfError, facts::KernelFacts, feature_test::NoTrampolines, lockdown::Lockdown,
    privilege::Capabilities, survey::Survey,
};

/// What a kernel allows when it is started with one command line, independent of its types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub lockdown: Lockdown,
    pub trampolines: Result<(), NoTrampolines>,
}

/// A kernel as data: what `doctor --survey` prints of the running one, and what the tests keep of each kernel in the
/// test matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surveyed {
    pub release: String,
    /// By the kernel command line; empty for the default one.
    pub starts: BTreeMap<String, Start>,
    #[serde(flatten)]
    pub survey: Survey,
}

impl Surveyed {
    /// The data of the running kernel, with the types in the file `path`.
    ///
    /// # Errors
    /// When the types cannot be read.
    pub fn of(facts: &KernelFacts, domains: &[&Declaration], path: &Path) -> Result<Self, BtfError> {
        let survey = Survey::read(domains, path)?;
        let start = Start { lockdown: facts.lockdown, trampolines: facts.trampolines.clone() };
        Ok(Self { release: facts.release.clone(), starts: BTreeMap::from([(String::new(), start)]), survey })
    }

    /// The facts that a plan for this kernel is made of, for each of its starts. They assume every capability.
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
                control_groups: Ok(()),
            };
            (title.as_str(), facts)
        })
    }
}
