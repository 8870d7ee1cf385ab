//! What a cell, a total or a member of an object holds.

/// A value, as far as it is known.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Value {
    /// Unknown, or there is none: `null` in JSON. A note gives the reason where a reader could expect a value.
    #[default]
    Missing,
    /// Already passed through [`crate::text::printable`] if it came from outside.
    Text(String),
    Unsigned(u64),
    Signed(i64),
    /// Finite.
    Real(f64),
    Flag(bool),
    /// A value with its interval, for human-only columns (JSON has a column for each of the three).
    Interval {
        value: f64,
        low: f64,
        high: f64,
    },
    /// The points of a trend, oldest first.
    Series(Vec<f64>),
    /// An object in JSON. Tables show a column made from it instead.
    Object(Vec<(&'static str, Value)>),
    /// A list in JSON.
    List(Vec<Value>),
}

impl Value {
    /// Text, or missing.
    pub fn text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Missing, |text| Self::Text(text.into()))
    }

    /// A number of bytes or things, or missing.
    pub fn unsigned(number: Option<u64>) -> Self {
        number.map_or(Self::Missing, Self::Unsigned)
    }

    /// A change, or missing.
    pub fn signed(number: Option<i64>) -> Self {
        number.map_or(Self::Missing, Self::Signed)
    }

    /// A real number; missing if there is none or it is not finite.
    pub fn real(number: Option<f64>) -> Self {
        number.filter(|number| number.is_finite()).map_or(Self::Missing, Self::Real)
    }

    /// The number in it, for sorting and adding.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(*number as f64),
            Self::Signed(number) => Some(*number as f64),
            Self::Real(number) | Self::Interval { value: number, .. } => Some(*number),
            Self::Flag(flag) => Some(f64::from(u8::from(*flag))),
            Self::Missing | Self::Text(_) | Self::Series(_) | Self::Object(_) | Self::List(_) => None,
        }
    }

    /// The sum of two values, exact for whole numbers; missing as soon as one of them is, because a part is no sum.
    pub fn plus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Unsigned(left), Self::Unsigned(right)) => Self::unsigned(left.checked_add(*right)),
            (Self::Signed(left), Self::Signed(right)) => Self::signed(left.checked_add(*right)),
            (
                Self::Interval { value, low, high },
                Self::Interval { value: more, low: more_low, high: more_high },
            ) => Self::Interval { value: value + more, low: low + more_low, high: high + more_high },
            (Self::Series(left), Self::Series(right)) => {
                // Both end now. What only the longer one knows has no sum.
                let length = left.len().min(right.len());
                let tails = left[left.len() - length..].iter().zip(&right[right.len() - length..]);
                Self::Series(tails.map(|(left, right)| left + right).collect())
            }
            (Self::Object(left), Self::Object(right)) if left.len() == right.len() => Self::Object(
                left.iter()
                    .zip(right)
                    .map(|((name, left), (other, right))| {
                        (*name, if name == other { left.plus(right) } else { Self::Missing })
                    })
                    .collect(),
            ),
            (Self::List(left), Self::List(right)) => Self::List(left.iter().chain(right).cloned().collect()),
            _ => Self::real(self.number().zip(other.number()).map(|(left, right)| left + right)),
        }
    }
}
