//! Instructions that the verifier of the running kernel processes for each program of observer, for every possible
//! alternative of every hook: `{"kernel": SERIES, "programs": {"OBJECT/PROGRAM": INSTRUCTIONS}}` on standard output.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use observer::domains;
use observer_core::domain::Declaration;
use observer_kernel::{
    facts::{KernelFacts, Origin},
    load,
    plan::{self, DisabledHooks},
};
use serde_json::json;

fn main() -> Result<()> {
    let mut programs: BTreeMap<String, u32> = BTreeMap::new();
    let mut kernel = String::new();
    for domain in domains::declarations(domains::ALL) {
        let origin = Origin { root: Path::new("/"), btf: None, cache: None };
        let facts = KernelFacts::gather(&[domain], &origin)?;
        kernel = facts.release.split('.').take(2).collect::<Vec<_>>().join(".");
        look(domain, &facts, None, &mut programs)?;
        for hook in domain.hooks {
            for alternative in 1..=hook.alternatives.len() {
                // Alternatives that are impossible on this kernel are skipped.
                let known = hook.alternatives[alternative - 1]
                    .programs
                    .iter()
                    .all(|program| programs.contains_key(&format!("{}/{}", domain.name, program.program)));
                if !known {
                    look(domain, &facts, Some((hook.name, alternative)), &mut programs)?;
                }
            }
        }
    }
    println!("{}", json!({"kernel": kernel, "programs": programs}));
    Ok(())
}

/// Loads the domain's object with the given alternative of one hook, and reads the counts of its programs.
fn look(
    domain: &'static Declaration,
    facts: &KernelFacts,
    forced: Option<(&str, usize)>,
    programs: &mut BTreeMap<String, u32>,
) -> Result<()> {
    let mut plan = plan::plan(facts.clone(), &[domain], DisabledHooks::default());
    if let Some((hook, alternative)) = forced {
        plan.force(hook, alternative)?;
    }
    let loaded = load::load(&plan, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    for program in loaded.objects.iter().flat_map(load::LoadedObject::activity) {
        if let Some(verified) = program.verified {
            programs.insert(format!("{}/{}", program.domain, program.program), verified);
        }
    }
    Ok(())
}
