//! ClickHouse, <https://clickhouse.com/docs/sql-reference>.
//!
//! What is printed relies on settings that come with each query: see `SETTINGS`.

use super::{Dialect, LatestRows};
use crate::error::Result;
use crate::functions::{self, Function};
use crate::literal::check_text;
use crate::types::{ColumnType, ScalarType};

/// ClickHouse from 26.7 on: long before, a part of a statement could not be computed once
/// (`enable_materialized_cte`), and every use of it would compute it, and what it uses, again.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClickHouse;

/// How many of [`SETTINGS`] are about reading; they come first.
const READING: usize = 6;

/// What statements rely on: settings that have to come with each of them.
pub const SETTINGS: &[(&str, &str)] = &[
    // The absent side of a join is NULL, and not the default of its type.
    ("join_use_nulls", "1"),
    // A part is computed once.
    ("enable_materialized_cte", "1"),
    // All reads of a table in one statement see the same rows: addresses of rows mean the same.
    ("enable_shared_storage_snapshot_in_query", "1"),
    // `"r"."id0"` is a column, also where a SELECT gives something else that name.
    ("prefer_column_name_to_alias", "1"),
    // NULL is not among the rows of a query, as everywhere.
    ("transform_null_in", "0"),
    // A cast of a text to a float gives the nearest one.
    ("precise_float_parsing", "1"),
    // A NULL for a column that cannot hold one is an error, and not a default.
    ("insert_null_as_default", "0"),
    // Rows are there when an INSERT is done, and gone when a removal is, on every replica.
    ("async_insert", "0"),
    ("mutations_sync", "2"),
    ("alter_sync", "2"),
    // An INSERT makes one block, whose rows appear at once: there are no transactions.
    ("max_insert_threads", "1"),
    ("max_insert_block_size", "4294967296"),
    ("min_insert_block_size_rows", "4294967296"),
    ("min_insert_block_size_bytes", "0"),
];

impl Dialect for ClickHouse {
    fn name(&self) -> &'static str {
        "ClickHouse"
    }

    fn function(&self, function: Function) -> &'static str {
        functions::clickhouse(function)
    }

    fn column_type(&self, ty: ColumnType) -> String {
        match ty {
            ColumnType::Scalar(scalar) => scalar.clickhouse().to_owned(),
            // Items may be NULL where a list is made of the members of a group.
            // <https://clickhouse.com/docs/sql-reference/data-types/array>
            ColumnType::List(item) => format!("Array(Nullable({}))", item.clickhouse()),
            // <https://clickhouse.com/docs/sql-reference/data-types/map>
            ColumnType::TextMap => "Map(String, String)".to_owned(),
        }
    }

    // Maps and lists cannot be NULL; absent ones are empty.
    // <https://clickhouse.com/docs/sql-reference/data-types/nullable>
    fn declared_type(&self, ty: ColumnType, nullable: bool) -> String {
        match ty {
            ColumnType::Scalar(scalar) if nullable => format!("Nullable({})", scalar.clickhouse()),
            _ => self.column_type(ty),
        }
    }

    fn cast_type(&self, ty: ColumnType) -> String {
        self.declared_type(ty, true)
    }

    fn code_type(&self) -> &'static str {
        "Nullable(Int8)"
    }

    fn parse_type(&self, name: &str) -> Option<ColumnType> {
        let inner = |name: &str, of: &str| {
            let rest = name.strip_prefix(of)?.strip_prefix('(')?.strip_suffix(')')?;
            Some(rest.to_owned())
        };
        // How texts are packed is nobody's business.
        let bare = |name: &str| {
            let name = inner(name, "LowCardinality").unwrap_or_else(|| name.to_owned());
            inner(&name, "Nullable").unwrap_or(name)
        };
        let name = bare(name);
        if let Some(item) = inner(&name, "Array") {
            return ScalarType::named(ScalarType::clickhouse, &bare(&item)).map(ColumnType::List);
        }
        if let Some(entries) = inner(&name, "Map") {
            let (key, value) = entries.split_once(", ")?;
            return (bare(key) == "String" && bare(value) == "String")
                .then_some(ColumnType::TextMap);
        }
        ScalarType::named(ScalarType::clickhouse, &name).map(ColumnType::Scalar)
    }

    // What resolving does most is to reduce a table to the latest row of each record and to join on
    // ids: in the order of ids the rows of a record are neighbours, equal ids cost nothing to store,
    // and the few records of an increment are found without a scan. Time is no part of it: rows are
    // few for each record. There are no partitions: a write is then one part of the table, which
    // appears as a whole.
    //
    // The number of the block that a row came with, and its place there, are kept: they are its
    // address, which stays what it is when parts are merged.
    // <https://clickhouse.com/docs/operations/settings/merge-tree-settings#enable_block_number_column>
    fn table_layout(&self, key: &[String], _temporary: bool) -> String {
        format!(
            "\nENGINE = MergeTree\nORDER BY ({})\n\
             SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1",
            key.join(", ")
        )
    }

    fn address_type(&self) -> &'static str {
        "Nullable(Int64)"
    }

    fn row_address(&self) -> &'static [&'static str] {
        &["_block_number", "_block_offset"]
    }

    // The first of them are about reading.
    fn query_settings(&self) -> &'static [(&'static str, &'static str)] {
        &SETTINGS[..READING]
    }

    // In the order of ids, which is that of the table, the rows of a record are read one after the
    // other: of 1.1 million rows it took a quarter of the time that a GROUP BY took.
    // <https://clickhouse.com/docs/sql-reference/statements/select/limit-by>
    fn latest_rows(&self) -> LatestRows {
        LatestRows::LimitBy { order: "{0} DESC NULLS LAST, {1} DESC, coalesce({2}, 0) DESC" }
    }

    // Both in one number, which is NULL on the absent side of a join. A block is an insert.
    fn row_address_in(&self, relation: &str) -> Option<String> {
        Some(format!("toInt64({relation}_block_number * 4294967296 + {relation}_block_offset)"))
    }

    fn join_texts(&self, value: &str, order_by: &[String]) -> String {
        format!(
            "if(count({value}) = 0, NULL, arrayStringConcat(arrayMap(x -> x.2, arraySort(x -> x.1, \
             groupArrayIf((tuple({}), assumeNotNull({value})), {value} IS NOT NULL))), '|'))",
            order_by.join(", ")
        )
    }

    fn list_of(&self, value: &str, order_by: &[String]) -> String {
        format!(
            "arrayMap(x -> x.2, arraySort(x -> x.1, groupArray((tuple({}), {value}))))",
            order_by.join(", ")
        )
    }

    // Without MATERIALIZED each use computes it anew, and what it uses.
    // <https://clickhouse.com/docs/sql-reference/statements/select/with>
    fn named_part(&self, uses: usize) -> &'static str {
        if uses > 1 { "AS MATERIALIZED" } else { "AS" }
    }

    // <https://clickhouse.com/docs/sql-reference/data-types/special-data-types/nothing>
    fn keeps_untyped_columns(&self) -> bool {
        false
    }

    fn takes_aliases_for_tables(&self) -> bool {
        true
    }

    // A column that two sides of a join have is called by both its names otherwise.
    fn names_every_column(&self) -> bool {
        true
    }

    fn union_keeps_order(&self) -> bool {
        false
    }

    fn place_of_row(&self) -> &'static str {
        "rowNumberInAllBlocks()"
    }

    // <https://clickhouse.com/docs/sql-reference/data-types/float#nan-and-inf>
    fn nan_is_largest(&self) -> bool {
        false
    }

    fn deletes_with_queries(&self) -> bool {
        false
    }

    // Removes them from the parts on the disk; a DELETE would only hide them until a merge.
    // <https://clickhouse.com/docs/sql-reference/statements/alter/delete>
    fn delete(&self, table: &str, _alias: &str, condition: &str) -> String {
        format!("ALTER TABLE {table} DELETE WHERE {condition}")
    }

    // A backslash escapes in both.
    // <https://clickhouse.com/docs/sql-reference/syntax#string>
    fn quote_ident(&self, ident: &crate::ident::Ident) -> Result<String> {
        let name = ident.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        Ok(format!("\"{name}\""))
    }

    fn quote_text(&self, text: &str) -> Result<String> {
        check_text(text)?;
        Ok(format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")))
    }

    // `Date32` ends where `DateTime64` goes on: a day that no column can hold is compared as its
    // midnight.
    // <https://clickhouse.com/docs/sql-reference/data-types/date32>
    fn date(&self, days: i32) -> String {
        let (year, month, day) = super::civil(days.into());
        if (1900..2300).contains(&year) {
            format!("toDate32('{year:04}-{month:02}-{day:02}')")
        } else {
            self.timestamp(i64::from(days) * 86_400_000_000)
        }
    }

    // <https://clickhouse.com/docs/sql-reference/functions/type-conversion-functions#fromunixtimestamp64micro>
    fn timestamp(&self, micros: i64) -> String {
        format!("fromUnixTimestamp64Micro({micros}, 'UTC')")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ScalarType;

    #[test]
    fn types_are_read_as_they_are_written() {
        let of = |name| ClickHouse.parse_type(name);
        for (name, ty) in [
            ("Nullable(DateTime64(6, 'UTC'))", ColumnType::Scalar(ScalarType::Timestamp)),
            ("LowCardinality(Nullable(String))", ColumnType::Scalar(ScalarType::Text)),
            ("Array(Nullable(Int8))", ColumnType::List(ScalarType::Int8)),
            ("Array(Float32)", ColumnType::List(ScalarType::Float32)),
            ("Map(String, String)", ColumnType::TextMap),
            ("Map(LowCardinality(String), Nullable(String))", ColumnType::TextMap),
        ] {
            assert_eq!(of(name), Some(ty), "{name}");
        }
        for name in ["Map(String, UInt8)", "Tuple(String)", "Array(Array(String))", "Int128"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn what_no_column_holds_is_still_compared() {
        assert_eq!(ClickHouse.date(0), "toDate32('1970-01-01')");
        assert_eq!(ClickHouse.date(-25_567), "toDate32('1900-01-01')");
        assert_eq!(ClickHouse.date(-25_568), "fromUnixTimestamp64Micro(-2209075200000000, 'UTC')");
    }
}
