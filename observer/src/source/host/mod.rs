//! What user space itself can read of the machine: `/proc`, `/sys`, `statx`. Every reader takes the root of its file
//! system as an argument, so that a test can give it a made-up one.

use std::path::Path;

use crate::{
    observation::{Observation, net::NetFact},
    wants::Wants,
};

mod cgroup;
pub mod disk;
mod extents;
mod growing;
mod loops;
mod mappings;
pub mod mem;
mod mounts;
pub mod names;
pub mod namespaces;
pub mod net;
mod netns;
pub(super) mod process;
mod queues;
pub mod remotes;
mod text;

/// What every report of `domain` needs.
pub fn tick(domain: &str, root: &Path, out: &mut Vec<Observation>) {
    match domain {
        "mem" => mem::tick(root, out),
        "disk" => disk::tick(root, out),
        "net" => net::tick(root, out),
        _ => {}
    }
}

/// What a pass of `program` wrote, with what its kernel let it leave to user space.
#[must_use]
pub fn completed(program: &str, root: &Path, bytes: Vec<u8>) -> Vec<u8> {
    if program == "disk_mapper" { mappings::of(root, &bytes) } else { bytes }
}

/// What the kernel has counted so far of what the programs of `domain` tell that are attached on demand.
#[must_use]
pub fn uncounted(domain: &str, root: &Path) -> Option<u64> {
    if domain == "net" { net::datagrams(root) } else { None }
}

/// How much of that they have not seen.
pub fn missed(domain: &str, amount: u64, out: &mut Vec<Observation>) {
    if domain == "net" && amount > 0 {
        out.push(Observation::Net(NetFact::Unwatched { datagrams: amount }));
    }
}

/// What a report asked for.
pub fn answer(root: &Path, wants: &Wants, out: &mut Vec<Observation>) {
    names::answer(root, wants, out);
    mem::answer(root, wants, out);
    disk::answer(root, wants, out);
    extents::answer(root, wants, out);
    growing::answer(root, wants, out);
    net::answer(root, wants, out);
    netns::answer(root, wants, out);
}
