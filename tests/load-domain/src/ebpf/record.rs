//! What crosses the kernel boundary, and the names that both sides use.

use observer_common::task::TaskRecord;
#[cfg(not(target_arch = "bpf"))]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the iterator writes for each thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "bpf"), derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct ThreadRecord {
    /// The process of the thread.
    pub task: TaskRecord,
    /// Nanoseconds that the thread has run (`task_struct.se.sum_exec_runtime`), up to the last timer tick.
    pub ran: u64,
    /// Nanoseconds that ended threads of the process have run (`signal_struct.sum_sched_runtime`).
    pub ended: u64,
}

const _: () = assert!(size_of::<ThreadRecord>() == 56);

/// Names the kernel fields that the object reads, beside those that identify a task.
#[macro_export]
macro_rules! load_fields {
    ($with:path) => {
        $with! {
            TASK_RAN: "task_struct.se.sum_exec_runtime", 8;
            TASK_SIGNAL: "task_struct.signal", 8;
            SIGNAL_RAN: "signal_struct.sum_sched_runtime", 8;
        }
    };
}

/// Names every program of the object.
#[macro_export]
macro_rules! load_programs {
    ($with:path) => {
        $with! {
            THREAD: load_thread;
        }
    };
}

load_fields!(observer_common::fields_as_table);
load_programs!(observer_common::program_names);
