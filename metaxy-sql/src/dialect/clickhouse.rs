//! ClickHouse, <https://clickhouse.com/docs/sql-reference>.
//!
//! What is printed relies on settings that come with each query: see `SETTINGS`.

mod cluster;

pub use cluster::{Cluster, Replication};

use super::{Change, Dialect, Effect, LatestRows, effects};
use crate::error::Result;
use crate::functions::{self, Function};
use crate::ident::Ident;
use crate::literal::check_text;
use crate::plan::HashAlgorithm;
use crate::types::{ColumnType, ScalarType};

/// ClickHouse from 26.7 on: long before, a part of a statement could not be computed once
/// (`enable_materialized_cte`), and every use of it would compute it, and what it uses, again.
#[derive(Clone, Debug, Default)]
pub struct ClickHouse {
    /// Where tables are, if not on one machine.
    pub cluster: Option<Cluster>,
}

impl ClickHouse {
    /// Tables on one machine.
    pub const ON_ONE_MACHINE: Self = Self { cluster: None };

    /// The settings that come with each query: [`SETTINGS`], and those of a cluster.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, &'static str)> {
        let of_cluster = self.cluster.iter().flat_map(Cluster::settings);
        SETTINGS.iter().copied().chain(of_cluster).collect()
    }

    /// What is spelled otherwise about copies of tables that a session has.
    #[must_use]
    pub fn of_copies(&self) -> Self {
        let cluster = self.cluster.clone();
        Self { cluster: cluster.map(|cluster| Cluster { of_copies: true, ..cluster }) }
    }

    fn is_sharded(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.sharded)
    }
}

/// A name between quotes; a backslash escapes there.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

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
    // A removal names the addresses of its rows.
    ("max_query_size", "1073741824"),
];

impl Dialect for ClickHouse {
    fn name(&self) -> &'static str {
        "ClickHouse"
    }

    fn function(&self, function: Function) -> &'static str {
        functions::clickhouse(function)
    }

    fn default_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::XxHash64
    }

    // <https://clickhouse.com/docs/sql-reference/functions/hash-functions>
    fn has_algorithm(&self, _algorithm: HashAlgorithm) -> bool {
        true
    }

    // <https://clickhouse.com/docs/sql-reference/statements/alter/column>
    fn effects(&self, change: Change) -> &'static [Effect] {
        match change {
            Change::DropColumn => &[Effect::Rewrites("files of a column go away")],
            other => effects::without_locks(other),
        }
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

    // Without a time zone it is shown in that of the server; what is kept is a count since 1970 in UTC.
    // <https://clickhouse.com/docs/sql-reference/data-types/datetime64>
    fn local_timestamp(&self, nullable: bool) -> String {
        if nullable { "Nullable(DateTime64(6))".to_owned() } else { "DateTime64(6)".to_owned() }
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
    fn table_layout(&self, key: &[String], temporary: bool) -> String {
        let engine = self.cluster.as_ref().filter(|_| !temporary).map(Cluster::engine);
        format!(
            "\nENGINE = {}\nORDER BY ({})\n\
             SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1",
            engine.as_deref().unwrap_or("MergeTree"),
            key.join(", ")
        )
    }

    fn on_machines(&self) -> String {
        self.cluster.as_ref().map(Cluster::on_machines).unwrap_or_default()
    }

    fn kept_in(&self, table: &Ident) -> Option<Ident> {
        self.cluster.as_ref()?.kept_in(table)
    }

    fn leading_layout(&self, kept_in: &str, together: &[String]) -> String {
        let of = |cluster: &Cluster| cluster.leading_layout(kept_in, together);
        self.cluster.as_ref().map(of).unwrap_or_default()
    }

    fn brought_here(&self, table: &str) -> Option<String> {
        self.is_sharded().then(|| format!("(SELECT *, \"{}\" FROM {table})", cluster::ADDRESS))
    }

    // Each shard appends by itself.
    fn appends_whole(&self) -> bool {
        !self.is_sharded()
    }

    // `*` does not give a materialized column, and nobody can write to it.
    // <https://clickhouse.com/docs/sql-reference/statements/create/table#materialized>
    fn address_column(&self) -> Option<String> {
        let address = || format!("\"{}\" UUID MATERIALIZED generateUUIDv4()", cluster::ADDRESS);
        self.is_sharded().then(address)
    }

    fn address_type(&self) -> &'static str {
        if self.is_sharded() { "Nullable(UUID)" } else { "Nullable(Int64)" }
    }

    fn row_address(&self) -> &'static [&'static str] {
        if self.is_sharded() { &[cluster::ADDRESS] } else { &["_block_number", "_block_offset"] }
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
        if self.is_sharded() {
            return Some(format!("{relation}\"{}\"", cluster::ADDRESS));
        }
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
    fn named_part(&self, uses: usize, _few: bool) -> &'static str {
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

    fn changes_tables_in_transactions(&self) -> bool {
        false
    }

    // Whether a column may hold NULL is part of its type.
    // <https://clickhouse.com/docs/sql-reference/statements/alter/column#modify-column>
    fn change_type(&self, table: &str, column: &str, ty: ColumnType, nullable: bool) -> String {
        format!("ALTER TABLE {table} MODIFY COLUMN {column} {}", self.declared_type(ty, nullable))
    }

    fn change_null(&self, table: &str, column: &str, ty: ColumnType, nullable: bool) -> String {
        self.change_type(table, column, ty, nullable)
    }

    // Rows lie in the order of their keys.
    // <https://clickhouse.com/docs/sql-reference/statements/alter/column#limitations>
    fn changes_types_of_keys(&self) -> bool {
        false
    }

    // <https://clickhouse.com/docs/sql-reference/functions/type-conversion-functions#common-issues-with-data-conversion>
    fn checks_narrowing(&self) -> bool {
        false
    }

    // <https://clickhouse.com/docs/sql-reference/functions/other-functions#throwif>
    fn refuse(&self, message: &str) -> String {
        format!("SELECT throwIf(1, {message})")
    }

    fn deletes_with_queries(&self) -> bool {
        false
    }

    // A keeper takes a megabyte at once; a machine by itself has to parse it.
    fn max_addresses(&self) -> usize {
        if self.cluster.is_some() { 10_000 } else { 500_000 }
    }

    // Removes them from the parts on the disk; a DELETE would only hide them until a merge.
    // <https://clickhouse.com/docs/sql-reference/statements/alter/delete>
    fn delete(&self, table: &str, _alias: &str, condition: &str) -> String {
        format!("ALTER TABLE {table} DELETE WHERE {condition}")
    }

    // A backslash escapes in both.
    // <https://clickhouse.com/docs/sql-reference/syntax#string>
    fn quote_ident(&self, ident: &Ident) -> Result<String> {
        Ok(quoted(ident.as_str()))
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
        let of = |name| ClickHouse::ON_ONE_MACHINE.parse_type(name);
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
        assert_eq!(ClickHouse::ON_ONE_MACHINE.date(0), "toDate32('1970-01-01')");
        assert_eq!(ClickHouse::ON_ONE_MACHINE.date(-25_567), "toDate32('1900-01-01')");
        assert_eq!(
            ClickHouse::ON_ONE_MACHINE.date(-25_568),
            "fromUnixTimestamp64Micro(-2209075200000000, 'UTC')"
        );
    }
}
