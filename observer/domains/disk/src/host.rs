//! Reads the disk domain's part of `/proc`, `/sys` and filesystems.

use std::path::{Path, PathBuf};

use observer_common::names::{ProgramName, disk::MAPPER};

use crate::queries::DiskQueries;
use observer_core::{
    domain::ReadHost,
    facts::{Fact, disk::DiskFact},
    queries::HostQueries,
};
use observer_host::{mounted::Mounted, process::Clock};

mod btrfs;
mod extents;
mod files;
mod growth;
mod limits;
mod loops;
mod mappings;
mod namespaces;

/// The reader, with its state between two reports.
#[derive(Debug)]
pub(crate) struct DiskReader {
    root: PathBuf,
    clock: Clock,
    mounted: Mounted,
    namespaces: namespaces::Namespaces,
}

impl DiskReader {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            clock: Clock::of(root),
            mounted: Mounted::new(root),
            namespaces: namespaces::Namespaces::default(),
            root: root.to_owned(),
        }
    }
}

impl ReadHost for DiskReader {
    fn begin(&mut self, now: u64) {
        self.namespaces.begin(&self.root, now);
    }

    fn tick(&mut self, now: u64, out: &mut Vec<Fact>) {
        let Some(mounts) = self.mounted.now() else { return };
        files::tick(&self.root, mounts, out);
        limits::tick(&self.root, mounts, out);
        self.namespaces.tell(&self.root, mounts, now, out);
    }

    fn complete(&mut self, program: ProgramName, bytes: Vec<u8>) -> Vec<u8> {
        if program == MAPPER { mappings::of(&self.root, self.clock, &bytes) } else { bytes }
    }

    fn answer(&mut self, queries: &HostQueries, out: &mut Vec<Fact>) {
        let Some(queries) = queries.own::<DiskQueries>() else { return };
        let (root, clock) = (self.root.as_path(), self.clock);
        if queries.loops {
            let loops = self.mounted.known().map(|mounts| loops::deleted(root, mounts));
            out.push(Fact::Disk(DiskFact::Loops(loops.unwrap_or_default())));
        }
        files::answer(root, clock, queries, out);
        extents::answer(root, clock, queries, out);
        growth::answer(root, clock, &mut self.mounted, queries, out);
    }
}
