//! The names of eBPF programs and maps, once for both sides of the kernel boundary.
//!
//! Each domain lists its programs and the maps that user space opens, with a macro that takes another macro: user
//! space makes constants of the list ([`program_names`](crate::program_names), [`map_names`](crate::map_names)), a
//! kernel object checks that it has a function or static of each name ([`symbols_exist`](crate::symbols_exist)). A
//! name that exists on one side only does not compile. Whether every program of an object is listed, a test of the
//! loader compares.

use core::fmt;

pub mod disk;
pub mod mem;
pub mod net;
pub mod sites;

/// The name of an eBPF program: of its function in the kernel object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramName(&'static str);

/// The name of a map in a kernel object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapName(&'static str);

impl ProgramName {
    /// A program whose function is called `name`; lists make these.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// As the kernel object spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl MapName {
    /// A map whose static is called `name`; lists make these.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// As the kernel object spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ProgramName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.0)
    }
}

impl fmt::Display for MapName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.0)
    }
}

/// Makes a constant of each listed program, and `PROGRAMS` of all.
#[macro_export]
macro_rules! program_names {
    ($($constant:ident: $program:ident;)*) => {
        $(
            #[doc = concat!("The program `", stringify!($program), "`.")]
            pub const $constant: $crate::names::ProgramName = $crate::names::ProgramName::new(stringify!($program));
        )*

        /// Every program of the list.
        pub const PROGRAMS: &[$crate::names::ProgramName] = &[$($constant),*];
    };
}

/// Makes a constant of each listed map, and `MAPS` of all.
#[macro_export]
macro_rules! map_names {
    ($($constant:ident: $map:ident;)*) => {
        $(
            #[doc = concat!("The map `", stringify!($map), "`.")]
            pub const $constant: $crate::names::MapName = $crate::names::MapName::new(stringify!($map));
        )*

        /// Every map of the list.
        pub const MAPS: &[$crate::names::MapName] = &[$($constant),*];
    };
}

/// Does not compile where a listed program or map is not in scope. Leaves nothing in the object.
#[macro_export]
macro_rules! symbols_exist {
    ($($constant:ident: $symbol:ident;)*) => {
        const _: () = {
            $(let _ = &$symbol;)*
        };
    };
}

/// Names the maps that every kernel object has, for a macro as above.
#[macro_export]
macro_rules! shared_maps {
    ($with:path) => {
        $with! {
            EVENTS: EVENTS;
            LOSS: LOSS;
            EPOCH: EPOCH;
        }
    };
}

shared_maps!(crate::map_names);

/// The map in which user space hands numbers to the programs; only domains that do so have it.
pub const CONTROL: MapName = MapName::new("CONTROL");
