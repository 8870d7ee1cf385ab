//! One program of an object: loaded, attached and unloaded, depending on the kind of its attach point.
//!
//! Loading takes most of the time of a start: before 7.0 the verifier searches all types of the kernel by name at each
//! pointer that a program follows. Programs are verified independently of one another, so all are loaded in parallel.

use std::{collections::HashMap, sync::Mutex};

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, CgroupAttachMode, FEntry, FExit, Iter, Program, ProgramError, fentry::FEntryLink,
        fexit::FExitLink, tp_btf::BtfTracePointLink,
    },
};

use observer_common::names::ProgramName;

use super::{control_group, ids::attach_types, rejection::Rejection, types::KernelTypes};
use observer_core::hook::{Alternative, Attachment, Point};

/// Results of the programs that were loaded ahead of their use, by name.
pub type Verdicts = HashMap<ProgramName, Result<(), Rejection>>;

/// Gives a program to the verifier.
///
/// # Errors
/// The kernel's rejection.
pub fn load(program: &mut Program, point: Point, types: &Btf) -> Result<(), Rejection> {
    let loaded = match point {
        Point::Iterator(target) => {
            <&mut Iter>::try_from(program).and_then(|program| program.load(target, types))
        }
        Point::BtfTracepoint(target) => {
            <&mut BtfTracePoint>::try_from(program).and_then(|program| program.load(target, types))
        }
        Point::Fentry(target) => {
            <&mut FEntry>::try_from(program).and_then(|program| program.load(target, types))
        }
        Point::Fexit(target) => {
            <&mut FExit>::try_from(program).and_then(|program| program.load(target, types))
        }
        Point::ControlGroup(_) => match program {
            Program::CgroupSock(program) => program.load(),
            Program::CgroupSockAddr(program) => program.load(),
            _ => Err(ProgramError::UnexpectedProgramType),
        },
    };
    Ok(loaded?)
}

/// Attaches a loaded program. An iterator is attached again for each of its runs.
///
/// # Errors
/// The kernel's rejection.
pub fn attach(program: &mut Program) -> Result<(), Rejection> {
    let attached = match program {
        Program::BtfTracePoint(program) => program.attach().map(drop),
        Program::FEntry(program) => program.attach().map(drop),
        Program::FExit(program) => program.attach().map(drop),
        Program::Iter(_) => Ok(()),
        // A link leaves room for the programs of others without being asked to.
        Program::CgroupSock(program) => {
            program.attach(control_group::open()?, CgroupAttachMode::Single).map(drop)
        }
        Program::CgroupSockAddr(program) => {
            program.attach(control_group::open()?, CgroupAttachMode::Single).map(drop)
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    Ok(attached?)
}

/// A program's attachment; dropping it detaches the program.
#[derive(Debug)]
pub enum Attached {
    BtfTracepoint(BtfTracePointLink),
    Fentry(FEntryLink),
    Fexit(FExitLink),
}

/// As [`attach`], until the result is dropped.
///
/// # Errors
/// The kernel's rejection.
pub fn attach_for_now(program: &mut Program) -> Result<Attached, Rejection> {
    let attached = match program {
        Program::BtfTracePoint(program) => {
            program.attach().and_then(|id| program.take_link(id)).map(Attached::BtfTracepoint)
        }
        Program::FEntry(program) => {
            program.attach().and_then(|id| program.take_link(id)).map(Attached::Fentry)
        }
        Program::FExit(program) => program.attach().and_then(|id| program.take_link(id)).map(Attached::Fexit),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    Ok(attached?)
}

/// As [`attach_for_now`], for a program that was attached before. Before Linux 5.13 a function does not accept the
/// same program twice (f3a95075549e, "bpf: Allow trampoline re-attach for tracing and lsm programs"): then it is
/// loaded again.
///
/// # Errors
/// The kernel's rejection.
pub fn attach_again(program: &mut Program, point: Point, types: &KernelTypes) -> Result<Attached, Rejection> {
    attach_for_now(program).or_else(|_| {
        let types = attach_types(types, std::iter::once(point))
            .map_err(|error| Rejection::Kernel(error.to_string()))?;
        unload(program);
        load(program, point, &types)?;
        attach_for_now(program)
    })
}

/// Detaches and unloads a program; one that cannot be unloaded stays until this process ends.
pub fn unload(program: &mut Program) {
    let _ = match program {
        Program::Iter(program) => program.unload(),
        Program::BtfTracePoint(program) => program.unload(),
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::CgroupSock(program) => program.unload(),
        Program::CgroupSockAddr(program) => program.unload(),
        _ => Ok(()),
    };
}

/// Loads the programs of these alternatives of each object, one thread per CPU; the results by object.
pub fn load_all(wanted: Vec<(&mut Ebpf, Vec<&'static Alternative>)>, types: &Btf) -> Vec<Verdicts> {
    let mut verdicts: Vec<Verdicts> = wanted.iter().map(|_| Verdicts::new()).collect();
    let mut waiting: Vec<Waiting> = Vec::new();
    for (object, (ebpf, alternatives)) in wanted.into_iter().enumerate() {
        waiting.extend(ebpf.programs_mut().filter_map(|(name, program)| {
            let named = |alternative: &&'static Alternative| {
                alternative.programs.iter().find(|attachment| attachment.program.as_str() == name)
            };
            let (alternative, attachment) =
                alternatives.iter().find_map(|alternative| Some((alternative, named(alternative)?)))?;
            Some(Waiting { object, attachment, is_long: alternative.repeats(), program })
        }));
    }
    // Taken from the end: the programs that take longest come first, so that none of them runs alone at the end.
    waiting.sort_by_key(|waiting| waiting.is_long);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(waiting.len().max(1));
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop());
    let work = || {
        let mut done = Vec::new();
        while let Some(Waiting { object, attachment, program, .. }) = next() {
            done.push((object, attachment.program, load(program, attachment.point, types)));
        }
        done
    };
    let done = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        // The results of a worker that panicked are missing: its programs are loaded when they are needed.
        done.extend(helpers.into_iter().filter_map(|helper| helper.join().ok()).flatten());
        done
    });
    for (object, program, verdict) in done {
        verdicts[object].insert(program, verdict);
    }
    verdicts
}

/// A program that waits to be loaded.
struct Waiting<'a> {
    object: usize,
    attachment: &'static Attachment,
    is_long: bool,
    program: &'a mut Program,
}
