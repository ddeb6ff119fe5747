//! Types of Postgres by their numbers, and the Arrow type that values of each travel in.
//!
//! The numbers are fixed: <https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat>.

use arrow::datatypes::{DataType, Field, TimeUnit};
use metaxy_sql::types::text_map;
use std::sync::Arc;

/// What the bytes of a value mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// A whole number of up to 20 digits that is not negative: `u64` is kept like this.
    Numeric,
    /// Texts, and JSON that is kept as it was written.
    Text,
    Bytes,
    Date,
    /// With a time zone or without: what has none is taken for UTC.
    Timestamp,
    Uuid,
    /// JSON that is kept as a tree: a map from text to text.
    Map,
    /// The address of a row.
    Address,
}

impl Kind {
    /// The Arrow type that values leave in, and are made of before they go in.
    pub(super) fn to_arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 | Self::Address => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Numeric => DataType::UInt64,
            Self::Text | Self::Uuid => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Map => text_map(),
        }
    }
}

/// A type: of one value, or of a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PgType {
    /// What one value is.
    pub(super) kind: Kind,
    /// The number of the type of the items, if it is a list.
    pub(super) item: Option<u32>,
}

impl PgType {
    /// The type with a number; `None` for one that no column of ours has.
    pub(super) fn of(oid: u32) -> Option<Self> {
        let scalar = |kind| Some(Self { kind, item: None });
        let list = |item| Some(Self { kind: Self::of(item)?.kind, item: Some(item) });
        match oid {
            16 => scalar(Kind::Bool),
            17 => scalar(Kind::Bytes),
            20 => scalar(Kind::Int64),
            21 => scalar(Kind::Int16),
            23 => scalar(Kind::Int32),
            // name, text, json, a literal, character, varchar
            19 | 25 | 114 | 705 | 1042 | 1043 => scalar(Kind::Text),
            27 => scalar(Kind::Address),
            700 => scalar(Kind::Float32),
            701 => scalar(Kind::Float64),
            1082 => scalar(Kind::Date),
            1114 | 1184 => scalar(Kind::Timestamp),
            1700 => scalar(Kind::Numeric),
            2950 => scalar(Kind::Uuid),
            3802 => scalar(Kind::Map),
            199 => list(114),
            1000 => list(16),
            1001 => list(17),
            1003 => list(19),
            1005 => list(21),
            1007 => list(23),
            1009 => list(25),
            1014 => list(1042),
            1015 => list(1043),
            1016 => list(20),
            1021 => list(700),
            1022 => list(701),
            1115 => list(1114),
            1182 => list(1082),
            1185 => list(1184),
            1231 => list(1700),
            2951 => list(2950),
            3807 => list(3802),
            _ => None,
        }
    }

    /// The Arrow type that values leave in, and are made of before they go in.
    pub(super) fn to_arrow(self) -> DataType {
        let value = self.kind.to_arrow();
        match self.item {
            None => value,
            Some(_) => DataType::List(Arc::new(Field::new_list_field(value, true))),
        }
    }
}
