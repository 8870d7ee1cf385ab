//! How recordings hold a connection: never packed, and its times after its other members.

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

use super::{
    connection::{ConnectionFact, TcpTimes},
    handle::ConnectionHandle,
};

/// For recordings of versions that did not read the times.
pub mod untimed {
    use super::*;

    pub fn serialize<S: Serializer>(handle: &ConnectionHandle, serializer: S) -> Result<S::Ok, S::Error> {
        handle.fact().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ConnectionHandle, D::Error> {
        ConnectionFact::deserialize(deserializer).map(ConnectionHandle::from)
    }
}

/// For recordings of later versions.
pub mod timed {
    use super::*;

    pub fn serialize<S: Serializer>(handle: &ConnectionHandle, serializer: S) -> Result<S::Ok, S::Error> {
        let fact = handle.fact();
        (&*fact, fact.times.unwrap_or_default()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ConnectionHandle, D::Error> {
        let (mut fact, times) = <(ConnectionFact, TcpTimes)>::deserialize(deserializer)?;
        fact.times = Some(times);
        Ok(fact.into())
    }
}
