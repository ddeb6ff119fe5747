//! [`IdColumn`]: which columns can identify a record, and their values as map keys.

use super::Column;
use std::fmt;

/// A Rust type whose values can identify a record: integers, `String`, and, behind their cargo
/// features, `uuid::Uuid` and `chrono::NaiveDate`; `#[derive(Column)]` adds newtypes of these.
///
/// Floats are left out because equal values need not be equal, `Option` because NULL identifies
/// nothing, and lists because engines disagree about joining on them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an id column",
    label = "expected an integer, `String`, a UUID, a date, or a newtype of one of these",
    note = "an id is compared and joined on in every store; floats, `Option` and lists are not safe for that"
)]
pub trait IdColumn: Column {
    /// The value, as something to compare and to show.
    fn to_id(&self) -> IdValue;
}

/// The value of one id column of one record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum IdValue {
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// Text.
    Text(String),
    /// A UUID, its most significant byte first.
    Uuid([u8; 16]),
    /// A day, counted from 1970-01-01.
    Date(i32),
}

impl fmt::Display for IdValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::UInt(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::Uuid(bytes) => {
                for (i, byte) in bytes.iter().enumerate() {
                    if matches!(i, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
            Self::Date(days) => match arrow::datatypes::Date32Type::to_naive_date_opt(*days) {
                Some(date) => date.fmt(f),
                None => write!(f, "day {days} after 1970-01-01"),
            },
        }
    }
}

macro_rules! integers {
    ($($variant:ident: $($ty:ty)*;)*) => {$($(
        #[diagnostic::do_not_recommend]
        impl IdColumn for $ty {
            fn to_id(&self) -> IdValue {
                IdValue::$variant((*self).into())
            }
        }
    )*)*};
}

integers! {
    Int: i8 i16 i32 i64;
    UInt: u8 u16 u32 u64;
}

#[diagnostic::do_not_recommend]
impl IdColumn for String {
    fn to_id(&self) -> IdValue {
        IdValue::Text(self.clone())
    }
}

#[cfg(feature = "uuid")]
#[diagnostic::do_not_recommend]
impl IdColumn for uuid::Uuid {
    fn to_id(&self) -> IdValue {
        IdValue::Uuid(*self.as_bytes())
    }
}

#[cfg(feature = "chrono")]
#[diagnostic::do_not_recommend]
impl IdColumn for chrono::NaiveDate {
    fn to_id(&self) -> IdValue {
        IdValue::Date(arrow::datatypes::Date32Type::from_naive_date(*self))
    }
}
