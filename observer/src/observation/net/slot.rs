//! What each fact is about, and what follows when that is gone.

use super::{ClosedTotalsFact, FlowSlot, NetFact, SocketHandle};
use crate::observation::TaskId;

/// Slots of the net domain's state-like facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetSlot {
    Socket(u64),
    Flow(FlowSlot),
    ClosedTotals(TaskId),
    Links,
    Jiffies,
    Shared(u64),
    Unwatched,
    Room,
    Saturation,
}

impl NetFact {
    /// What it tells of one socket, if that is what it is about.
    #[must_use]
    pub const fn socket(&self) -> Option<&SocketHandle> {
        match self {
            Self::Connection(fact) => Some(fact.handle()),
            Self::Paced(fact) => Some(fact.handle()),
            Self::Socket(fact) => Some(fact.handle()),
            _ => None,
        }
    }

    pub(in crate::observation) fn slot(&self) -> Option<NetSlot> {
        match self {
            Self::Connection(_) | Self::Paced(_) | Self::Socket(_) => {
                self.socket().map(|handle| NetSlot::Socket(handle.cookie()))
            }
            Self::Flow(fact) => Some(NetSlot::Flow(fact.key)),
            Self::ClosedTotals(fact) => Some(NetSlot::ClosedTotals(fact.owner)),
            Self::Links(_) => Some(NetSlot::Links),
            Self::Jiffies(_) => Some(NetSlot::Jiffies),
            Self::Shared { cookie, .. } => Some(NetSlot::Shared(*cookie)),
            Self::Unwatched { .. } => Some(NetSlot::Unwatched),
            Self::Room(_) => Some(NetSlot::Room),
            Self::Saturation(_) => Some(NetSlot::Saturation),
            Self::Namespace { .. }
            | Self::Descriptors { .. }
            | Self::RemoteName { .. }
            | Self::Closed(_)
            | Self::Vanished { .. }
            | Self::FlowEnded { .. } => None,
        }
    }

    pub(in crate::observation) fn gone(&self) -> Option<Self> {
        self.socket().map(|handle| Self::Vanished { cookie: handle.cookie() })
    }

    pub(in crate::observation) fn ends(&self) -> Vec<NetSlot> {
        match self {
            Self::FlowEnded { key } => vec![NetSlot::Flow(*key)],
            // Passes keep silent about a connection that does not change: without this it would be known for ever.
            Self::Closed(fact) => {
                vec![NetSlot::Socket(fact.connection.cookie), NetSlot::Shared(fact.connection.cookie)]
            }
            Self::Vanished { cookie } => vec![NetSlot::Shared(*cookie)],
            Self::ClosedTotals(ClosedTotalsFact { owner, connections: 0, .. }) => {
                vec![NetSlot::ClosedTotals(*owner)]
            }
            _ => Vec::new(),
        }
    }
}
