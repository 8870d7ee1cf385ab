//! The domain as one type: what it attaches, and what it answers.

use std::path::Path;

use observer_core::{
    context::Context,
    domain::{Declaration, Decode, HostSide, KernelSide, ReadHost, State, Views},
    facts::{Fact, session::Timestamp},
    hook::{Alternative, Attachment, Hook, HookKind, Point},
    kernel_object,
    queries::HostQueries,
    report::{Report, note::NoteKind},
    view::{Request, View},
};

use crate::{
    decode::LoadDecoder,
    ebpf::record::{FIELDS, THREAD},
    report::{self, LoadNote},
    state::LoadState,
    time::{self, DOMAIN},
};

/// Which processes take the processors.
pub const LOAD: View = View { help: "Which processes take the processors", ..View::new(DOMAIN) };

const DECLARATION: Declaration = Declaration {
    name: DOMAIN,
    objects: &[kernel_object!("load_time", "../load_time.o", &[])],
    hooks: &[Hook {
        name: "load.time",
        provides: "how long each thread has run",
        kind: HookKind::Scan,
        alternatives: &[Alternative {
            name: "BPF iterator task",
            programs: &[Attachment { program: THREAD, point: Point::Iterator("task"), optional: false }],
            needs: &[],
            limitation: "",
        }],
        columns: &["cpu", "cpu_time"],
    }],
    fields: FIELDS,
    optional_fields: &[],
    totals: &[],
    attributing: &[],
    reports_exits: false,
    end_hook: None,
};

/// The domain.
#[derive(Clone, Copy, Debug)]
pub struct Load;

/// Nothing is read from the host.
struct NoReader;

impl ReadHost for NoReader {
    fn answer(&mut self, _queries: &HostQueries, _out: &mut Vec<Fact>) {}
}

impl KernelSide for Load {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn decoder(&self, _page_size: u64) -> Box<dyn Decode> {
        Box::new(LoadDecoder)
    }
}

impl HostSide for Load {
    fn reader(&self, _root: &Path) -> Box<dyn ReadHost> {
        Box::new(NoReader)
    }
}

impl Views for Load {
    fn views(&self) -> &'static [View] {
        &[LOAD]
    }

    fn recorded(&self) -> View {
        LOAD
    }

    fn notes(&self) -> &'static [NoteKind] {
        LoadNote::ALL
    }

    fn state(&self, _request: &Request) -> Box<dyn State> {
        Box::new(LoadState::default())
    }
}

impl State for LoadState {
    fn apply(&mut self, fact: &Fact) {
        if let Fact::Other(fact) = fact
            && let Some((id, nanoseconds)) = time::read(fact)
        {
            self.take(id, nanoseconds);
        }
    }

    fn tick(&mut self, _now: Timestamp) {}

    fn report(&self, context: &Context<'_>) -> Report {
        report::report(self, context)
    }

    fn queries(&self, shown: &Report, context: &Context<'_>) -> HostQueries {
        let rows = shown.tables.iter().flat_map(|table| &table.rows);
        let processes = rows.flat_map(|row| row.processes.iter().copied());
        let unread = processes.filter(|id| context.processes.unread(*id)).collect();
        HostQueries::of_names(unread, context.request.cmdline)
    }

    fn delivered(&mut self, now: Timestamp) {
        self.deliver(now.boot);
    }
}
