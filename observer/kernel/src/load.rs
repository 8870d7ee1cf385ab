//! Executes a plan: loads the objects, attaches the hooks, and says what the kernel refused after all.
//!
//! Everything hangs on descriptors of this process: when it ends, however it ends, the kernel detaches and frees it.

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
    rejection::{self, chain},
    types::KernelTypes,
};
use observer_core::{
    domain::KernelObject,
    error::Error,
    facts::loss::LossFact,
    hook::{Alternative, Attachment, Hook, HookKind},
};

/// What was loaded, and how each hook fared.
pub struct Loaded {
    pub objects: Vec<LoadedObject>,
    pub outcomes: Vec<Outcome>,
}

/// How a hook fared.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub domain: &'static str,
    pub hook: &'static Hook,
    /// The way that is attached.
    pub alternative: Option<&'static Alternative>,
    /// Ways that the plan held for possible and the kernel refused, with its words.
    pub refused: Vec<(&'static Alternative, String)>,
    /// Why no way was possible in the plan's eyes; empty where one was.
    pub impossible: String,
}

impl Outcome {
    /// Refusals that do not mean that the way is not to be had here: faults of ours, whatever was taken instead.
    pub fn faults(&self) -> impl Iterator<Item = &(&'static Alternative, String)> {
        self.refused.iter().filter(|(_, reason)| !rejection::is_not_here(reason))
    }
}

/// One domain's object in the kernel.
pub struct LoadedObject {
    pub domain: &'static str,
    ebpf: Ebpf,
    /// Of the maps of totals, by name: they stay as they are.
    sizes: HashMap<String, EntrySize>,
    pub ring: RingBuf<MapData>,
    loss: PerCpuArray<MapData, u64>,
    epoch: Array<MapData, u32>,
    /// Programs that were loaded and are not attached yet.
    verdicts: Verdicts,
    /// The iterators to run, by hook.
    pub passes: Vec<(&'static Hook, &'static Attachment)>,
    /// Programs that are attached only while they are needed, each with what holds it while it is.
    demanded: Vec<(&'static Attachment, Option<Attached>)>,
    /// The kernel's names of the places: for those that must be loaded anew before they can be attached again.
    types: Arc<KernelTypes>,
    /// Programs that are attached for good, in the order in which they were.
    attached: Vec<ProgramName>,
    /// Hooks of which a way is attached.
    hooks: Vec<&'static str>,
}

/// Loads and attaches all of `plan`; `folder` holds other objects than the embedded ones.
///
/// # Errors
/// When an object cannot be loaded at all. A hook that cannot be attached is no error: its outcome says so.
pub fn load(plan: &LoadPlan, folder: Option<&Path>) -> Result<Loaded, Error> {
    privilege::raise_memory_lock_limit();
    // Before there is a second thread, see there.
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

/// The places of all programs that may be loaded, as the loader wants to be told of them.
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
                    "This kernel counts programs and maps as locked memory, of which this user may have {} KiB: run \
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
            passes: Vec::new(),
            demanded: Vec::new(),
            types,
            attached: Vec::new(),
            hooks: Vec::new(),
        })
    }

    fn attach(&mut self, object: &ObjectPlan, hook: &HookPlan, types: &Btf) -> Outcome {
        let mut refused = Vec::new();
        for alternative in hook.possible() {
            match self.attach_way(hook.hook, alternative, types) {
                Ok(()) => {
                    self.hooks.push(hook.hook.name);
                    return Outcome {
                        domain: self.domain,
                        hook: hook.hook,
                        alternative: Some(alternative),
                        refused,
                        impossible: String::new(),
                    };
                }
                Err(mut reason) => {
                    for (_, lacking) in &object.lacking {
                        reason.push_str("; ");
                        reason.push_str(lacking);
                    }
                    refused.push((alternative, reason));
                }
            }
        }
        let impossible = hook.rejection();
        Outcome { domain: self.domain, hook: hook.hook, alternative: None, refused, impossible }
    }

    fn attach_way(
        &mut self,
        hook: &'static Hook,
        alternative: &'static Alternative,
        types: &Btf,
    ) -> Result<(), String> {
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
    ) -> Result<(), String> {
        let program = self.ebpf.program_mut(attachment.program.as_str());
        let program = program.ok_or_else(|| format!("the object has no program {}", attachment.program))?;
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
            self.passes.push((hook, attachment));
        }
        Ok(())
    }

    fn detach(&mut self, name: ProgramName) {
        self.passes.retain(|(_, attachment)| attachment.program != name);
        self.demanded.retain(|(attachment, _)| attachment.program != name);
        self.attached.retain(|attached| *attached != name);
        if let Some(program) = self.ebpf.program_mut(name.as_str()) {
            program::unload(program);
        }
    }

    /// Whether a way of the hook called `name` is attached; of one on demand, whether it can be.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.hooks.contains(&name)
    }

    /// Whether it has programs that are attached on demand, and they are.
    #[must_use]
    pub fn attends(&self) -> bool {
        self.demanded.iter().any(|(_, attached)| attached.is_some())
    }

    /// Attaches what is attached on demand, or detaches it. What the kernel refuses now and took at the start stays as it
    /// is, and is tried again.
    pub fn attend(&mut self, needed: bool) {
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

    /// Opens one pass of an iterator: reading it runs the program over everything that exists.
    ///
    /// # Errors
    /// When the kernel does not start it.
    pub fn open_pass(&mut self, program: ProgramName) -> Result<std::fs::File, Error> {
        let name = program;
        let failed = |error: String| Error::failed(format!("starting the iterator {name}"), error);
        let program =
            self.ebpf.program_mut(program.as_str()).ok_or_else(|| failed("it is not loaded".to_owned()))?;
        let iterator: &mut Iter = program.try_into().map_err(|error| failed(chain(&error)))?;
        let id = iterator.attach().map_err(|error| failed(chain(&error)))?;
        let link = iterator.take_link(id).map_err(|error| failed(chain(&error)))?;
        link.into_file().map_err(|error| failed(chain(&error)))
    }

    /// A descriptor of its own that becomes readable when the ring asks to be emptied.
    ///
    /// # Errors
    /// When this process has no descriptor left.
    pub fn ring_descriptor(&self) -> std::io::Result<OwnedFd> {
        // SAFETY: the ring owns the descriptor and lives across the call.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }.try_clone_to_owned()
    }

    /// What its programs log, if they were built to log.
    pub fn log(&mut self, print: Print) -> Option<ProgramLog> {
        ProgramLog::of(&mut self.ebpf, print)
    }

    /// What its programs cost so far.
    #[must_use]
    pub fn activity(&self) -> Vec<super::activity::ProgramActivity> {
        super::activity::of(self.domain, self.ebpf.programs())
    }

    /// Events of which its programs were not told so far. Those of passes are no events' and miss none.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let passes =
            |name: &str| self.passes.iter().any(|(_, attachment)| attachment.program.as_str() == name);
        let programs = self.ebpf.programs().filter(|(name, _)| !passes(name));
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

    /// Begins a new epoch: every entry may be announced once more.
    pub fn begin_epoch(&mut self, epoch: u32) {
        // The map has one element and lives as long as this object; there is nothing that could refuse.
        let _ = self.epoch.set(0, epoch, 0);
    }
}

impl Drop for LoadedObject {
    /// The last first: a tracepoint whose first program leaves before its second waits until no processor can be amid the
    /// list of both, some ten milliseconds.
    fn drop(&mut self) {
        for name in std::mem::take(&mut self.attached).into_iter().rev() {
            if let Some(program) = self.ebpf.program_mut(name.as_str()) {
                program::unload(program);
            }
        }
    }
}
