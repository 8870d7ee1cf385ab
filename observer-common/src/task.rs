//! A process's identity, and what records contain about a process.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A thread group: its number and when its leader started.
///
/// The number alone is re-used by the kernel; with the start time it names one process of one boot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct TaskId {
    /// Nanoseconds of the boot clock (suspend included) at which the group's leader started.
    pub start: u64,
    /// The thread-group id in the initial pid namespace: what user space calls the process id.
    pub tgid: u64,
}

impl TaskId {
    /// The process id, as `kill` and `/proc` take it.
    #[must_use]
    pub const fn pid(self) -> u32 {
        self.tgid as u32
    }
}

/// Length of the kernel's command name, its terminating NUL included.
pub const COMM_LEN: usize = 16;

/// The process of a record: enough to name a process that has ended before `/proc` could be read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct TaskRecord {
    pub id: TaskId,
    /// `task_struct.comm` of the group's leader: NUL-padded bytes in any encoding.
    pub comm: [u8; COMM_LEN],
    /// The real user id in the initial user namespace.
    pub uid: u32,
    /// 1 once the process is known to be a kernel thread, 0 otherwise.
    pub kernel_thread: u32,
}

const _: () = assert!(size_of::<TaskId>() == 16);
const _: () = assert!(size_of::<TaskRecord>() == 40);

/// Names every kernel field that identifies a task once; every kernel object reads these.
#[macro_export]
macro_rules! task_fields {
    ($with:path) => {
        $with! {
            TASK_TGID: "task_struct.tgid", 4;
            TASK_LEADER: "task_struct.group_leader", 8;
            TASK_START: "task_struct.start_boottime", 8;
            TASK_COMM: "task_struct.comm", 16;
            TASK_CRED: "task_struct.cred", 8;
            TASK_FLAGS: "task_struct.flags", 4;
            CRED_UID: "cred.uid", 4;
        }
    };
}

task_fields!(crate::fields_as_table);
