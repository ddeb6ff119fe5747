//! Column types: the one table that maps each to Arrow and to every database.

use arrow_schema::{DataType, Field, TimeUnit};
use std::fmt;
use std::sync::Arc;

/// The type of a single value, as it can be stored in a column or in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScalarType {
    /// `true` or `false`.
    Bool,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Unsigned, 8 bits.
    UInt8,
    /// Unsigned, 16 bits.
    UInt16,
    /// Unsigned, 32 bits.
    UInt32,
    /// Unsigned, 64 bits.
    UInt64,
    /// IEEE 754, 32 bits.
    Float32,
    /// IEEE 754, 64 bits.
    Float64,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Bytes,
    /// A day of the proleptic Gregorian calendar.
    Date,
    /// A point in time, UTC, in microseconds.
    Timestamp,
    /// 128 bits, kept as such where the database can.
    Uuid,
    /// A JSON document, kept as text.
    Json,
}

/// The type of a column.
///
/// Whether a column may hold NULL is not part of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// One value.
    Scalar(ScalarType),
    /// A list of values, none of them NULL.
    List(ScalarType),
    /// A map from text to text, no key twice.
    TextMap,
}

/// One row of the type table.
struct TypeRow {
    scalar: ScalarType,
    /// The name in messages: Arrow's.
    name: &'static str,
    duckdb: &'static str,
    postgres: &'static str,
    clickhouse: &'static str,
}

/// The type table. The Arrow side is [`ScalarType::to_arrow`], since a [`DataType`] is no constant.
///
/// Postgres has no unsigned integers: each takes the next larger signed type, `u64` takes
/// `numeric(20,0)`.
const TYPES: &[TypeRow] = {
    use ScalarType as S;
    const fn row(
        scalar: ScalarType,
        name: &'static str,
        duckdb: &'static str,
        postgres: &'static str,
        clickhouse: &'static str,
    ) -> TypeRow {
        TypeRow { scalar, name, duckdb, postgres, clickhouse }
    }
    &[
        row(S::Bool, "Boolean", "BOOLEAN", "boolean", "Bool"),
        row(S::Int8, "Int8", "TINYINT", "smallint", "Int8"),
        row(S::Int16, "Int16", "SMALLINT", "smallint", "Int16"),
        row(S::Int32, "Int32", "INTEGER", "integer", "Int32"),
        row(S::Int64, "Int64", "BIGINT", "bigint", "Int64"),
        row(S::UInt8, "UInt8", "UTINYINT", "smallint", "UInt8"),
        row(S::UInt16, "UInt16", "USMALLINT", "integer", "UInt16"),
        row(S::UInt32, "UInt32", "UINTEGER", "bigint", "UInt32"),
        row(S::UInt64, "UInt64", "UBIGINT", "numeric(20,0)", "UInt64"),
        row(S::Float32, "Float32", "FLOAT", "real", "Float32"),
        row(S::Float64, "Float64", "DOUBLE", "double precision", "Float64"),
        row(S::Text, "Utf8", "VARCHAR", "text", "String"),
        row(S::Bytes, "Binary", "BLOB", "bytea", "String"),
        row(S::Date, "Date32", "DATE", "date", "Date32"),
        row(
            S::Timestamp,
            "Timestamp",
            "TIMESTAMP WITH TIME ZONE",
            "timestamp with time zone",
            "DateTime64(6, 'UTC')",
        ),
        row(S::Uuid, "Uuid", "UUID", "uuid", "UUID"),
        row(S::Json, "Json", "VARCHAR", "json", "String"),
    ]
};

impl ScalarType {
    const fn row(self) -> &'static TypeRow {
        let mut i = 0;
        while i < TYPES.len() {
            if TYPES[i].scalar as u8 == self as u8 {
                return &TYPES[i];
            }
            i += 1;
        }
        panic!("a scalar type is missing from the type table")
    }

    /// The name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The name in DuckDB's `CREATE TABLE`.
    #[must_use]
    pub const fn duckdb(self) -> &'static str {
        self.row().duckdb
    }

    /// The type that has a name in one of the columns of the table; of several, the first.
    pub(crate) fn named(of: fn(Self) -> &'static str, name: &str) -> Option<Self> {
        TYPES.iter().map(|row| row.scalar).find(|scalar| of(*scalar) == name)
    }

    /// The name in Postgres' `CREATE TABLE`.
    #[must_use]
    pub const fn postgres(self) -> &'static str {
        self.row().postgres
    }

    /// The name in ClickHouse's `CREATE TABLE`.
    #[must_use]
    pub const fn clickhouse(self) -> &'static str {
        self.row().clickhouse
    }

    /// The Arrow type in which values cross into and out of a store.
    ///
    /// A UUID travels as text: Arrow has no type of its own for it, and every engine casts.
    #[must_use]
    pub fn to_arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Text | Self::Uuid | Self::Json => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

impl From<ScalarType> for ColumnType {
    fn from(scalar: ScalarType) -> Self {
        Self::Scalar(scalar)
    }
}

impl ColumnType {
    /// The Arrow type in which values cross into and out of a store.
    #[must_use]
    pub fn to_arrow(self) -> DataType {
        match self {
            Self::Scalar(scalar) => scalar.to_arrow(),
            Self::List(item) => {
                DataType::List(Arc::new(Field::new_list_field(item.to_arrow(), true)))
            }
            Self::TextMap => text_map(),
        }
    }

    /// The column type whose values an Arrow array of this type holds, if there is one.
    #[must_use]
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        fn scalar(data_type: &DataType) -> Option<ScalarType> {
            Some(match data_type {
                DataType::Boolean => ScalarType::Bool,
                DataType::Int8 => ScalarType::Int8,
                DataType::Int16 => ScalarType::Int16,
                DataType::Int32 => ScalarType::Int32,
                DataType::Int64 => ScalarType::Int64,
                DataType::UInt8 => ScalarType::UInt8,
                DataType::UInt16 => ScalarType::UInt16,
                DataType::UInt32 => ScalarType::UInt32,
                DataType::UInt64 => ScalarType::UInt64,
                DataType::Float32 => ScalarType::Float32,
                DataType::Float64 => ScalarType::Float64,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ScalarType::Text,
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                    ScalarType::Bytes
                }
                DataType::Date32 => ScalarType::Date,
                DataType::Timestamp(_, _) => ScalarType::Timestamp,
                _ => return None,
            })
        }
        match data_type {
            DataType::List(item) | DataType::LargeList(item) => {
                scalar(item.data_type()).map(Self::List)
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields)
                    if fields.len() == 2
                        && fields
                            .iter()
                            .all(|f| scalar(f.data_type()) == Some(ScalarType::Text)) =>
                {
                    Some(Self::TextMap)
                }
                _ => None,
            },
            other => scalar(other).map(Self::Scalar),
        }
    }
}

/// The Arrow type of a map from text to text: the by-field columns have it.
#[must_use]
pub fn text_map() -> DataType {
    let entries = DataType::Struct(
        vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]
            .into(),
    );
    DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
}

/// What a type can become without a change of any value that it holds. A pair that is not here is a
/// narrowing, or another value.
///
/// Integers go into larger ones of their kind, without a sign into larger ones with one, and into
/// floats that hold all of them; texts take what is kept as a text anyhow.
const WIDENS: &[(ScalarType, &[ScalarType])] = {
    use ScalarType as S;
    &[
        (S::Int8, &[S::Int16, S::Int32, S::Int64, S::Float32, S::Float64]),
        (S::Int16, &[S::Int32, S::Int64, S::Float32, S::Float64]),
        (S::Int32, &[S::Int64, S::Float64]),
        (
            S::UInt8,
            &[
                S::UInt16,
                S::UInt32,
                S::UInt64,
                S::Int16,
                S::Int32,
                S::Int64,
                S::Float32,
                S::Float64,
            ],
        ),
        (S::UInt16, &[S::UInt32, S::UInt64, S::Int32, S::Int64, S::Float32, S::Float64]),
        (S::UInt32, &[S::UInt64, S::Int64, S::Float64]),
        (S::Float32, &[S::Float64]),
        (S::Uuid, &[S::Text]),
        (S::Json, &[S::Text]),
    ]
};

impl ScalarType {
    /// Whether every value of this type is one of the other type as well, by a cast of every engine.
    #[must_use]
    pub fn widens_to(self, other: Self) -> bool {
        WIDENS.iter().any(|(from, to)| *from == self && to.contains(&other))
    }
}

impl ColumnType {
    /// Whether every value of this type is one of the other type as well, by a cast of every engine.
    #[must_use]
    pub fn widens_to(self, other: Self) -> bool {
        match (self, other) {
            (Self::Scalar(from), Self::Scalar(to)) => from.widens_to(to),
            (Self::List(from), Self::List(to)) => from.widens_to(to),
            _ => false,
        }
    }

    /// The type that is [displayed](fmt::Display) like this, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let scalar = |name: &str| TYPES.iter().find(|row| row.name == name).map(|row| row.scalar);
        if let Some(item) = text.strip_prefix("List<").and_then(|rest| rest.strip_suffix('>')) {
            return scalar(item).map(Self::List);
        }
        match text {
            "Map<Utf8, Utf8>" => Some(Self::TextMap),
            name => scalar(name).map(Self::Scalar),
        }
    }
}

impl fmt::Display for ScalarType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => scalar.fmt(f),
            Self::List(item) => write!(f, "List<{item}>"),
            Self::TextMap => f.write_str("Map<Utf8, Utf8>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arrow_type_maps_back() {
        for row in TYPES {
            let scalar = ColumnType::Scalar(row.scalar);
            let back = ColumnType::from_arrow(&scalar.to_arrow()).expect("a column type");
            assert_eq!(back.to_arrow(), scalar.to_arrow(), "{}", row.name);
            let list = ColumnType::List(row.scalar);
            assert_eq!(
                ColumnType::from_arrow(&list.to_arrow()).map(ColumnType::to_arrow),
                Some(list.to_arrow())
            );
        }
        assert_eq!(ColumnType::from_arrow(&text_map()), Some(ColumnType::TextMap));
    }

    #[test]
    fn every_type_is_read_as_it_is_displayed() {
        let all = TYPES.iter().map(|row| row.scalar);
        let all = all.flat_map(|scalar| [ColumnType::Scalar(scalar), ColumnType::List(scalar)]);
        for ty in all.chain([ColumnType::TextMap]) {
            assert_eq!(ColumnType::parse(&ty.to_string()), Some(ty));
        }
        assert_eq!(ColumnType::parse("List<List<Int8>>"), None);
        assert_eq!(ColumnType::parse("int"), None);
    }

    /// What can be made wider and back again would be the same type.
    #[test]
    fn nothing_widens_both_ways() {
        for (from, all) in WIDENS {
            for to in *all {
                assert!(!to.widens_to(*from), "{from} {to}");
                assert!(to.to_arrow() != from.to_arrow() || *to == ScalarType::Text);
            }
        }
    }
}
