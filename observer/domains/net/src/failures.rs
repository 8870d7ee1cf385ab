//! Notes about connections that processes began and that were not established.

use super::{failed_peers::sum, notes::NetNote, state::NetState};
use observer_core::{
    context::Context,
    facts::net::Failures,
    report::Note,
    units::{count, counted},
};

/// Most notes of one report.
const NOTES: usize = 5;

/// The processes and peers with most failures since observation began.
pub fn notes(state: &NetState, context: &Context<'_>) -> Vec<Note> {
    let mut found: Vec<_> = state.failed.iter().collect();
    found.sort_by_key(|(key, failures)| (std::cmp::Reverse(sum(**failures)), **key));
    let notes = found.into_iter().take(NOTES).map(|((id, netns, remote), failures)| {
        let range = state.room.as_ref().filter(|room| room.netns == Some(*netns)).and_then(|room| room.ports);
        let process = context.processes.label(*id);
        let began = counted(sum(*failures), "connection", "connections");
        let text = format!("{began} of {process} to {remote} failed: {}.", reasons(failures, range));
        Note::new(NetNote::ConnectionsFailed, text)
    });
    notes.collect()
}

/// `ports` is the range that the kernel gives to outgoing connections, if known.
fn reasons(failures: &Failures, ports: Option<(u16, u16)>) -> String {
    let Failures { refused, timed_out, unreachable, without_port } = *failures;
    let range = ports.map_or_else(String::new, |(first, last)| format!(" of {first} to {last}"));
    let parts = [
        (refused, " refused".to_owned()),
        (timed_out, " without an answer".to_owned()),
        (unreachable, " not reachable".to_owned()),
        (without_port, format!(" because all local ports{range} are in use")),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    parts.map(|(number, reason)| format!("{}{reason}", count(*number))).collect::<Vec<_>>().join(", ")
}
