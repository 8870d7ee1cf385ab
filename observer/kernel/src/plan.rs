//! Decides what is attached, from what a kernel offers and what the domains declare: a pure function.
//!
//! `doctor` prints a plan, the loader executes it, tests check it for many kernels.

use observer_common::field::ABSENT;

use super::{
    control_group::NoControlGroup,
    declared::fields,
    facts::KernelFacts,
    feature_test::NoTrampolines,
    lockdown::Lockdown,
    prototype,
    types::{NoField, type_name},
};
use observer_core::{
    domain::{Declaration, KernelObject},
    hook::{Alternative, Attachment, Hook, Need, Point},
};

/// What to load and attach.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadPlan {
    pub objects: Vec<ObjectPlan>,
    /// The facts it was made of: the loader needs the type ids of the attach points.
    pub facts: KernelFacts,
}

/// One domain's kernel object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectPlan {
    pub domain: &'static str,
    /// Which of the domain's kernel objects.
    pub object: KernelObject,
    /// Value of each global: a field's offset, or `ABSENT`.
    pub globals: Vec<(&'static str, u32)>,
    /// Globals of fields that programs need and this kernel lacks, with the reason.
    pub lacking: Vec<(&'static str, NoField)>,
    pub hooks: Vec<HookPlan>,
}

/// One hook: its alternatives in order, each possible or with the reason why not.
#[derive(Clone, Debug, PartialEq)]
pub struct HookPlan {
    pub hook: &'static Hook,
    pub alternatives: Vec<(&'static Alternative, Result<(), Impossible>)>,
}

/// Why an alternative is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    #[error("switched off by --without")]
    SwitchedOff,
    #[error("not chosen by --way")]
    NotChosen,
    #[error("this kernel has no {kind} `{name}`")]
    NoAttachPoint { kind: &'static str, name: &'static str },
    #[error(transparent)]
    NoTrampolines(#[from] NoTrampolines),
    #[error(transparent)]
    NoControlGroup(#[from] NoControlGroup),
    /// `found` and `expected` as [`super::btf::Btf::prototype`] writes them.
    #[error("the arguments at `{point}` of this kernel are ({found}), not ({expected})")]
    OtherArguments { point: String, found: String, expected: &'static str },
    #[error("this kernel has no helper `bpf_{0}`")]
    NoHelper(&'static str),
    #[error("this kernel has the helper `bpf_{0}`, so a better alternative exists")]
    BetterExists(&'static str),
    #[error("lockdown=confidentiality forbids probe reads of kernel memory")]
    Lockdown,
}

/// Why an alternative cannot be forced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAlternative {
    #[error("nothing that is observed here has a hook `{0}`")]
    Hook(String),
    /// Alternatives are counted from 1.
    #[error("`{hook}` has no alternative {number}, only 1 to {count}")]
    Number { hook: String, number: usize, count: usize },
}

/// What the user switched off, to see what the rest still reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisabledHooks {
    pub passes: bool,
    pub events: bool,
}

impl HookPlan {
    /// The first possible alternative.
    pub fn chosen(&self) -> Option<&'static Alternative> {
        self.possible().next()
    }

    /// The possible alternatives in order: if the kernel rejects one, the loader tries the next.
    pub fn possible(&self) -> impl Iterator<Item = &'static Alternative> + '_ {
        self.alternatives.iter().filter(|(_, verdict)| verdict.is_ok()).map(|(alternative, _)| *alternative)
    }

    /// Why no alternative is possible, in one sentence.
    pub fn rejection(&self) -> String {
        let reasons = self.alternatives.iter().filter_map(|(alternative, verdict)| {
            verdict.as_ref().err().map(|reason| format!("{}: {reason}", alternative.name))
        });
        reasons.collect::<Vec<_>>().join("; ")
    }
}

impl LoadPlan {
    /// Keeps only the alternative with this number (counted from 1, as declared) of a hook.
    ///
    /// # Errors
    /// When no object has the hook, or the hook has no such alternative.
    pub fn force(&mut self, hook: &str, number: usize) -> Result<(), NoAlternative> {
        let mut hooks = self.objects.iter_mut().flat_map(|object| &mut object.hooks);
        let Some(forced) = hooks.find(|plan| plan.hook.name == hook) else {
            return Err(NoAlternative::Hook(hook.to_owned()));
        };
        let count = forced.alternatives.len();
        if !(1..=count).contains(&number) {
            return Err(NoAlternative::Number { hook: hook.to_owned(), number, count });
        }
        for (index, (_, verdict)) in forced.alternatives.iter_mut().enumerate() {
            if index + 1 != number && verdict.is_ok() {
                *verdict = Err(Impossible::NotChosen);
            }
        }
        Ok(())
    }
}

/// Decides what is attached on a kernel with these facts.
pub fn plan(facts: KernelFacts, domains: &[&'static Declaration], without: DisabledHooks) -> LoadPlan {
    let objects = domains.iter().map(|domain| object(&facts, domain, without)).collect();
    LoadPlan { objects, facts }
}

fn object(facts: &KernelFacts, domain: &'static Declaration, without: DisabledHooks) -> ObjectPlan {
    let mut lacking = Vec::new();
    let own = [domain];
    let globals = fields(&own).map(|field| match facts.types.fields.get(field.global) {
        Some(Ok(offset)) => (field.global, *offset),
        Some(Err(reason)) => {
            if !domain.optional_fields.contains(&field.global) {
                lacking.push((field.global, reason.clone()));
            }
            (field.global, ABSENT)
        }
        None => {
            lacking.push((field.global, NoField::NotLookedUp { path: field.path.to_owned() }));
            (field.global, ABSENT)
        }
    });
    let globals = globals.collect();
    let hooks = domain.hooks.iter().map(|hook| HookPlan {
        hook,
        alternatives: hook
            .alternatives
            .iter()
            .map(|alternative| (alternative, possible(facts, hook, alternative, without)))
            .collect(),
    });
    let fitting =
        domain.objects.iter().find(|object| object.needs.iter().all(|need| needed(facts, need).is_ok()));
    // If none fits, the alternatives of each hook have the reasons; the last object needs the least.
    let object = *fitting.or(domain.objects.last()).expect("a declaration lists at least one object");
    ObjectPlan { domain: domain.name, object, globals, lacking, hooks: hooks.collect() }
}

fn possible(
    facts: &KernelFacts,
    hook: &Hook,
    alternative: &Alternative,
    without: DisabledHooks,
) -> Result<(), Impossible> {
    let off = if hook.kind.is_event() { without.events } else { without.passes };
    if off {
        return Err(Impossible::SwitchedOff);
    }
    for attachment in alternative.programs.iter().filter(|attachment| !attachment.optional) {
        if facts.types.id(attachment.point).is_none() {
            let kind = match attachment.point {
                Point::Iterator(_) => "iterator",
                Point::BtfTracepoint(_) => "tracepoint",
                Point::Fentry(_) | Point::Fexit(_) => "function",
                Point::ControlGroup(_) => "program in control groups for",
            };
            return Err(Impossible::NoAttachPoint { kind, name: attachment.point.target() });
        }
        if matches!(attachment.point, Point::ControlGroup(_)) {
            facts.control_groups.clone()?;
        }
        if matches!(attachment.point, Point::Fentry(_) | Point::Fexit(_)) {
            facts.trampolines.clone()?;
        }
        arguments(facts, attachment)?;
    }
    alternative.needs.iter().try_for_each(|need| needed(facts, need))
}

/// Whether the kernel has, and allows, what programs call.
fn needed(facts: &KernelFacts, need: &Need) -> Result<(), Impossible> {
    let probing = match need {
        Need::Helper(name) if !facts.types.helpers.contains(*name) => {
            return Err(Impossible::NoHelper(name));
        }
        Need::NoHelper(name) if facts.types.helpers.contains(*name) => {
            return Err(Impossible::BetterExists(name));
        }
        Need::Helper(_) | Need::NoHelper(_) => false,
        Need::Probing => true,
        Need::ProbingWhere { global, is } => match facts.types.fields.get(*global) {
            Some(Ok(offset)) => is.is_none_or(|is| is == *offset),
            _ => false,
        },
    };
    if probing && facts.lockdown == Lockdown::Confidentiality {
        return Err(Impossible::Lockdown);
    }
    Ok(())
}

/// Whether a program gets the arguments that it expects at its attach point.
fn arguments(facts: &KernelFacts, attachment: &Attachment) -> Result<(), Impossible> {
    let Attachment { program, point, .. } = *attachment;
    let name = type_name(point).1;
    // A missing declaration is found by the tests of plans; the verifier still checks the program.
    let Some(expected) = prototype::expected_by(program, &name) else { return Ok(()) };
    match facts.types.points.get(&name) {
        Some(found) if !prototype::fits(point, expected, &found.prototype) => {
            Err(Impossible::OtherArguments { point: name, found: found.prototype.clone(), expected })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        declared::{attachments, helpers},
        privilege::Capabilities,
        types::{KernelTypes, PointType},
    };
    use observer_core::domain::KernelSide as _;

    fn every() -> Vec<&'static Declaration> {
        vec![
            observer_mem::Mem.declaration(),
            observer_disk::Disk.declaration(),
            observer_net::Net.declaration(),
        ]
    }

    /// An attach point with the prototype that its programs expect.
    fn attach_point(point: Point) -> (String, PointType) {
        let name = type_name(point).1;
        let prototype = prototype::expected(&name).unwrap_or_default().to_owned();
        (name, PointType { id: 1, prototype })
    }

    /// A kernel that has everything.
    fn complete() -> KernelFacts {
        let domains = every();
        KernelFacts {
            release: "6.99".to_owned(),
            build: "#1".to_owned(),
            lockdown: Lockdown::None,
            capabilities: Capabilities(u64::MAX),
            types: KernelTypes {
                fields: fields(&domains).map(|field| (field.global.to_owned(), Ok(8))).collect(),
                points: attachments(&domains).map(|at| attach_point(at.point)).collect(),
                helpers: helpers(&domains).map(str::to_owned).collect(),
            },
            trampolines: Ok(()),
            control_groups: Ok(()),
        }
    }

    fn hooks(plan: &LoadPlan) -> impl Iterator<Item = &HookPlan> {
        plan.objects.iter().flat_map(|object| &object.hooks)
    }

    #[test]
    fn a_kernel_that_has_everything_gets_the_first_alternative_of_each_hook() {
        let plan = plan(complete(), &every(), DisabledHooks::default());
        assert!(hooks(&plan).count() > 8);
        for hook in hooks(&plan) {
            assert_eq!(hook.chosen(), hook.hook.alternatives.first(), "{}", hook.hook.name);
        }
    }

    #[test]
    fn without_trampolines_every_hook_still_has_an_alternative() {
        let facts = KernelFacts { trampolines: Err(NoTrampolines("EPERM".to_owned())), ..complete() };
        let plan = plan(facts, &every(), DisabledHooks::default());
        assert!(hooks(&plan).count() > 8);
        for hook in hooks(&plan) {
            let alternative =
                hook.chosen().unwrap_or_else(|| panic!("{}: {}", hook.hook.name, hook.rejection()));
            let points = alternative.programs.iter().filter(|program| !program.optional);
            assert!(
                points
                    .map(|program| program.point)
                    .all(|point| !matches!(point, Point::Fexit(_) | Point::Fentry(_)))
            );
        }
    }

    #[test]
    fn a_missing_tracepoint_is_named() {
        let mut facts = complete();
        facts.types.points.remove("btf_trace_tcp_destroy_sock");
        let plan = plan(facts, &every(), DisabledHooks::default());
        let life = hooks(&plan).find(|hook| hook.hook.name == "net.connections").expect("net has the hook");
        assert_eq!(life.chosen(), None);
        assert!(life.rejection().contains("no tracepoint `tcp_destroy_sock`"), "{}", life.rejection());
    }

    #[test]
    fn a_missing_field_is_absent_for_the_programs_and_reported() {
        let mut facts = complete();
        facts
            .types
            .fields
            .insert("TASK_TGID".to_owned(), Err(NoField::Missing { path: "task_struct.tgid".to_owned() }));
        let plan = plan(facts, &every(), DisabledHooks::default());
        for object in &plan.objects {
            assert!(object.globals.contains(&("TASK_TGID", ABSENT)), "{}", object.domain);
            assert!(object.lacking.iter().any(|(global, _)| *global == "TASK_TGID"), "{}", object.domain);
        }
    }

    #[test]
    fn one_alternative_can_be_forced() {
        let mut plan = plan(complete(), &every(), DisabledHooks::default());
        plan.force("mem.mappings", 2).expect("the hook has two alternatives");
        let mappings = hooks(&plan).find(|hook| hook.hook.name == "mem.mappings").expect("mem has the hook");
        assert_eq!(mappings.chosen(), mappings.hook.alternatives.get(1));
        assert_eq!(mappings.alternatives[0].1, Err(Impossible::NotChosen));
        assert!(plan.force("mem.mappings", 0).is_err());
        assert!(plan.force("mem.mappings", 99).is_err());
        assert!(plan.force("mem.nothing", 1).is_err());
    }

    #[test]
    fn scans_or_events_can_be_switched_off() {
        for passes in [true, false] {
            let plan = plan(complete(), &every(), DisabledHooks { passes, events: !passes });
            assert!(hooks(&plan).any(|hook| hook.chosen().is_some()));
            for hook in hooks(&plan) {
                assert_eq!(
                    hook.chosen().is_some(),
                    hook.hook.kind.is_event() == passes,
                    "{}",
                    hook.hook.name
                );
            }
        }
    }
}
