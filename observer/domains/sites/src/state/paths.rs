//! The call paths of a process, each once.

use std::collections::{BTreeMap, HashMap, HashSet};

use observer_core::facts::sites::{FaultFact, InterpretedFrame};

/// Different paths of one process. Deep recursion can make every path another one; what is beyond has no path.
const MOST: usize = 8192;

/// A call path as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallPath {
    /// Addresses, innermost first.
    pub addresses: Box<[u64]>,
    /// Frames of an interpreter, innermost first.
    pub interpreted: Box<[InterpretedFrame]>,
    /// Whether it reaches the start of the thread.
    pub complete: bool,
}

/// Paths by number.
#[derive(Debug, Default)]
pub struct Paths {
    numbers: HashMap<CallPath, u32>,
    paths: BTreeMap<u32, CallPath>,
    next: u32,
}

impl Paths {
    /// The number of the path of this fault.
    pub fn number(&mut self, fault: &FaultFact) -> u32 {
        let mut path = CallPath {
            addresses: fault.path.clone(),
            interpreted: fault.interpreted.clone(),
            complete: fault.complete,
        };
        if self.numbers.len() >= MOST && !self.numbers.contains_key(&path) {
            path = CallPath::default();
        }
        if let Some(number) = self.numbers.get(&path) {
            return *number;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.paths.insert(number, path.clone());
        self.numbers.insert(path, number);
        number
    }

    /// The path with this number.
    pub fn get(&self, number: u32) -> Option<&CallPath> {
        self.paths.get(&number)
    }

    /// All paths.
    pub fn iter(&self) -> impl Iterator<Item = &CallPath> {
        self.paths.values()
    }

    /// Forgets all others.
    pub fn retain(&mut self, used: &HashSet<u32>) {
        self.paths.retain(|number, _| used.contains(number));
        self.numbers.retain(|_, number| used.contains(number));
    }
}
