//! How to free a deleted file safely.

use std::collections::BTreeSet;

use crate::{
    file::{HeldFile, Holder},
    kernel_holder::KernelHolder,
    mounted,
    state::DiskState,
};
use observer_core::{
    context::Context,
    facts::{
        TaskId,
        disk::{Descriptor, InodeId},
    },
    text::printable,
    units,
};

/// The limit of names in a list; the others are counted.
const NAMED: usize = 3;

/// One sentence: what frees the space, and which part stays.
pub fn sentence(inode: InodeId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> String {
    let frees = release(inode, file, state, context);
    let (Some(allocated), Some(reclaimable)) = (file.allocated(), file.reclaimable()) else { return frees };
    let stays = allocated.saturating_sub(reclaimable);
    if stays == 0 {
        return frees;
    }
    let sharers = &file.pins.sharers;
    let sharers = sharers.iter().map(|path| {
        printable(&mounted::below(&state.mounts, inode.dev, path).unwrap_or_else(|| path.clone()))
    });
    let sharers: Vec<String> = sharers.collect();
    match (file.pins.compressed, sharers.is_empty()) {
        (Some(_), true) if reclaimable > 0 => {
            format!("{frees}; this gives back {}: it is compressed", units::bytes(reclaimable))
        }
        (_, false) if reclaimable == 0 => {
            format!("nothing comes back while {} shares its blocks", listed(&sharers))
        }
        (_, true) if reclaimable == 0 => {
            "nothing comes back: a reflinked copy or a snapshot shares its blocks, \
                                          or they are among the filesystem's metadata"
                .to_owned()
        }
        (_, false) => format!(
            "{frees}; this gives back {}, and {} stay with {}",
            units::bytes(reclaimable),
            units::bytes(stays),
            listed(&sharers)
        ),
        (_, true) => format!(
            "{frees}; this gives back {}, and {} stay with a reflinked copy or a snapshot",
            units::bytes(reclaimable),
            units::bytes(stays)
        ),
    }
}

/// The action that makes the holders release the file.
fn release(inode: InodeId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> String {
    match state.kernel_holder(inode, file) {
        Some(KernelHolder::Swap) => {
            return "in use as swap, and no path leads to it: only a restart of the machine frees it"
                .to_owned();
        }
        Some(KernelHolder::LoopDevice(number)) => {
            return format!(
                "unmount what is on /dev/loop{number}, and `losetup -d /dev/loop{number}` frees it"
            );
        }
        Some(KernelHolder::Unknown) => {
            return "held by the kernel: `accton off` releases it if it is the file of process accounting, and \
                    `echo -1` into its entry in /proc/sys/fs/binfmt_misc if it is an interpreter registered there"
                .to_owned();
        }
        None => {}
    }
    let restart = restart(file, context);
    let held_by = |alternative: fn(&Holder) -> bool| file.holders.values().any(alternative);
    if held_by(|holder| holder.executable) {
        return format!("a running program, which must not be truncated: {restart}");
    }
    if held_by(|holder| holder.mapping.is_some()) {
        return format!("mapped into memory, and must not be truncated: {restart}");
    }
    if held_by(|holder| holder.socket.is_some()) {
        return format!("in flight in a socket until it is received: {restart}");
    }
    match (command(file), truncatable(file)) {
        (Some(command), _) => format!("opened for append: `{command}` frees it without a restart"),
        (None, Some(_)) => {
            format!(
                "{restart} (after a truncation, the next write would make it as long as before, with a hole)"
            )
        }
        (None, None) => restart,
    }
}

/// The command that frees the file and harms no process: a truncation, if every holder appends.
pub fn command(file: &HeldFile) -> Option<String> {
    let (Descriptor { fd, thread, .. }, appends) = truncatable(file)?;
    appends.then(|| format!("truncate -s 0 /proc/{thread}/fd/{fd}"))
}

/// A descriptor through which the file can be truncated, and whether all writers append; if one does not, its next
/// write leaves a hole as long as the file was. `None` if a holder only reads, because it would find no data, or if it
/// is unknown how a holder writes.
fn truncatable(file: &HeldFile) -> Option<(Descriptor, bool)> {
    if file.holders.is_empty() {
        return None;
    }
    let only_described = file
        .holders
        .values()
        .all(|holder| *holder == Holder { descriptors: holder.descriptors.clone(), ..Holder::default() });
    let descriptors = || file.holders.values().flat_map(|holder| &holder.descriptors);
    if !only_described || !descriptors().all(|descriptor| descriptor.writable) {
        return None;
    }
    let first = descriptors().next()?;
    Some((*first, descriptors().all(|descriptor| descriptor.append)))
}

/// What to restart: services by name, other processes by number. A service that writes to the file may reopen it on a
/// reload, as most do with their logs. A file that a service executes or maps stays until the service restarts.
fn restart(file: &HeldFile, context: &Context<'_>) -> String {
    let (mut reload, mut restart) = (BTreeSet::new(), BTreeSet::new());
    let mut processes = Vec::new();
    for (id, holder) in &file.holders {
        let writes = holder.descriptors.iter().any(|descriptor| descriptor.writable);
        match service(*id, context) {
            Some(service) if writes && holder.mapping.is_none() && !holder.executable => {
                reload.insert(service);
            }
            Some(service) => {
                restart.insert(service);
            }
            None => processes.push(context.processes.label(*id)),
        }
    }
    reload.retain(|service| !restart.contains(service));
    let parts = [
        ("reload or restart", reload.into_iter().collect()),
        ("restart", restart.into_iter().collect()),
        ("end or restart", processes),
    ];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    let parts: Vec<String> = parts.map(|(verb, names)| format!("{verb} {}", listed(names))).collect();
    if parts.is_empty() { "its holder is unknown".to_owned() } else { parts.join(", and ") }
}

/// The systemd service of a process, by the name with which it can be restarted.
pub fn service(id: TaskId, context: &Context<'_>) -> Option<String> {
    context.processes.unit(id).filter(|unit| unit.ends_with(".service"))
}

/// The first names of a list, and the number of the others.
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
