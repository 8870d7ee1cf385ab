//! The kernel side of the load domain: one program, which reads how long each thread has run. Elsewhere than in the
//! kernel's virtual machine it is an empty program, so that the workspace builds as a whole.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod object {
    use observer_common::symbols_exist;
    use observer_ebpf::{
        fields_as_globals, iterator,
        read::{load, pointer},
        task,
    };
    use observer_load_domain::{ebpf::record::ThreadRecord, load_fields, load_programs};

    load_fields!(fields_as_globals);
    load_programs!(symbols_exist);

    /// Every thread of every process.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/task")]
    pub extern "C" fn load_thread(ctx: *mut iterator::Task) -> i32 {
        // SAFETY: the kernel's own context; its pointers are BTF-typed and checked for null.
        unsafe {
            let (meta, task) = ((*ctx).meta, (*ctx).task);
            if task.is_null() {
                return 0;
            }
            let signal = pointer(task, &TASK_SIGNAL);
            let ended = if signal.is_null() { 0 } else { load(signal, &SIGNAL_RAN) };
            let record = ThreadRecord { task: task::record(task), ran: load(task, &TASK_RAN), ended };
            iterator::write(meta, &record);
        }
        0
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
