//! What was told of a connection, in one of two forms: as it was read, or packed, where there are very many.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    PacedFact,
    packed::{Packed, Packer},
};

/// A fact about a connection, shared by whoever keeps it. In which form does not matter to whether two are equal, nor to a
/// recording, which holds the fact.
#[derive(Clone, Debug)]
pub enum PacedHandle {
    Whole(Arc<PacedFact>),
    Packed(Packed),
}

impl PacedHandle {
    /// The kernel's number of the socket.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        match self {
            Self::Whole(fact) => fact.connection.cookie,
            Self::Packed(fact) => fact.cookie(),
        }
    }

    /// The fact; unpacked where it is packed.
    #[must_use]
    pub fn whole(&self) -> Arc<PacedFact> {
        match self {
            Self::Whole(fact) => Arc::clone(fact),
            Self::Packed(fact) => Arc::new(fact.unpack()),
        }
    }

    /// The fact in few bytes, where it is.
    #[must_use]
    pub const fn packed(&self) -> Option<&Packed> {
        match self {
            Self::Whole(_) => None,
            Self::Packed(fact) => Some(fact),
        }
    }

    /// From here on in few bytes.
    pub fn pack(&mut self, packer: &mut Packer) {
        if let Self::Whole(fact) = self {
            *self = Self::Packed(packer.pack(fact));
        }
    }

    /// Changes this one, which is whole from here on; somebody may keep the fact as it was.
    pub fn change(&mut self, how: impl FnOnce(&mut PacedFact)) {
        match self {
            Self::Whole(fact) => how(Arc::make_mut(fact)),
            Self::Packed(fact) => {
                let mut fact = fact.unpack();
                how(&mut fact);
                *self = fact.into();
            }
        }
    }

    /// The fact, to be looked at.
    #[must_use]
    pub fn seen(&self) -> Cow<'_, PacedFact> {
        match self {
            Self::Whole(fact) => Cow::Borrowed(fact),
            Self::Packed(fact) => Cow::Owned(fact.unpack()),
        }
    }
}

impl From<PacedFact> for PacedHandle {
    fn from(fact: PacedFact) -> Self {
        Self::Whole(Arc::new(fact))
    }
}

impl PartialEq for PacedHandle {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one == other,
            (Self::Packed(one), Self::Packed(other)) => one == other,
            (Self::Whole(whole), Self::Packed(packed)) | (Self::Packed(packed), Self::Whole(whole)) => {
                packed.is(whole)
            }
        }
    }
}

impl Eq for PacedHandle {}

impl Serialize for PacedHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.seen().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PacedHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PacedFact::deserialize(deserializer).map(Self::from)
    }
}
