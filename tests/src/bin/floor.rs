//! The floor of the benchmark: attaches nearly empty programs to all attach points of observer.
//!
//! `floor empty|counting OBJECT` loads the kernel object in the file OBJECT, writes `{"ready":true}` with the number of
//! hooks once all are attached, and detaches when its standard input ends.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{BtfTracePoint, FExit},
};
use observer::domains;
use observer_core::hook::Point;
use observer_kernel::{
    facts::{KernelFacts, Origin},
    plan::{self, DisabledHooks},
};
use observer_tests::workload::{hear, tell};
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, object] = &arguments[..] else { bail!("floor empty|counting OBJECT") };
    let bytes = std::fs::read(object).with_context(|| format!("cannot read {object}"))?;
    let types = Btf::from_sys_fs().context("the kernel's types")?;
    let mut attached = Vec::new();
    for point in points()? {
        // The object is loaded again for each attach point, which is fixed when a program is loaded.
        attached.push(attach(&bytes, kind, point, &types).with_context(|| format!("{point:?}"))?);
    }
    drop(types);
    tell(json!({"ready": true, "hooks": attached.len()}));
    while hear().is_some() {
        tell(json!({}));
    }
    Ok(())
}

/// The attach points of observer's events on this kernel, for all three commands, with on-demand hooks, which the
/// benchmark's loads activate.
fn points() -> Result<Vec<Point>> {
    let domains = domains::declarations(domains::ALL);
    let origin = Origin { root: Path::new("/"), btf: None, cache: None };
    let facts = KernelFacts::gather(&domains, &origin).map_err(anyhow::Error::msg)?;
    let types = facts.types.clone();
    let plan = plan::plan(facts, &domains, DisabledHooks::default());
    let hooks = plan.objects.iter().flat_map(|object| &object.hooks);
    let events = hooks.filter(|hook| hook.hook.kind.is_event());
    let programs = events.filter_map(plan::HookPlan::chosen).flat_map(|way| way.programs);
    let points = programs.filter(|program| !program.optional || types.id(program.point).is_some());
    // The floor has no program for control groups: theirs run when a socket is opened, which takes microseconds.
    let points = points.map(|program| program.point);
    Ok(points.filter(|point| !matches!(point, Point::ControlGroup(_))).collect())
}

fn attach(bytes: &[u8], kind: &str, point: Point, types: &Btf) -> Result<Ebpf> {
    let mut object = EbpfLoader::new().btf(None).load(bytes)?;
    let place = match point {
        Point::BtfTracepoint(_) => "tracepoint",
        Point::Fexit(_) => "return",
        Point::Iterator(_) | Point::Fentry(_) | Point::ControlGroup(_) => {
            bail!("no program is for such a place")
        }
    };
    let name = format!("{kind}_{place}");
    let program = object.program_mut(&name).with_context(|| format!("the object has no program {name}"))?;
    match point {
        Point::BtfTracepoint(target) => {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(target, types)?;
            program.attach()?;
        }
        Point::Fexit(target)
        | Point::Fentry(target)
        | Point::Iterator(target)
        | Point::ControlGroup(target) => {
            let program: &mut FExit = program.try_into()?;
            program.load(target, types)?;
            program.attach()?;
        }
    }
    Ok(object)
}
