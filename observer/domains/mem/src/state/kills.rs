//! OOM kills: the values at their time, the control group that ran out, and what filled it.

use super::MemState;
use crate::{
    pressure::Kill,
    process::{ProcessMemory, process_bytes},
};
use observer_core::facts::{TaskId, mem::Memory};
use observer_host::cgroup::is_within;

/// The machine has run out of memory if less than this part of it is available.
const ROOM: u64 = 20;

impl MemState {
    /// Keeps a kill with the values at its time: the victim and its growth are removed.
    pub(super) fn killed(&mut self, at: u64, victim: TaskId, trigger: TaskId, memory: Option<Memory>) {
        let numbered = |id: &&TaskId| victim.start == 0 && id.tgid == victim.tgid;
        let victim = self.processes.keys().filter(numbered).max().copied().unwrap_or(victim);
        let grew = |process: &ProcessMemory, held: f64| {
            let series = &process.series.window;
            Some(held - series.value_at(series.begin(at)?)?)
        };
        let known = self.processes.get(&victim);
        // The kernel reports the counters as a scan reads them, without per-CPU remainders.
        let reported = memory
            .map(|memory| known.map_or_else(|| memory.without_negatives(), |known| known.killed(at, memory)));
        let held = reported.or_else(|| known?.memory()).map(process_bytes);
        let own = known.zip(held).and_then(|(process, held)| grew(process, process.beyond_private() + held));
        let of = |id: &TaskId| self.processes.get(id)?.group.clone();
        let nearest =
            of(&victim).or_else(|| of(&trigger)).and_then(|group| group.nearest.borrow().clone()?);
        let mut kill = Kill {
            at,
            victim,
            trigger,
            held,
            grew: own,
            most: None,
            limit: nearest.map(|limit| (limit.group, limit.limit)),
            shared: None,
        };
        self.explain(&mut kill);
        self.pressure.kill(kill);
    }

    /// Finds what filled the memory that ran out: that of the limited group, or the machine's.
    fn explain(&self, kill: &mut Kill) {
        let group =
            kill.limit.as_ref().and_then(|(path, _)| Some((path.as_slice(), self.limited.get(path)?)));
        let available = self.machine.available();
        let group = group.filter(|(_, group)| available.is_none_or(|available| group.left() <= available));
        let full = available.zip(self.machine.size()).is_none_or(|(left, (total, _))| left < total / ROOM);
        if group.is_none() && !full {
            // A group ran out, and it is not known which.
            return;
        }
        let is_in = |process: &ProcessMemory| match (group, &process.group) {
            (Some((path, _)), Some(own)) => is_within(&own.name, path),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let others = self.processes.iter().filter(|(id, process)| **id != kill.victim && !process.ended);
        let growths = others.filter(|(_, process)| is_in(process)).filter_map(|(id, process)| {
            let series = &process.series.window;
            let before = series.value_at(series.begin(kill.at)?)?;
            Some((*id, process.assessed_bytes(process.memory()?) - before))
        });
        let most = growths.max_by(|(_, left), (_, right)| left.total_cmp(right));
        kill.most = most.filter(|(_, grew)| *grew > kill.grew.unwrap_or(0.0));
        kill.shared = group.and_then(|(path, group)| {
            let object = self.objects.of_group(path).map(|object| object.name.clone());
            Some((group.mostly_shared()?, object))
        });
    }

    /// The kernel has killed processes in `group`. Recent kills for which no group is known were there.
    pub(super) fn killed_in(&mut self, group: Vec<u8>, now: u64) {
        let Some(limit) = self.limited.get(&group).map(|known| known.memory.limit) else { return };
        for mut kill in self.pressure.take_unexplained(now) {
            kill.limit = Some((group.clone(), limit));
            self.explain(&mut kill);
            self.pressure.kill(kill);
        }
    }
}
