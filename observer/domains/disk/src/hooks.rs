//! What the disk domain attaches, alternatives in order.

use observer_common::names::{ProgramName, disk as names};
use observer_core::hook::{Alternative, Attachment, Hook, HookKind, Need, Point};

const fn iterator(program: ProgramName, target: &'static str) -> Attachment {
    Attachment { program, point: Point::Iterator(target), optional: false }
}

const fn tracepoint(program: ProgramName, name: &'static str) -> Attachment {
    Attachment { program, point: Point::BtfTracepoint(name), optional: false }
}

const fn fexit(program: ProgramName, function: &'static str) -> Attachment {
    Attachment { program, point: Point::Fexit(function), optional: false }
}

const fn optional(program: ProgramName, name: &'static str) -> Attachment {
    Attachment { program, point: Point::BtfTracepoint(name), optional: true }
}

/// The domain's hooks.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: "disk.descriptors",
        provides: "which processes hold deleted files by descriptors, and how big these files are",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative {
                name: "BPF iterator task, tables of descriptors, probing",
                // The second runs if a process holds more than the first can report.
                programs: &[
                    iterator(names::DESCRIPTOR_TABLE, "task"),
                    iterator(names::DESCRIPTOR, "task_file"),
                ],
                needs: &[Need::Helper("loop"), Need::Probing],
                blind: "",
            },
            Alternative {
                name: "BPF iterator task_file",
                programs: &[iterator(names::DESCRIPTOR, "task_file")],
                needs: &[],
                blind: "",
            },
        ],
        columns: &[
            "path",
            "size",
            "allocated",
            "reclaimable",
            "rate",
            "reclaim",
            "deleted_open",
            "unexplained",
        ],
    },
    Hook {
        name: "disk.mappings",
        provides: "which processes hold deleted files by mappings",
        kind: HookKind::ScanOnDemand,
        alternatives: &[
            Alternative {
                name: "BPF iterator task_vma, probing",
                programs: &[iterator(names::MAPPING_STACKED, "task_vma")],
                needs: &[Need::ProbingWhere { global: "BACKING_DENTRY", is: None }],
                blind: "",
            },
            Alternative {
                name: "BPF iterator task_vma",
                programs: &[iterator(names::MAPPING, "task_vma")],
                needs: &[],
                blind: "a mapped file of an overlay is shown as the file of the filesystem below it",
            },
            Alternative {
                name: "BPF iterator task, mappings from /proc",
                programs: &[iterator(names::MAPPER, "task")],
                needs: &[],
                blind: "a mapped file of an overlay that no descriptor holds is not seen, nor one whose filesystem its \
                        process sees no more",
            },
        ],
        // Rows whose only holder is a mapping are missing without it; no column is.
        columns: &[],
    },
    Hook {
        name: "disk.executables",
        provides: "which processes run deleted files",
        kind: HookKind::ScanOnDemand,
        alternatives: &[Alternative {
            name: "BPF iterator task",
            programs: &[iterator(names::EXECUTABLE, "task")],
            needs: &[],
            blind: "",
        }],
        columns: &[],
    },
    Hook {
        name: "disk.carried",
        provides: "which deleted files are registered with io_uring, or wait in unix sockets",
        kind: HookKind::ScanOnDemand,
        alternatives: &[Alternative {
            name: "BPF iterator task_file, probing",
            programs: &[iterator(names::INDIRECT, "task_file")],
            needs: &[Need::Helper("loop"), Need::Probing],
            blind: "",
        }],
        columns: &[],
    },
    Hook {
        name: "disk.inodes",
        provides: "deleted files that no process holds: behind loop devices, swapped to, opened by the kernel",
        kind: HookKind::ScanRarely,
        alternatives: &[Alternative {
            name: "the lists of all inodes, by BPF iterator task, probing",
            programs: &[iterator(names::INODE_LIST, "task")],
            needs: &[Need::Helper("loop"), Need::Probing],
            blind: "",
        }],
        columns: &[],
    },
    Hook {
        name: "disk.deletions",
        provides: "who deleted a file and when",
        kind: HookKind::Event,
        alternatives: &[
            Alternative {
                name: "BTF tracepoints of the change time of inodes (Linux 6.13)",
                programs: &[
                    tracepoint(names::CHANGED, "ctime_ns_xchg"),
                    tracepoint(names::UNCHANGED, "ctime_xchg_skip"),
                    tracepoint(names::SET, "inode_set_ctime_to_ts"),
                ],
                needs: &[Need::Helper("get_current_task_btf"), Need::Helper("task_pt_regs"), Need::Probing],
                blind: "",
            },
            Alternative {
                name: "return of drop_nlink, probing",
                programs: &[fexit(names::DROPPED_PROBING, "drop_nlink")],
                needs: &[Need::Probing],
                blind: "",
            },
            Alternative {
                name: "return of drop_nlink",
                programs: &[fexit(names::DROPPED, "drop_nlink")],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "where more than 16,384 files are deleted between two reports, some have no known deleter",
            },
            Alternative {
                name: "BTF tracepoint ext4_unlink_exit",
                programs: &[tracepoint(names::EXT4_UNLINK, "ext4_unlink_exit")],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "files on other filesystems than ext4, and files that a rename replaced, have no known deleter",
            },
            Alternative {
                name: "BTF tracepoint ext4_unlink_exit, probing",
                programs: &[tracepoint(names::EXT4_UNLINK_PROBING, "ext4_unlink_exit")],
                needs: &[Need::Probing],
                blind: "files on other filesystems than ext4, and files that a rename replaced, have no known deleter",
            },
        ],
        columns: &["deleted_by", "deleted_at"],
    },
    Hook {
        name: "disk.growth",
        provides: "which process makes which file of ext4 grow, and what deletions free",
        kind: HookKind::Event,
        alternatives: &[
            Alternative {
                name: "BTF tracepoints of ext4",
                programs: &[
                    tracepoint(names::DELAYED_WRITE, "ext4_da_write_end"),
                    tracepoint(names::WRITE, "ext4_write_end"),
                    tracepoint(names::JOURNALLED_WRITE, "ext4_journalled_write_end"),
                    tracepoint(names::FALLOCATE, "ext4_fallocate_enter"),
                    tracepoint(names::RESERVE, "ext4_da_reserve_space"),
                    tracepoint(names::TRUNCATE, "ext4_truncate_enter"),
                    tracepoint(names::DIRTY, "ext4_mark_inode_dirty"),
                    optional(names::JOURNAL, "ext4_journal_start_inode"),
                    tracepoint(names::EVICT, "ext4_evict_inode"),
                ],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "",
            },
            Alternative {
                name: "BTF tracepoints of ext4, probing",
                programs: &[
                    tracepoint(names::DELAYED_WRITE_PROBING, "ext4_da_write_end"),
                    tracepoint(names::WRITE_PROBING, "ext4_write_end"),
                    tracepoint(names::JOURNALLED_WRITE_PROBING, "ext4_journalled_write_end"),
                    tracepoint(names::FALLOCATE_PROBING, "ext4_fallocate_enter"),
                    tracepoint(names::RESERVE_PROBING, "ext4_da_reserve_space"),
                    tracepoint(names::TRUNCATE_PROBING, "ext4_truncate_enter"),
                    tracepoint(names::DIRTY_PROBING, "ext4_mark_inode_dirty"),
                    optional(names::JOURNAL_PROBING, "ext4_journal_start_inode"),
                    tracepoint(names::EVICT, "ext4_evict_inode"),
                ],
                needs: &[Need::Probing],
                blind: "",
            },
        ],
        columns: &["files", "unexplained"],
    },
    Hook {
        name: "disk.work",
        provides: "which process works on which file of other filesystems",
        kind: HookKind::Event,
        // A note reports unknown shares if a file with several writers is shown.
        alternatives: &[
            Alternative {
                name: "BTF tracepoints of iomap, of the change time of inodes (Linux 6.13), of dirty pages",
                programs: &[
                    tracepoint(names::IOMAP, "iomap_iter"),
                    tracepoint(names::CHANGE_TIME, "ctime_ns_xchg"),
                    tracepoint(names::CHANGE_TIME_SET, "inode_set_ctime_to_ts"),
                    tracepoint(names::DIRTY_PAGES, "writeback_mark_inode_dirty"),
                ],
                needs: &[Need::Helper("get_current_task_btf"), Need::Helper("task_pt_regs")],
                blind: "",
            },
            Alternative {
                name: "BTF tracepoints of iomap and of dirty pages",
                programs: &[
                    tracepoint(names::IOMAP, "iomap_iter"),
                    tracepoint(names::DIRTY_PAGES, "writeback_mark_inode_dirty"),
                ],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "files in RAM are known only while they are deleted and held",
            },
            Alternative {
                name: "BTF tracepoint of dirty pages, probing",
                programs: &[tracepoint(names::DIRTY_PAGES_PROBING, "writeback_mark_inode_dirty")],
                needs: &[Need::Probing],
                blind: "files in RAM are known only while they are deleted and held; several writers of a file of xfs are \
                        not told apart; files that are only ever written around the page cache are not known",
            },
        ],
        columns: &[],
    },
    Hook {
        name: "disk.writers",
        provides: "how much each process writes to storage",
        kind: HookKind::Scan,
        alternatives: &[Alternative {
            name: "BPF iterator task",
            programs: &[iterator(names::WRITER, "task")],
            needs: &[],
            blind: "",
        }],
        columns: &["written"],
    },
];
