//! The holders of a deleted file, for JSON and for readers: processes, and the kernel.

use super::reclaim;
use crate::{
    file::{HeldFile, Holder},
    kernel_holder::KernelHolder,
    state::DiskState,
};
use observer_core::{
    context::Context,
    facts::{TaskId, disk::InodeId},
    report::{Value, process},
};

/// All holders for JSON: an object for each kind of hold.
pub fn list(inode: InodeId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> Value {
    let processes = file.processes();
    let by_processes = processes.iter().flat_map(|id| holds(*id, file, state, context));
    let by_kernel = state.kernel_holder(inode, file).map(|holder| kernel_object(holder, context));
    Value::List(by_processes.chain(by_kernel).collect())
}

fn holds(id: TaskId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> Vec<Value> {
    let unknown = Holder::default();
    let holder = file.holders.get(&id).unwrap_or(&unknown);
    let descriptors = || holder.descriptors.iter().map(|descriptor| descriptor.fd).collect::<Vec<_>>();
    let holds = [
        ("fd", (!holder.descriptors.is_empty()).then(descriptors)),
        ("mmap", holder.mapping.map(|_| Vec::new())),
        ("exe", holder.executable.then(Vec::new)),
        ("io_uring", holder.ring.map(|ring| vec![ring])),
        ("in_flight", holder.socket.map(|socket| vec![socket])),
        ("unknown", (*holder == Holder::default()).then(Vec::new)),
    ];
    let holds = holds.into_iter().filter_map(|(how, fds)| Some((how, fds?)));
    let written = file.written(id, state.growth_by_event);
    let object = |(index, (how, fds)): (usize, (&'static str, Vec<u32>))| {
        let Value::Object(fields) = process::object(id, context.processes, context.request) else {
            return Value::Missing;
        };
        // A process with two kinds of hold has its written bytes only once, so that the sum over holders is right.
        let written = if index == 0 { Value::unsigned(written) } else { Value::Missing };
        hold(fields, how, &fds, written, how == "fd" && reclaim::appends(holder))
    };
    holds.enumerate().map(object).collect()
}

fn kernel_object(holder: KernelHolder, context: &Context<'_>) -> Value {
    let mut fields = process::absent(context.request);
    let (how, device) = match holder {
        KernelHolder::Swap => ("swap", Value::Missing),
        KernelHolder::LoopDevice(number) => ("loop", Value::Text(format!("/dev/loop{number}"))),
        KernelHolder::Unknown => ("unknown", Value::Missing),
    };
    fields.push(("device", device));
    hold(fields, how, &[], Value::Missing, false)
}

fn hold(
    mut fields: Vec<(&'static str, Value)>,
    how: &str,
    fds: &[u32],
    written: Value,
    append: bool,
) -> Value {
    fields.push(("how", Value::Text(how.to_owned())));
    fields.push(("fds", Value::List(fds.iter().map(|fd| Value::Unsigned(u64::from(*fd))).collect())));
    fields.push(("written", written));
    fields.push(("append", Value::Flag(append)));
    Value::Object(fields)
}

/// All holders, as text for readers.
pub fn named(inode: InodeId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> String {
    match state.kernel_holder(inode, file) {
        Some(KernelHolder::Swap) => return "the kernel, as swap".to_owned(),
        Some(KernelHolder::LoopDevice(number)) => return format!("/dev/loop{number}"),
        Some(KernelHolder::Unknown) => return "no process: the kernel".to_owned(),
        None => {}
    }
    let label = |id: &TaskId| {
        let label = context.processes.label(*id);
        match reclaim::service(*id, context) {
            Some(service) => format!("{label} ({service})"),
            None => label,
        }
    };
    reclaim::listed(&file.processes().iter().map(label).collect::<Vec<_>>())
}
