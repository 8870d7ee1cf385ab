//! Facts of the sites domain: where in its code a process touches fresh memory, and whether it keeps it. Sizes are bytes.
//!
//! None of them has content of memory or of stacks. All are events: each is passed on once.

use serde::{Deserialize, Serialize};

use super::TaskId;

/// What was observed in the sites domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SitesFact {
    /// A sampled fault of a watched process.
    Fault(Box<FaultFact>),
    /// What was found later at the address of a fault.
    Look {
        process: TaskId,
        /// [`FaultFact::number`].
        number: u64,
        /// Milliseconds since the fault.
        age: u32,
        /// Right before the address, and from the address on.
        before: Found,
        after: Found,
    },
    /// A file that frames of a process are in.
    Module(Box<ModuleFact>),
    /// The functions at an address of a process.
    Named(Box<NamedFact>),
    /// The resident anonymous memory of a watched process, including what is swapped.
    Size { process: TaskId, at: u64, bytes: u64 },
    /// A process that was asked for and cannot be watched.
    Unwatched { pid: u32, reason: Box<str> },
}

/// A fault with its call path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultFact {
    /// Its number among the faults of the process.
    pub number: u64,
    pub process: TaskId,
    /// Nanoseconds of the boot clock.
    pub at: u64,
    /// The address that was written to.
    pub address: u64,
    /// Bytes of fresh memory that it stands for.
    pub weight: u64,
    /// Addresses in the calling instructions, innermost first.
    pub path: Box<[u64]>,
    /// Whether the path reaches the start of the thread.
    pub complete: bool,
    /// The kernel wrote to the page, in a system call.
    pub by_kernel: bool,
    /// Frames of an interpreter, innermost first.
    pub interpreted: Box<[InterpretedFrame]>,
}

/// A function of an interpreted language, as its interpreter names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InterpretedFrame {
    pub function: Box<str>,
    pub file: Box<str>,
    pub line: Option<u32>,
}

/// The content at the address of a fault, compared with its content shortly after the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// The same bytes.
    Same,
    /// Other bytes: something else is there now. Or nothing is mapped there any longer.
    Changed,
    /// It cannot be said: there were only zeroes, or the first look was late.
    Unknown,
}

/// An executable mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFact {
    pub process: TaskId,
    pub start: u64,
    pub end: u64,
    /// The place of `start` in the file.
    pub offset: u64,
    /// As the process has it.
    pub path: Box<[u8]>,
    pub build_id: Option<Box<[u8]>>,
}

/// The functions at an address, innermost first; several if some of them are inlined, none if no name is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFact {
    pub process: TaskId,
    pub address: u64,
    pub functions: Box<[FunctionName]>,
}

/// A function of compiled code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionName {
    pub function: Box<str>,
    pub file: Option<Box<str>>,
    pub line: Option<u32>,
    pub inlined: bool,
    pub language: Language,
}

/// The language of a function, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Language {
    /// C, or any other language that does not mangle names.
    Native,
    Cpp,
    Rust,
    Go,
    Python,
}

impl Language {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Cpp => "c++",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Python => "python",
        }
    }
}
