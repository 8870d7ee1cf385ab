//! The arguments that the programs of the kernel side expect at each attach point. They are declared once here, and
//! compared with the types of the running kernel before anything is loaded.

use observer_common::names::{ProgramName, mem};
use observer_core::hook::Point;

/// Every attach point with its arguments, as [`super::btf::Btf::prototype`] writes them: widths in bits, or the type
/// that is pointed to. A kernel may pass more arguments after them, except to functions: there the result would move.
const PROTOTYPES: &[(&str, &str)] = &[
    ("__cgroup_bpf_run_filter_sk", "sock *, 32 -> 32"),
    ("__ia32_compat_sys_ia32_mmap", "pt_regs * -> 64"),
    ("__ia32_sys_brk", "pt_regs * -> 64"),
    ("__ia32_sys_mmap_pgoff", "pt_regs * -> 64"),
    ("__ia32_sys_mprotect", "pt_regs * -> 64"),
    ("__ia32_sys_mremap", "pt_regs * -> 64"),
    ("__ia32_sys_munmap", "pt_regs * -> 64"),
    ("__ia32_sys_pkey_mprotect", "pt_regs * -> 64"),
    ("__x64_sys_brk", "pt_regs * -> 64"),
    ("__x64_sys_mmap", "pt_regs * -> 64"),
    ("__x64_sys_mprotect", "pt_regs * -> 64"),
    ("__x64_sys_mremap", "pt_regs * -> 64"),
    ("__x64_sys_munmap", "pt_regs * -> 64"),
    ("__x64_sys_pkey_mprotect", "pt_regs * -> 64"),
    ("bpf_iter_task", "bpf_iter_meta *, task_struct * -> 32"),
    ("bpf_iter_task_file", "bpf_iter_meta *, task_struct *, 32, file * -> 32"),
    ("bpf_iter_task_vma", "bpf_iter_meta *, task_struct *, vm_area_struct * -> 32"),
    ("bpf_iter_tcp", "bpf_iter_meta *, sock_common *, 32 -> 32"),
    ("btf_trace_btrfs_set_extent_bit", "extent_io_tree *, 64, 64, 32"),
    ("btf_trace_ctime_ns_xchg", "inode *, 32, 32, 32"),
    ("btf_trace_ctime_xchg_skip", "inode *, timespec64 *"),
    ("btf_trace_ext4_da_reserve_space", "inode *"),
    ("btf_trace_ext4_da_write_end", "inode *, 64, 32, 32"),
    ("btf_trace_ext4_evict_inode", "inode *"),
    ("btf_trace_ext4_fallocate_enter", "inode *, 64, 64, 32"),
    ("btf_trace_ext4_free_inode", "inode *"),
    ("btf_trace_ext4_journal_start_inode", "inode *, 32, 32, 32, 32, 64"),
    ("btf_trace_ext4_journalled_write_end", "inode *, 64, 32, 32"),
    ("btf_trace_ext4_mark_inode_dirty", "inode *, 64"),
    ("btf_trace_ext4_truncate_enter", "inode *"),
    ("btf_trace_ext4_unlink_exit", "dentry *, 32"),
    ("btf_trace_ext4_write_end", "inode *, 64, 32, 32"),
    ("btf_trace_inet_sock_set_state", "sock *, 32, 32"),
    ("btf_trace_inode_set_ctime_to_ts", "inode *, timespec64 *"),
    ("btf_trace_iomap_iter", "iomap_iter *, void *, 64"),
    ("btf_trace_mark_victim", "task_struct *"),
    ("btf_trace_page_fault_kernel", "64, pt_regs *, 64"),
    ("btf_trace_page_fault_user", "64, pt_regs *, 64"),
    ("btf_trace_sched_process_exec", "task_struct *, 32, linux_binprm *"),
    ("btf_trace_sched_process_exit", "task_struct *"),
    ("btf_trace_sched_process_fork", "task_struct *, task_struct *"),
    ("btf_trace_sock_recv_length", "sock *, 32, 32"),
    ("btf_trace_sock_send_length", "sock *, 32, 32"),
    ("btf_trace_sys_exit", "pt_regs *, 64"),
    ("btf_trace_tcp_destroy_sock", "sock *"),
    ("btf_trace_writeback_mark_inode_dirty", "inode *, 32"),
    ("drop_nlink", "inode *"),
    ("inet6_recvmsg", "socket *, msghdr *, 64, 32 -> 32"),
    ("inet6_sendmsg", "socket *, msghdr *, 64 -> 32"),
    ("inet_recvmsg", "socket *, msghdr *, 64, 32 -> 32"),
    ("inet_sendmsg", "socket *, msghdr *, 64 -> 32"),
];

/// Programs for kernels that pass other arguments at the same attach point.
const EXCEPTIONS: &[(ProgramName, &str)] = &[(mem::OOM_NUMBER, "32")];

/// The arguments that `program` relies on at the attach point with this name in the types.
pub fn expected_by(program: ProgramName, name: &str) -> Option<&'static str> {
    let exception = EXCEPTIONS.iter().find(|(other, _)| *other == program);
    exception.map(|(_, prototype)| *prototype).or_else(|| expected(name))
}

/// The arguments that programs rely on at the attach point with this name in the types, exceptions aside.
pub fn expected(name: &str) -> Option<&'static str> {
    PROTOTYPES.iter().find(|(point, _)| *point == name).map(|(_, prototype)| *prototype)
}

/// Whether the arguments that this kernel passes at `point` are those that its programs expect. If the types do not
/// describe them (`found` is empty), the verifier decides.
pub fn fits(point: Point, expected: &str, found: &str) -> bool {
    if found.is_empty() || expected == found {
        return true;
    }
    match point {
        Point::Fentry(_) | Point::Fexit(_) => false,
        Point::Iterator(_) | Point::BtfTracepoint(_) | Point::ControlGroup(_) => {
            let arguments = |prototype: &str| -> Vec<String> {
                let arguments = prototype.split(" -> ").next().unwrap_or_default();
                arguments.split(", ").map(str::to_owned).collect()
            };
            arguments(found).starts_with(&arguments(expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additional_arguments_are_accepted_except_at_a_function() {
        let tracepoint = Point::BtfTracepoint("t");
        assert!(fits(tracepoint, "task_struct *", "task_struct *, 8"));
        assert!(!fits(tracepoint, "sock *, 32", "sock *, 64"));
        assert!(!fits(tracepoint, "sock *, 32", "sock *"));
        assert!(fits(Point::Iterator("i"), "bpf_iter_meta * -> 32", "bpf_iter_meta *, 32 -> 32"));
        assert!(!fits(Point::Fexit("f"), "socket *, 64 -> 32", "socket *, 64, 32 -> 32"));
        assert!(fits(Point::Fexit("f"), "socket * -> 32", ""), "a kernel that does not describe them");
    }
}
