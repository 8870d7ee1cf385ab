//! Who holds a deleted file, for programs and for people: processes, and what is no process.

use super::reclaim;
use crate::{
    file::{HeldFile, Holder},
    state::DiskState,
};
use observer_core::{
    domain::Context,
    facts::{
        TaskId,
        disk::{InodeId, LoopDevice},
    },
    identity::columns,
    report::Value,
};

/// What holds a file that no process leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelHolder {
    /// The kernel swaps to it.
    Swap,
    /// `/dev/loopN`
    LoopDevice(u32),
    /// Something else in the kernel.
    Unknown,
}

/// What holds a file that has no other holder; `None` where processes do.
pub fn keeper(inode: InodeId, file: &HeldFile, state: &DiskState) -> Option<KernelHolder> {
    let listing = file.listing.as_ref().filter(|_| file.holders.is_empty())?;
    let is_its = |device: &&LoopDevice| {
        // Where `statx` gives other devices than the superblock's, numbers alone must do.
        device.ino == inode.ino && (device.dev == inode.dev || !file.magic().has_own_device())
    };
    Some(match state.loops.iter().find(is_its) {
        _ if listing.swap => KernelHolder::Swap,
        Some(device) => KernelHolder::LoopDevice(device.number),
        None => KernelHolder::Unknown,
    })
}

/// Every process that holds it. Where no pass tells of holders, those that wrote to it.
pub fn processes(file: &HeldFile) -> Vec<TaskId> {
    let unseen = file.writers.keys().filter(|_| file.file.is_none() && file.holders.is_empty());
    file.holders.keys().chain(unseen).copied().collect()
}

/// All holders as JSON has them: an object for each way in which one holds the file.
pub fn list(inode: InodeId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> Value {
    let processes = processes(file);
    let by_processes = processes.iter().flat_map(|id| alternatives(*id, file, state, context));
    let by_kernel = keeper(inode, file, state).map(|keeper| kept(keeper, context));
    Value::List(by_processes.chain(by_kernel).collect())
}

fn alternatives(id: TaskId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> Vec<Value> {
    let unknown = Holder::default();
    let holder = file.holders.get(&id).unwrap_or(&unknown);
    let descriptors = || holder.descriptors.iter().map(|descriptor| descriptor.fd).collect::<Vec<_>>();
    let alternatives = [
        ("fd", (!holder.descriptors.is_empty()).then(descriptors)),
        ("mmap", holder.mapping.map(|_| Vec::new())),
        ("exe", holder.executable.then(Vec::new)),
        ("io_uring", holder.ring.map(|ring| vec![ring])),
        ("in_flight", holder.socket.map(|socket| vec![socket])),
        ("unknown", (*holder == Holder::default()).then(Vec::new)),
    ];
    let alternatives = alternatives.into_iter().filter_map(|(how, fds)| Some((how, fds?)));
    let written = file.written(id, state.growth_by_event);
    let object = |(place, (how, fds)): (usize, (&'static str, Vec<u32>))| {
        let Value::Object(fields) = columns::object(id, context.processes, context.request) else {
            return Value::Missing;
        };
        // A process that holds in two ways wrote once: the sum over holders stays the sum.
        let written = if place == 0 { Value::unsigned(written) } else { Value::Missing };
        alternative(fields, how, &fds, written, how == "fd" && reclaim::appends(holder))
    };
    alternatives.enumerate().map(object).collect()
}

fn kept(keeper: KernelHolder, context: &Context<'_>) -> Value {
    let mut fields = columns::nobody(context.request);
    let (how, device) = match keeper {
        KernelHolder::Swap => ("swap", Value::Missing),
        KernelHolder::LoopDevice(number) => ("loop", Value::Text(format!("/dev/loop{number}"))),
        KernelHolder::Unknown => ("unknown", Value::Missing),
    };
    fields.push(("device", device));
    alternative(fields, how, &[], Value::Missing, false)
}

fn alternative(
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

/// The same for people.
pub fn named(inode: InodeId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> String {
    match keeper(inode, file, state) {
        Some(KernelHolder::Swap) => return "the kernel, as swap".to_owned(),
        Some(KernelHolder::LoopDevice(number)) => return format!("/dev/loop{number}"),
        Some(KernelHolder::Unknown) => return "no process: the kernel".to_owned(),
        None => {}
    }
    let label = |id: &TaskId| {
        let label = columns::label(*id, context.processes);
        match reclaim::service(*id, context) {
            Some(service) => format!("{label} ({service})"),
            None => label,
        }
    };
    reclaim::listed(&processes(file).iter().map(label).collect::<Vec<_>>())
}
