//! What the report needs from the world next: a plain value that the live loop hands to the source.
//!
//! Only what is about to be shown is asked for; the answers are facts like any other, so a recording holds them.

use std::{any::Any, collections::BTreeSet, fmt::Debug};

use crate::facts::TaskId;

/// Questions for the source. Asking twice is asking once; what was answered before is not asked again.
#[derive(Debug, Default)]
pub struct HostQueries {
    /// Processes without known names (executable, cgroup).
    pub names: BTreeSet<TaskId>,
    /// Whether their command lines are wanted too.
    pub cmdline: bool,
    /// Whether there is time for scans that take long, at the start.
    pub thorough: bool,
    /// What each domain asks its own reader: one value of each type.
    own: Vec<Box<dyn AnyQueries>>,
}

/// What one domain asks its own reader and its own schedule. Nothing else knows the type.
pub trait DomainQueries: Any + Debug + Send + Sync {
    /// Adds the questions of `other`.
    fn extend(&mut self, other: Self)
    where
        Self: Sized;
}

/// The queries of a domain, of a type that is not known here.
trait AnyQueries: Any + Debug + Send + Sync {
    fn extend_any(&mut self, other: Box<dyn AnyQueries>) -> Option<Box<dyn AnyQueries>>;
}

impl<Q: DomainQueries> AnyQueries for Q {
    /// Gives `other` back where it is of another type.
    fn extend_any(&mut self, other: Box<dyn AnyQueries>) -> Option<Box<dyn AnyQueries>> {
        if !(&*other as &dyn Any).is::<Q>() {
            return Some(other);
        }
        if let Ok(other) = (other as Box<dyn Any>).downcast::<Q>() {
            self.extend(*other);
        }
        None
    }
}

impl HostQueries {
    /// The names of these processes, with their command lines if so.
    pub fn of_names(names: BTreeSet<TaskId>, cmdline: bool) -> Self {
        Self { names, cmdline, ..Self::default() }
    }

    /// The same with what a domain asks its own reader.
    #[must_use]
    pub fn with(mut self, own: impl DomainQueries) -> Self {
        self.add(Box::new(own));
        self
    }

    /// What the domain that has this type of questions asks; `None` where it asks nothing.
    pub fn own<Q: DomainQueries>(&self) -> Option<&Q> {
        self.own.iter().find_map(|own| (&**own as &dyn Any).downcast_ref())
    }

    /// Adds the questions of `other`.
    pub fn extend(&mut self, other: Self) {
        self.names.extend(other.names);
        self.cmdline |= other.cmdline;
        self.thorough |= other.thorough;
        other.own.into_iter().for_each(|own| self.add(own));
    }

    fn add(&mut self, own: Box<dyn AnyQueries>) {
        let mut own = Some(own);
        for known in &mut self.own {
            own = own.and_then(|own| known.extend_any(own));
        }
        self.own.extend(own);
    }
}
