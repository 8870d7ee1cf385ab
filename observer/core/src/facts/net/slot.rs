//! The slot of each fact, and what follows when the thing that a fact is about is gone.

use super::{ClosedTotalsFact, FlowSlot, NetFact};
use crate::facts::TaskId;

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
    UnseenDatagrams(u32),
}

impl NetFact {
    pub(in crate::facts) fn slot(&self) -> Option<NetSlot> {
        match self {
            Self::UntimedConnection(fact) | Self::Connection(fact) => Some(NetSlot::Socket(fact.cookie())),
            Self::Socket(fact) => Some(NetSlot::Socket(fact.cookie)),
            Self::Flow(fact) => Some(NetSlot::Flow(fact.key)),
            Self::ClosedTotals(fact) => Some(NetSlot::ClosedTotals(fact.owner)),
            Self::Links(_) => Some(NetSlot::Links),
            Self::Jiffies(_) => Some(NetSlot::Jiffies),
            Self::Shared { cookie, .. } => Some(NetSlot::Shared(*cookie)),
            Self::Unwatched { .. } => Some(NetSlot::Unwatched),
            Self::Room(_) => Some(NetSlot::Room),
            Self::Saturation(_) => Some(NetSlot::Saturation),
            Self::UnseenDatagrams { netns, .. } => Some(NetSlot::UnseenDatagrams(*netns)),
            Self::Namespace { .. }
            | Self::SocketQueues { .. }
            | Self::Descriptors { .. }
            | Self::RemoteName { .. }
            | Self::Closed(_)
            | Self::SharedUnseen { .. }
            | Self::Failed { .. }
            | Self::Vanished { .. }
            | Self::FlowEnded { .. } => None,
        }
    }

    pub(in crate::facts) fn gone(&self) -> Option<Self> {
        let cookie = match self {
            Self::UntimedConnection(fact) | Self::Connection(fact) => fact.cookie(),
            Self::Socket(fact) => fact.cookie,
            _ => return None,
        };
        Some(Self::Vanished { cookie })
    }

    pub(in crate::facts) fn ended_slots(&self) -> Vec<NetSlot> {
        match self {
            Self::FlowEnded { key } => vec![NetSlot::Flow(*key)],
            // Scans leave out a connection that does not change. Without this, it would never be removed.
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
