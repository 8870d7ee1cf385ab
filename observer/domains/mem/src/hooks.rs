//! What the mem domain attaches, alternatives in order.

use observer_common::names::{ProgramName, mem as names};
use observer_core::hook::{Alternative, Attachment, Hook, HookKind, Need, Point};

/// A function that a kernel without 32-bit system calls lacks.
const fn optional(program: ProgramName, function: &'static str) -> Attachment {
    Attachment { program, point: Point::Fexit(function), optional: true }
}

const fn fexit(program: ProgramName, function: &'static str) -> Attachment {
    Attachment { program, point: Point::Fexit(function), optional: false }
}

const fn iterator(program: ProgramName) -> Attachment {
    Attachment { program, point: Point::Iterator("task"), optional: false }
}

const fn tracepoint(program: ProgramName, name: &'static str) -> Attachment {
    Attachment { program, point: Point::BtfTracepoint(name), optional: false }
}

/// Resident counters of the type before 6.2.
const COUNTERS: Need = Need::ProbingWhere { global: "MM_RSS_STRIDE", is: Some(8) };

/// The limitation if a victim's counters cannot be read when it is chosen.
const HELD_BEFORE: &str = "the memory of the victim is that of the last report before it was chosen";

/// The domain's hooks.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: "mem.life",
        provides: "the start, exec and exit of every process",
        kind: HookKind::Event,
        alternatives: &[Alternative {
            name: "BTF tracepoints sched_process_fork, _exec, _exit",
            programs: &[
                tracepoint(names::FORK, "sched_process_fork"),
                tracepoint(names::EXEC, "sched_process_exec"),
                tracepoint(names::EXIT, "sched_process_exit"),
            ],
            needs: &[],
            blind: "",
        }],
        columns: &["mapped", "unmapped", "mapped_file", "reserved", "protected", "peak"],
    },
    Hook {
        name: "mem.mappings",
        provides: "what each process maps and unmaps by mmap, munmap, mremap and brk",
        kind: HookKind::Event,
        alternatives: &[
            Alternative {
                name: "fexit of the system calls",
                programs: &[
                    fexit(names::MMAP, "__x64_sys_mmap"),
                    fexit(names::MUNMAP, "__x64_sys_munmap"),
                    fexit(names::MREMAP, "__x64_sys_mremap"),
                    fexit(names::BRK, "__x64_sys_brk"),
                    fexit(names::MPROTECT, "__x64_sys_mprotect"),
                    optional(names::PKEY_MPROTECT, "__x64_sys_pkey_mprotect"),
                    optional(names::MMAP_32, "__ia32_sys_mmap_pgoff"),
                    optional(names::MMAP_OLD, "__ia32_compat_sys_ia32_mmap"),
                    optional(names::MUNMAP_32, "__ia32_sys_munmap"),
                    optional(names::MREMAP_32, "__ia32_sys_mremap"),
                    optional(names::BRK_32, "__ia32_sys_brk"),
                    optional(names::MPROTECT_32, "__ia32_sys_mprotect"),
                    optional(names::PKEY_MPROTECT_32, "__ia32_sys_pkey_mprotect"),
                ],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "",
            },
            Alternative {
                name: "BTF tracepoint sys_exit",
                programs: &[tracepoint(names::SYS_EXIT, "sys_exit")],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "",
            },
            Alternative {
                name: "BTF tracepoint sys_exit, probe reads",
                programs: &[tracepoint(names::SYS_EXIT_PROBING, "sys_exit")],
                needs: &[Need::Probing],
                blind: "",
            },
        ],
        columns: &["mapped", "unmapped", "mapped_file", "reserved", "protected"],
    },
    Hook {
        name: "mem.oom",
        provides: "which process is killed because memory ran out",
        kind: HookKind::Event,
        alternatives: &[
            Alternative {
                name: "BTF tracepoint mark_victim",
                programs: &[tracepoint(names::OOM, "mark_victim")],
                needs: &[Need::Helper("get_current_task_btf"), COUNTERS],
                blind: "",
            },
            Alternative {
                name: "BTF tracepoint mark_victim, probe reads",
                programs: &[tracepoint(names::OOM_PROBING, "mark_victim")],
                needs: &[Need::Probing],
                blind: "",
            },
            Alternative {
                name: "BTF tracepoint mark_victim, without counters",
                programs: &[tracepoint(names::OOM_UNCOUNTED, "mark_victim")],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: HELD_BEFORE,
            },
            Alternative {
                name: "BTF tracepoint mark_victim, process id only",
                programs: &[tracepoint(names::OOM_NUMBER, "mark_victim")],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: HELD_BEFORE,
            },
        ],
        columns: &[],
    },
    Hook {
        name: "mem.counters",
        provides: "resident, swapped and virtual memory of every process",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative {
                name: "BPF iterator task",
                programs: &[iterator(names::TASK)],
                needs: &[COUNTERS],
                blind: "",
            },
            Alternative {
                name: "BPF iterator task, counters from /proc",
                programs: &[iterator(names::TASK_UNCOUNTED)],
                needs: &[],
                blind: "a process that exits while its counters are read has none in that report",
            },
        ],
        columns: &[
            "rss",
            "anon",
            "file",
            "shmem",
            "swap",
            "virt",
            "page_tables",
            "growth",
            "rate",
            "rate_low",
            "rate_high",
            "full_in",
            "full_in_low",
            "full_in_high",
        ],
    },
];
