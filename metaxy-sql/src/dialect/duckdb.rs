//! DuckDB, <https://duckdb.org/docs/stable/sql/introduction>.

use super::Dialect;
use crate::functions::{self, Function};
use crate::plan::HashAlgorithm;
use crate::types::{ColumnType, ScalarType};

/// DuckDB with the hash functions that its store registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct DuckDb;

impl Dialect for DuckDb {
    fn name(&self) -> &'static str {
        "DuckDB"
    }

    fn function(&self, function: Function) -> &'static str {
        functions::duckdb(function)
    }

    fn default_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::XxHash64
    }

    fn column_type(&self, ty: ColumnType) -> String {
        match ty {
            ColumnType::Scalar(scalar) => scalar.duckdb().to_owned(),
            // <https://duckdb.org/docs/stable/sql/data_types/list>
            ColumnType::List(item) => format!("{}[]", item.duckdb()),
            // <https://duckdb.org/docs/stable/sql/data_types/map>
            ColumnType::TextMap => "MAP(VARCHAR, VARCHAR)".to_owned(),
        }
    }

    fn parse_type(&self, name: &str) -> Option<ColumnType> {
        let scalar = |name: &str| ScalarType::named(ScalarType::duckdb, name);
        match name.strip_suffix("[]") {
            Some(item) => scalar(item).map(ColumnType::List),
            None if name == "MAP(VARCHAR, VARCHAR)" => Some(ColumnType::TextMap),
            None => scalar(name).map(ColumnType::Scalar),
        }
    }

    fn code_type(&self) -> &'static str {
        "TINYINT"
    }

    // <https://duckdb.org/docs/stable/sql/statements/select#row-ids>
    fn row_address(&self) -> &'static [&'static str] {
        &["rowid"]
    }

    fn classifies_first(&self) -> bool {
        true
    }

    // A table is scanned by one thread for each of its row groups, and what reads on from a scan by no more. What is
    // kept is read by all, and two parts are made side by side.
    // <https://duckdb.org/docs/stable/sql/query_syntax/with#cte-materialization>
    fn named_part(&self, _uses: usize, few: bool) -> &'static str {
        if few { "AS MATERIALIZED" } else { "AS" }
    }

    // They are given out when a transaction commits, one transaction after the other, and are given out anew
    // only where rows have been removed: <https://duckdb.org/docs/stable/sql/statements/select#row-ids>
    fn addresses_grow(&self) -> bool {
        true
    }

    // <https://duckdb.org/docs/stable/sql/functions/utility#errormessage>
    fn refuse(&self, message: &str) -> String {
        format!("SELECT error({message})")
    }

    // No time zone data is needed: `make_timestamptz` of one argument takes microseconds.
    // <https://duckdb.org/docs/stable/sql/functions/timestamptz>
    fn timestamp(&self, micros: i64) -> String {
        format!("make_timestamptz({micros})")
    }
}
