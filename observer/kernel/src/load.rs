//! Executes a plan: loads the objects, attaches the hooks, and reports what the kernel rejected nevertheless.
//!
//! Descriptors of this process own everything that is loaded: when the process ends for any reason, the kernel
//! detaches and frees it.

use std::{
    borrow::Cow,
    collections::HashMap,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use aya::{
    Btf, BtfError, Ebpf, EbpfLoader,
    maps::{Array, MapData, PerCpuArray, RingBuf},
    programs::Iter,
};
use observer_common::{
    loss::{LOSS_COUNTERS, Loss},
    names::{self, MapName, ProgramName},
};

use super::{
    ids::attach_types,
    loader::loader,
    log::{Print, ProgramLog},
    map::{EntrySize, TotalsMap},
    plan::{HookPlan, LoadPlan, ObjectPlan},
    privilege,
    program::{self, Attached, Verdicts},
    rejection::{Rejected, Rejection, chain},
    types::KernelTypes,
};
use observer_core::{
    domain::KernelObject,
    error::Error,
    facts::loss::LossFact,
    hook::{Alternative, Attachment, Hook, HookKind},
};

/// What was loaded, and the outcome of each hook.
pub struct Loaded {
    pub objects: Vec<LoadedObject>,
    pub outcomes: Vec<Outcome>,
}

/// The outcome of a hook.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub domain: &'static str,
    pub hook: &'static Hook,
    /// The attached alternative.
    pub alternative: Option<&'static Alternative>,
    /// Alternatives that were possible in the plan and that the kernel rejected, each with the kernel's message.
    pub rejected: Vec<Rejected>,
    /// Why the plan has no possible alternative; empty if it has one.
    pub impossible: String,
}

impl Outcome {
    /// Rejections that do not depend on this kernel: faults of observer, whichever alternative replaced them.
    pub fn faults(&self) -> impl Iterator<Item = &Rejected> {
        self.rejected.iter().filter(|rejected| !rejected.is_not_here())
    }
}

/// One domain's object in the kernel.
pub struct LoadedObject {
    pub domain: &'static str,
    ebpf: Ebpf,
    /// Sizes of the entries of the maps of totals, by name; they never change.
    sizes: HashMap<String, EntrySize>,
    pub ring: RingBuf<MapData>,
    loss: PerCpuArray<MapData, u64>,
    epoch: Array<MapData, u32>,
    /// Results of the programs that were loaded and are not attached yet.
    verdicts: Verdicts,
    /// The iterators to run, by hook.
    pub scans: Vec<(&'static Hook, &'static Attachment)>,
    /// Programs that are attached on demand, each with its link while it is attached.
    demanded: Vec<(&'static Attachment, Option<Attached>)>,
    /// The attach points by name: some programs must be loaded again before they can be attached again.
    types: Arc<KernelTypes>,
    /// Programs that stay attached, in the order of attachment.
    attached: Vec<ProgramName>,
    /// Hooks that have an attached alternative.
    hooks: Vec<&'static str>,
}

/// Loads and attaches all of `plan`; `folder` holds objects to use instead of the embedded ones.
///
/// # Errors
/// When an object cannot be loaded at all. A hook that cannot be attached is no error: its outcome has the reason.
pub fn load(plan: &LoadPlan, folder: Option<&Path>) -> Result<Loaded, Error> {
    privilege::raise_memory_lock_limit();
    // Before a second thread exists, see `loader`.
    let loader = loader();
    let (objects, types) = std::thread::scope(|scope| {
        let types = scope.spawn(|| point_types(plan));
        (create(loader, plan, folder), types.join())
    });
    let (mut objects, naming) = (objects?, "naming the kernel's types to the loader");
    let types = types.map_err(|_| Error::failed(naming, "it panicked"))?;
    let types = types.map_err(|error| Error::failed(naming, error))?;
    let chosen = |object: &ObjectPlan| object.hooks.iter().filter_map(HookPlan::chosen).collect();
    let wanted = objects.iter_mut().zip(&plan.objects).map(|(object, plan)| (&mut object.ebpf, chosen(plan)));
    let verdicts = program::load_all(wanted.collect(), &types);
    let mut outcomes = Vec::new();
    for ((object, plan), verdicts) in objects.iter_mut().zip(&plan.objects).zip(verdicts) {
        object.verdicts = verdicts;
        outcomes.extend(plan.hooks.iter().map(|hook| object.attach(plan, hook, &types)));
    }
    Ok(Loaded { objects, outcomes })
}

/// The attach points of all programs that may be loaded, in the loader's own form.
fn point_types(plan: &LoadPlan) -> Result<Btf, BtfError> {
    let alternatives = plan.objects.iter().flat_map(|object| &object.hooks).flat_map(HookPlan::possible);
    attach_types(
        &plan.facts.types,
        alternatives.flat_map(|alternative| alternative.programs).map(|attachment| attachment.point),
    )
}

/// The objects with their maps; their programs are not loaded yet.
fn create<'a>(
    mut loader: EbpfLoader<'a>,
    plan: &'a LoadPlan,
    folder: Option<&Path>,
) -> Result<Vec<LoadedObject>, Error> {
    let names = Arc::new(plan.facts.types.clone());
    let objects = plan.objects.iter().map(|object| {
        let bytes = object_bytes(&object.object, folder)?;
        for (global, value) in &object.globals {
            loader.override_global(global, value, false);
        }
        let ebpf = loader.load(&bytes).map_err(|error| {
            let failed =
                Error::failed(format!("loading the {} object into the kernel", object.object.name), chain(&error));
            match privilege::memory_lock_limit() {
                Some(limit) if privilege::counts_locked_memory(&plan.facts.release) => failed.advise(format!(
                    "This kernel counts programs and maps as locked memory, and this user's limit is {} KiB: run \
                     it with CAP_SYS_RESOURCE, or with a higher limit (`ulimit -l unlimited`, LimitMEMLOCK=infinity).",
                    limit / 1024
                )),
                _ => failed,
            }
        })?;
        LoadedObject::new(object.domain, ebpf, Arc::clone(&names))
    });
    objects.collect()
}

fn object_bytes(object: &KernelObject, folder: Option<&Path>) -> Result<Cow<'static, [u8]>, Error> {
    if let Some(folder) = folder {
        let path = folder.join(format!("{}.o", object.name));
        let bytes = std::fs::read(&path);
        return bytes
            .map(Cow::Owned)
            .map_err(|error| Error::failed(format!("reading {}", path.display()), error));
    }
    Ok(Cow::Borrowed(object.bytes))
}

impl LoadedObject {
    fn new(domain: &'static str, mut ebpf: Ebpf, types: Arc<KernelTypes>) -> Result<Self, Error> {
        let mut take = |name: MapName| {
            let map = ebpf.take_map(name.as_str());
            map.ok_or_else(|| {
                Error::failed(format!("reading the {domain} object"), format!("it has no map {name}"))
            })
        };
        let wrong = |error| Error::failed(format!("reading the maps of the {domain} object"), error);
        let ring = RingBuf::try_from(take(names::EVENTS)?).map_err(wrong)?;
        let loss = PerCpuArray::try_from(take(names::LOSS)?).map_err(wrong)?;
        let epoch = Array::try_from(take(names::EPOCH)?).map_err(wrong)?;
        let sizes = ebpf.maps().filter_map(|(name, map)| Some((name.to_owned(), EntrySize::of(map)?)));
        Ok(Self {
            domain,
            sizes: sizes.collect(),
            ebpf,
            ring,
            loss,
            epoch,
            verdicts: Verdicts::new(),
            scans: Vec::new(),
            demanded: Vec::new(),
            types,
            attached: Vec::new(),
            hooks: Vec::new(),
        })
    }

    fn attach(&mut self, object: &ObjectPlan, hook: &HookPlan, types: &Btf) -> Outcome {
        let mut rejected = Vec::new();
        for alternative in hook.possible() {
            match self.attach_alternative(hook.hook, alternative, types) {
                Ok(()) => {
                    self.hooks.push(hook.hook.name);
                    return Outcome {
                        domain: self.domain,
                        hook: hook.hook,
                        alternative: Some(alternative),
                        rejected,
                        impossible: String::new(),
                    };
                }
                Err(reason) => {
                    let lacking = object.lacking.iter().map(|(_, field)| field.clone()).collect();
                    rejected.push(Rejected { alternative, reason, lacking });
                }
            }
        }
        let impossible = hook.rejection();
        Outcome { domain: self.domain, hook: hook.hook, alternative: None, rejected, impossible }
    }

    fn attach_alternative(
        &mut self,
        hook: &'static Hook,
        alternative: &'static Alternative,
        types: &Btf,
    ) -> Result<(), Rejection> {
        let mut done: Vec<ProgramName> = Vec::new();
        for attachment in alternative.programs {
            match self.attach_program(hook, attachment, types) {
                Ok(()) => done.push(attachment.program),
                Err(_) if attachment.optional => {}
                Err(reason) => {
                    for name in done {
                        self.detach(name);
                    }
                    return Err(reason);
                }
            }
        }
        Ok(())
    }

    fn attach_program(
        &mut self,
        hook: &'static Hook,
        attachment: &'static Attachment,
        types: &Btf,
    ) -> Result<(), Rejection> {
        let program = self.ebpf.program_mut(attachment.program.as_str());
        let program = program.ok_or(Rejection::NoProgram(attachment.program))?;
        match self.verdicts.remove(&attachment.program) {
            Some(verdict) => verdict?,
            None => program::load(program, attachment.point, types)?,
        }
        if hook.kind == HookKind::EventOnDemand {
            let attached = program::attach_for_now(program)?;
            self.demanded.push((attachment, Some(attached)));
            return Ok(());
        }
        program::attach(program)?;
        self.attached.push(attachment.program);
        if !hook.kind.is_event() {
            self.scans.push((hook, attachment));
        }
        Ok(())
    }

    fn detach(&mut self, name: ProgramName) {
        self.scans.retain(|(_, attachment)| attachment.program != name);
        self.demanded.retain(|(attachment, _)| attachment.program != name);
        self.attached.retain(|attached| *attached != name);
        if let Some(program) = self.ebpf.program_mut(name.as_str()) {
            program::unload(program);
        }
    }

    /// Whether an alternative of the hook called `name` is attached, or, for an on-demand hook, can be.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.hooks.contains(&name)
    }

    /// Whether it has on-demand programs and they are attached.
    #[must_use]
    pub fn has_attached_on_demand(&self) -> bool {
        self.demanded.iter().any(|(_, attached)| attached.is_some())
    }

    /// Attaches the on-demand programs, or detaches them. If the kernel rejects now what it accepted at the start,
    /// nothing changes, and the next call tries again.
    pub fn set_on_demand(&mut self, needed: bool) {
        for (attachment, attached) in &mut self.demanded {
            if !needed {
                *attached = None;
            } else if attached.is_none()
                && let Some(program) = self.ebpf.program_mut(attachment.program.as_str())
            {
                *attached = program::attach_again(program, attachment.point, &self.types).ok();
            }
        }
    }

    /// Opens one run of an iterator: reading it runs the program over everything that exists.
    ///
    /// # Errors
    /// When the kernel does not start it.
    pub fn open_scan(&mut self, program: ProgramName) -> Result<std::fs::File, Error> {
        let name = program;
        let failed = |error: String| Error::failed(format!("starting the iterator {name}"), error);
        let program =
            self.ebpf.program_mut(program.as_str()).ok_or_else(|| failed("it is not loaded".to_owned()))?;
        let iterator: &mut Iter = program.try_into().map_err(|error| failed(chain(&error)))?;
        let id = iterator.attach().map_err(|error| failed(chain(&error)))?;
        let link = iterator.take_link(id).map_err(|error| failed(chain(&error)))?;
        link.into_file().map_err(|error| failed(chain(&error)))
    }

    /// A new descriptor that becomes readable when the ring buffer asks to be read.
    ///
    /// # Errors
    /// When this process has no descriptor left.
    pub fn ring_descriptor(&self) -> std::io::Result<OwnedFd> {
        // SAFETY: the ring buffer owns the descriptor and lives across the call.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }.try_clone_to_owned()
    }

    /// The log output of its programs, if they were built to log.
    pub fn log(&mut self, print: Print) -> Option<ProgramLog> {
        ProgramLog::of(&mut self.ebpf, print)
    }

    /// What its programs have cost so far.
    #[must_use]
    pub fn activity(&self) -> Vec<super::activity::ProgramActivity> {
        super::activity::of(self.domain, self.ebpf.programs())
    }

    /// Events that its programs have missed so far. Programs of iterators handle no events and miss none.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let scans = |name: &str| self.scans.iter().any(|(_, attachment)| attachment.program.as_str() == name);
        let programs = self.ebpf.programs().filter(|(name, _)| !scans(name));
        programs.map(|(_, program)| super::activity::skipped(program)).sum()
    }

    /// A map of totals by name.
    #[must_use]
    pub fn totals(&self, name: MapName) -> Option<TotalsMap<'_>> {
        TotalsMap::new(self.ebpf.map(name.as_str())?, *self.sizes.get(name.as_str())?)
    }

    /// The loss counters so far, summed over the CPUs.
    #[must_use]
    pub fn losses(&self) -> LossFact {
        let mut sums = [0_u64; LOSS_COUNTERS as usize];
        for (index, sum) in sums.iter_mut().enumerate() {
            if let Ok(counters) = self.loss.get(&(index as u32), 0) {
                *sum = counters.iter().sum();
            }
        }
        LossFact {
            domain: self.domain.to_owned(),
            ring: sums[Loss::Ring as usize],
            map_full: sums[Loss::MapFull as usize],
            unattributed: sums[Loss::Unattributed as usize],
            unread: sums[Loss::Unread as usize],
        }
    }

    /// Begins a new epoch: each entry may be announced once more.
    pub fn begin_epoch(&mut self, epoch: u32) {
        // The map has one element and lives as long as this object, so the call cannot fail.
        let _ = self.epoch.set(0, epoch, 0);
    }
}

impl Drop for LoadedObject {
    /// In reverse order: if the first of two programs at a tracepoint is detached before the second, the kernel
    /// waits, some ten milliseconds, until no CPU can still use the list of both.
    fn drop(&mut self) {
        for name in std::mem::take(&mut self.attached).into_iter().rev() {
            if let Some(program) = self.ebpf.program_mut(name.as_str()) {
                program::unload(program);
            }
        }
    }
}
