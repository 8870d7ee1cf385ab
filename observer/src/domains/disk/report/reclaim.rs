//! What frees a deleted file safely.

use std::collections::BTreeSet;

use super::holders::{self, Keeper};
use crate::{
    domains::{
        Context,
        disk::{
            file::{HeldFile, Holder},
            state::DiskState,
        },
    },
    identity::{columns, process::Names},
    observation::{
        TaskId,
        disk::{Descriptor, InodeId},
    },
    text::printable,
};

/// So many are named; the rest is counted.
const NAMED: usize = 3;

/// One sentence: what gives the space back.
pub fn sentence(inode: InodeId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> String {
    match holders::keeper(inode, file, state) {
        Some(Keeper::Swap) => {
            return "swapped to, and no path leads to it any more: only a restart of the machine frees it"
                .to_owned();
        }
        Some(Keeper::Loop(number)) => {
            return format!(
                "unmount what is on /dev/loop{number}, and `losetup -d /dev/loop{number}` frees it"
            );
        }
        Some(Keeper::Unknown) => {
            return "held by the kernel: nothing is known that frees it safely".to_owned();
        }
        None => {}
    }
    let restart = restart(file, context);
    if file.holders.values().any(|holder| holder.executable) {
        return format!("a program that runs, so it must not be truncated: {restart}");
    }
    let mapped = file.holders.values().any(|holder| holder.mapping.is_some());
    if mapped {
        return format!("mapped into memory, so it must not be truncated: {restart}");
    }
    if let Some(descriptor) = truncatable(file) {
        let Descriptor { fd, thread, .. } = descriptor;
        return format!(
            "opened for append: `truncate -s 0 /proc/{thread}/fd/{fd}` frees it without a restart"
        );
    }
    restart
}

/// A descriptor through which the file can be cut to nothing: whoever writes to it goes on at its end. One that writes
/// elsewhere would leave a hole as long as the file was, and whoever only reads would find nothing.
fn truncatable(file: &HeldFile) -> Option<Descriptor> {
    let descriptors = || file.holders.values().flat_map(|holder| &holder.descriptors);
    let appends = |descriptor: &&Descriptor| descriptor.writable && descriptor.append;
    descriptors().all(|descriptor| appends(&descriptor)).then(|| descriptors().next().copied())?
}

/// Whom to restart: services by name, other processes by number.
fn restart(file: &HeldFile, context: &Context<'_>) -> String {
    let mut services = BTreeSet::new();
    let mut processes = Vec::new();
    for id in file.holders.keys() {
        match service(*id, context) {
            Some(service) => {
                services.insert(service);
            }
            None => processes.push(columns::label(*id, context.processes)),
        }
    }
    if services.is_empty() && processes.is_empty() {
        return "who holds it is not known".to_owned();
    }
    let services: Vec<String> = services.into_iter().collect();
    let parts = [("restart", services), ("end or restart", processes)];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    parts.map(|(verb, names)| format!("{verb} {}", listed(names))).collect::<Vec<_>>().join(", and ")
}

/// The systemd service that a process belongs to: what can be restarted by that name.
pub fn service(id: TaskId, context: &Context<'_>) -> Option<String> {
    match &context.processes.get(id)?.names {
        Names::Read { unit: Some(unit), .. } if unit.ends_with(b".service") => Some(printable(unit)),
        _ => None,
    }
}

/// The first names of a list, and how many more there are.
pub fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether any of a holder's descriptors appends.
pub fn appends(holder: &Holder) -> bool {
    holder.descriptors.iter().any(|descriptor| descriptor.append)
}
