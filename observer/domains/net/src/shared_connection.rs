//! The latest that was told of a connection.

use std::{ops::Deref, sync::Arc};

use observer_core::facts::net::{ConnectionFact, Pace, PacedFact, PacedHandle, Packed};

/// What was told of a connection, shared with who told it.
#[derive(Clone, Debug)]
pub enum SharedConnection {
    /// By a version that did not tell its pace, or with its end.
    Plain(Arc<ConnectionFact>),
    /// The fact, and in few bytes where it was told so.
    Paced(Arc<PacedFact>, Option<Packed>),
}

impl Deref for SharedConnection {
    type Target = ConnectionFact;

    fn deref(&self) -> &ConnectionFact {
        match self {
            Self::Plain(fact) => fact,
            Self::Paced(fact, _) => &fact.connection,
        }
    }
}

impl From<&PacedHandle> for SharedConnection {
    fn from(fact: &PacedHandle) -> Self {
        Self::Paced(fact.whole(), fact.packed().cloned())
    }
}

impl SharedConnection {
    /// The fact in few bytes, where it was told so.
    #[must_use]
    pub const fn packed(&self) -> Option<&Packed> {
        match self {
            Self::Plain(_) => None,
            Self::Paced(_, packed) => packed.as_ref(),
        }
    }

    /// What tells its pace, where that is observed.
    #[must_use]
    pub fn pace(&self) -> Option<Pace> {
        match self {
            Self::Plain(_) => None,
            Self::Paced(fact, _) => Some(fact.pace),
        }
    }
}
