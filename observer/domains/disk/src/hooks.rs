//! The hooks of the disk domain, each with its alternatives, best first.

use observer_common::names::disk as names;
use observer_core::hook::{Alternative, Hook, HookKind, Need, fexit, iterator, tracepoint};

/// The domain's hooks.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: "disk.descriptors",
        provides: "which processes hold deleted files by descriptors, and how big these files are",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative::new("BPF iterator task, descriptor tables, probe reads", &[
                    iterator(names::DESCRIPTOR_TABLE, "task"),
                    iterator(names::DESCRIPTOR, "task_file"),
                ]).needing(&[Need::Helper("loop"), Need::Probing]),
            Alternative::new("BPF iterator task_file", &[iterator(names::DESCRIPTOR, "task_file")]),
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
            Alternative::new("BPF iterator task_vma, probe reads", &[iterator(names::MAPPING_STACKED, "task_vma")]).needing(&[Need::ProbingWhere { global: "BACKING_DENTRY", is: None }]),
            Alternative::new("BPF iterator task_vma", &[iterator(names::MAPPING, "task_vma")]).limited("a mapped overlay file is shown as the file of the filesystem below it"),
            Alternative::new("BPF iterator task, mappings from /proc", &[iterator(names::MAPPER, "task")]).limited("a mapped overlay file without a descriptor is not seen, nor a mapped file on a filesystem that \
                        its process no longer sees"),
        ],
        // Without it, rows with a mapping as the only holder are missing, but no column is.
        columns: &[],
    },
    Hook {
        name: "disk.executables",
        provides: "which processes run deleted files",
        kind: HookKind::ScanOnDemand,
        alternatives: &[Alternative::new("BPF iterator task", &[iterator(names::EXECUTABLE, "task")])],
        columns: &[],
    },
    Hook {
        name: "disk.carried",
        provides: "which deleted files are registered with io_uring, or are in flight in unix sockets",
        kind: HookKind::ScanOnDemand,
        alternatives: &[Alternative::new("BPF iterator task_file, probe reads", &[iterator(names::INDIRECT, "task_file")]).needing(&[Need::Helper("loop"), Need::Probing])],
        columns: &[],
    },
    Hook {
        name: "disk.inodes",
        provides: "deleted files that only the kernel holds: loop devices, swap files, files that the kernel opened",
        kind: HookKind::ScanRarely,
        alternatives: &[Alternative::new("BPF iterator task, inode lists, probe reads", &[iterator(names::INODE_LIST, "task")]).needing(&[Need::Helper("loop"), Need::Probing])],
        columns: &[],
    },
    Hook {
        name: "disk.deletions",
        provides: "which process deleted a file, and when",
        kind: HookKind::Event,
        alternatives: &[
            Alternative::new("BTF tracepoints of inode change time (Linux 6.13)", &[
                    tracepoint(names::CHANGED, "ctime_ns_xchg"),
                    tracepoint(names::UNCHANGED, "ctime_xchg_skip"),
                    tracepoint(names::SET, "inode_set_ctime_to_ts"),
                ]).needing(&[Need::Helper("get_current_task_btf"), Need::Helper("task_pt_regs"), Need::Probing]),
            Alternative::new("return of drop_nlink, probe reads", &[fexit(names::DROPPED_PROBING, "drop_nlink")]).needing(&[Need::Probing]),
            Alternative::new("return of drop_nlink", &[fexit(names::DROPPED, "drop_nlink")]).needing(&[Need::Helper("get_current_task_btf")]).limited("if more than 16,384 files are deleted between two reports, the deleter of some is unknown"),
            Alternative::new("BTF tracepoint ext4_unlink_exit", &[tracepoint(names::EXT4_UNLINK, "ext4_unlink_exit")]).needing(&[Need::Helper("get_current_task_btf")]).limited("the deleter is unknown on filesystems other than ext4, and for files that a rename replaced"),
            Alternative::new("BTF tracepoint ext4_unlink_exit, probe reads", &[tracepoint(names::EXT4_UNLINK_PROBING, "ext4_unlink_exit")]).needing(&[Need::Probing]).limited("the deleter is unknown on filesystems other than ext4, and for files that a rename replaced"),
        ],
        columns: &["deleted_by", "deleted_at"],
    },
    Hook {
        name: "disk.growth",
        provides: "which process writes to which growing file of ext4, and how much space deletions free",
        kind: HookKind::Event,
        alternatives: &[
            Alternative::new("BTF tracepoints of ext4", &[
                    tracepoint(names::DELAYED_WRITE, "ext4_da_write_end"),
                    tracepoint(names::WRITE, "ext4_write_end"),
                    tracepoint(names::JOURNALLED_WRITE, "ext4_journalled_write_end"),
                    tracepoint(names::FALLOCATE, "ext4_fallocate_enter"),
                    tracepoint(names::RESERVE, "ext4_da_reserve_space"),
                    tracepoint(names::TRUNCATE, "ext4_truncate_enter"),
                    tracepoint(names::DIRTY, "ext4_mark_inode_dirty"),
                    tracepoint(names::JOURNAL, "ext4_journal_start_inode").optional(),
                    tracepoint(names::EVICT, "ext4_evict_inode"),
                ]).needing(&[Need::Helper("get_current_task_btf")]),
            Alternative::new("BTF tracepoints of ext4, probe reads", &[
                    tracepoint(names::DELAYED_WRITE_PROBING, "ext4_da_write_end"),
                    tracepoint(names::WRITE_PROBING, "ext4_write_end"),
                    tracepoint(names::JOURNALLED_WRITE_PROBING, "ext4_journalled_write_end"),
                    tracepoint(names::FALLOCATE_PROBING, "ext4_fallocate_enter"),
                    tracepoint(names::RESERVE_PROBING, "ext4_da_reserve_space"),
                    tracepoint(names::TRUNCATE_PROBING, "ext4_truncate_enter"),
                    tracepoint(names::DIRTY_PROBING, "ext4_mark_inode_dirty"),
                    tracepoint(names::JOURNAL_PROBING, "ext4_journal_start_inode").optional(),
                    tracepoint(names::EVICT, "ext4_evict_inode"),
                ]).needing(&[Need::Probing]),
        ],
        columns: &["files", "unexplained"],
    },
    Hook {
        name: "disk.work",
        provides: "which process writes to which file of other filesystems",
        kind: HookKind::Event,
        // A note reports unknown shares if a file with several writers is shown.
        alternatives: &[
            Alternative::new("BTF tracepoints of iomap, inode change time (Linux 6.13) and dirty pages", &[
                    tracepoint(names::IOMAP, "iomap_iter"),
                    tracepoint(names::CHANGE_TIME, "ctime_ns_xchg"),
                    tracepoint(names::CHANGE_TIME_SET, "inode_set_ctime_to_ts"),
                    tracepoint(names::DIRTY_PAGES, "writeback_mark_inode_dirty"),
                ]).needing(&[Need::Helper("get_current_task_btf"), Need::Helper("task_pt_regs")]),
            Alternative::new("BTF tracepoints of iomap and dirty pages", &[
                    tracepoint(names::IOMAP, "iomap_iter"),
                    tracepoint(names::DIRTY_PAGES, "writeback_mark_inode_dirty"),
                ]).needing(&[Need::Helper("get_current_task_btf")]).limited("files in RAM are seen only while they are deleted and held"),
            Alternative::new("BTF tracepoint of dirty pages, probe reads", &[tracepoint(names::DIRTY_PAGES_PROBING, "writeback_mark_inode_dirty")]).needing(&[Need::Probing]).limited("files in RAM are seen only while they are deleted and held; several writers of one xfs file are \
                        not distinguished; files that are written only with direct I/O are not seen"),
        ],
        columns: &[],
    },
    Hook {
        name: "disk.btrfs",
        provides: "which of several processes writes to a file of btrfs",
        kind: HookKind::Event,
        alternatives: &[Alternative::new("BTF tracepoint of btrfs, probe reads (Linux 6.8)", &[tracepoint(names::BTRFS_EXTENT, "btrfs_set_extent_bit")]).needing(&[Need::Helper("get_current_task_btf"), Need::Probing])],
        columns: &[],
    },
    Hook {
        name: "disk.paths",
        provides: "the paths of growing files that every process has closed, on filesystems without simple file handles",
        kind: HookKind::ScanOnDemand,
        alternatives: &[Alternative::new("BPF iterator task, inodes by address, probe reads", &[iterator(names::PATH, "task")]).needing(&[Need::Helper("loop"), Need::Probing])],
        columns: &[],
    },
    Hook {
        name: "disk.writers",
        provides: "how much each process writes to storage",
        kind: HookKind::Scan,
        alternatives: &[Alternative::new("BPF iterator task", &[iterator(names::WRITER, "task")])],
        columns: &["written"],
    },
];
