//! The hook of the sites domain, with its alternatives, best first.

use observer_common::names::sites as names;
use observer_core::hook::{Alternative, Hook, HookKind, Need, tracepoint};

/// The limitation of alternatives that see only accesses of the program itself.
const OWN_ACCESS: &str =
    "memory that the kernel fills for a process, by read(2) for example, has no call path in `mem --where`";

/// `lockdown=confidentiality` allows programs to read user memory. But where it forbids `bpf_probe_read_kernel`, aya
/// replaces `bpf_probe_read_user` as well, by a helper that is forbidden.
const LOADER: Need = Need::Probing;

/// The domain's hooks.
pub const HOOKS: &[Hook] = &[Hook {
    name: "sites.faults",
    provides: "where in its code a watched process touches fresh memory",
    kind: HookKind::Event,
    alternatives: &[
        Alternative::new(
            "BTF tracepoints page_fault_user, page_fault_kernel",
            &[
                tracepoint(names::FAULT_USER, "page_fault_user"),
                tracepoint(names::FAULT_KERNEL, "page_fault_kernel"),
            ],
        )
        .needing(&[Need::Helper("get_current_task_btf"), Need::Helper("task_pt_regs"), LOADER]),
        Alternative::new(
            "BTF tracepoint page_fault_user",
            &[tracepoint(names::FAULT_USER, "page_fault_user")],
        )
        .needing(&[Need::Helper("get_current_task_btf"), LOADER])
        .limited(OWN_ACCESS),
        Alternative::new(
            "BTF tracepoint page_fault_user, probe reads",
            &[tracepoint(names::FAULT_USER_PROBING, "page_fault_user")],
        )
        .needing(&[Need::Probing])
        .limited(OWN_ACCESS),
    ],
    columns: &["path", "site", "allocates", "keeps", "kept_share", "samples", "judgement"],
}];
