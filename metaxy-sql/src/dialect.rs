//! What a database is asked when SQL is printed for it.
//!
//! A dialect answers questions; nobody asks which dialect it is. Defaults are the answers of
//! standard SQL, a file below `dialect/` holds what differs, with the manual's address.

mod clickhouse;
mod duckdb;
mod effects;
mod postgres;

pub use clickhouse::{ClickHouse, Cluster, Replication, SETTINGS as CLICKHOUSE_SETTINGS};
pub use duckdb::DuckDb;
pub use effects::{Change, Effect};
pub use postgres::Postgres;

use crate::error::{Error, Reason, Result};
use crate::functions::Function;
use crate::ident::Ident;
use crate::literal::check_text;
use crate::plan::HashAlgorithm;
use crate::types::ColumnType;
use std::fmt;

/// The questions.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// The name in messages.
    fn name(&self) -> &'static str;

    /// The template of a function's spelling (see [`crate::functions`]); empty if there is none.
    fn function(&self, function: Function) -> &'static str;

    /// How a new store hashes.
    fn default_algorithm(&self) -> HashAlgorithm;

    /// Whether the database hashes so by itself. If not, the store has to bring a function for it.
    fn has_algorithm(&self, algorithm: HashAlgorithm) -> bool {
        matches!(algorithm, HashAlgorithm::Md5 | HashAlgorithm::Sha256)
    }

    /// Whether the functions that a store brings stay in the database, and are made there on request.
    fn keeps_functions(&self) -> bool {
        false
    }

    /// The name of a column type.
    fn column_type(&self, ty: ColumnType) -> String;

    /// The column type that the database calls so, if there is one. Of several with one name, the
    /// first of [the table](crate::ScalarType).
    fn parse_type(&self, name: &str) -> Option<ColumnType>;

    /// The name of a type for small numbers.
    fn code_type(&self) -> &'static str {
        "SMALLINT"
    }

    /// The type that a value is cast to, which may be NULL.
    fn cast_type(&self, ty: ColumnType) -> String {
        self.column_type(ty)
    }

    /// The type of a column of a table, with whether it may hold NULL.
    fn declared_type(&self, ty: ColumnType, nullable: bool) -> String {
        let ty = self.column_type(ty);
        if nullable { ty } else { format!("{ty} NOT NULL") }
    }

    /// The type of a column of a table that holds points in time without a time zone, in microseconds.
    fn local_timestamp(&self, nullable: bool) -> String {
        if nullable { "TIMESTAMP".to_owned() } else { "TIMESTAMP NOT NULL".to_owned() }
    }

    /// What stands after the columns of a table that is made; `key` are the columns that its rows are
    /// looked up by, between quotes.
    fn table_layout(&self, key: &[String], temporary: bool) -> String {
        let _ = (key, temporary);
        String::new()
    }

    /// The statement that makes rows of a table, once it is made, quick to find by its key.
    fn index(&self, table: &str, key: &[String]) -> Option<String> {
        let _ = (table, key);
        None
    }

    /// What stands after the name of a table for all connections where it is made or changed: on which
    /// machines.
    fn on_machines(&self) -> String {
        String::new()
    }

    /// The table that keeps the rows of another one, where that one only leads to them: to the parts
    /// that several machines have.
    fn kept_in(&self, table: &Ident) -> Option<Ident> {
        let _ = table;
        None
    }

    /// What stands after the columns of a table that leads to the rows which are kept in another one.
    /// Rows that share the values of some columns, `together`, are on one machine; all between quotes.
    fn leading_layout(&self, kept_in: &str, together: &[String]) -> String {
        let _ = (kept_in, together);
        String::new()
    }

    /// What is written for a stored table, between quotes, in a SELECT that looks at anything else, if
    /// not its name: the rows with their addresses, brought to where that is.
    fn brought_here(&self, table: &str) -> Option<String> {
        let _ = table;
        None
    }

    /// Whether the rows of one statement that appends are there all at once, or none of them is.
    fn appends_whole(&self) -> bool {
        true
    }

    /// A column, as it is declared, that tables have for the addresses of their rows.
    fn address_column(&self) -> Option<String> {
        None
    }

    /// The columns or pseudo-columns of a stored table that the address of a row is made of: no column
    /// of a user can have such a name.
    fn row_address(&self) -> &'static [&'static str] {
        &[]
    }

    /// The type of an address, which may be NULL.
    fn address_type(&self) -> &'static str {
        "BIGINT"
    }

    /// The address of a row of a relation: unique for each row of a stored table within one statement.
    /// The relation comes with its dot, or is empty.
    fn row_address_in(&self, relation: &str) -> Option<String> {
        match self.row_address() {
            [address] => Some(format!("{relation}{address}")),
            _ => None,
        }
    }

    /// The texts of a group in an order, without those that are NULL, with `|` between them; NULL if
    /// all are.
    fn join_texts(&self, value: &str, order_by: &[String]) -> String {
        format!("string_agg({value}, '|' ORDER BY {})", order_by.join(", "))
    }

    /// The values of a group as a list in an order, NULL among them.
    fn list_of(&self, value: &str, order_by: &[String]) -> String {
        format!("array_agg({value} ORDER BY {})", order_by.join(", "))
    }

    /// What stands between the name of a part of a statement and its SELECT, if the statement uses it
    /// so many times: a part is computed once. Its rows may be of a table of few, see
    /// [`Latest::few`](crate::ast::Latest::few).
    fn named_part(&self, uses: usize, few: bool) -> &'static str {
        let _ = (uses, few);
        "AS"
    }

    /// Whether the rows of `UNION ALL` come in the order in which its SELECTs stand, each in its own
    /// order. If not, a query numbers and orders them.
    fn union_keeps_order(&self) -> bool {
        true
    }

    /// The place of a row in the order of its SELECT, seen from around it.
    fn place_of_row(&self) -> &'static str {
        "row_number() OVER ()"
    }

    /// Whether a table that is made from rows can have a column that is NULL in all of them and has no
    /// type.
    fn keeps_untyped_columns(&self) -> bool {
        true
    }

    /// Whether a table is taken for another relation that has its name as an alias in the same SELECT.
    fn takes_aliases_for_tables(&self) -> bool {
        false
    }

    /// Whether a column in a SELECT has to be given its own name, to be called by it from around.
    fn names_every_column(&self) -> bool {
        false
    }

    /// Whether NaN equals itself and is larger than all other numbers, in comparisons and orders. If
    /// not, they say so themselves.
    fn nan_is_largest(&self) -> bool {
        true
    }

    /// Whether a statement that removes rows can look at other tables while it does. If not, its
    /// rows have to be found first: see [`lower::found`](crate::lower::found).
    fn deletes_with_queries(&self) -> bool {
        true
    }

    /// How many rows one statement may name that removes rows by their addresses.
    fn max_addresses(&self) -> usize {
        usize::MAX
    }

    /// Whether a transaction takes changes of tables back. If not, each of them is said in a way in
    /// which it can be repeated.
    fn changes_tables_in_transactions(&self) -> bool {
        true
    }

    /// What makes that a table or a column is made only if it is missing, where that has to be said.
    fn if_missing(&self) -> &'static str {
        if self.changes_tables_in_transactions() { "" } else { "IF NOT EXISTS " }
    }

    /// What makes that a table or a column is removed only if it is there, where that has to be said.
    fn if_there(&self) -> &'static str {
        if self.changes_tables_in_transactions() { "" } else { "IF EXISTS " }
    }

    /// Gives a column of a table another type; names are between quotes.
    fn change_type(&self, table: &str, column: &str, ty: ColumnType, nullable: bool) -> String {
        let _ = nullable;
        format!("ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {}", self.column_type(ty))
    }

    /// Whether a column of the key of a table can be given another type.
    fn changes_types_of_keys(&self) -> bool {
        true
    }

    /// Whether a value that another type cannot hold makes a change of types fail, and NULL one that forbids
    /// it. If not, it would become another value.
    fn checks_narrowing(&self) -> bool {
        true
    }

    /// Lets a column of a table hold NULL, or forbids it; names are between quotes.
    fn change_null(&self, table: &str, column: &str, ty: ColumnType, nullable: bool) -> String {
        let _ = ty;
        let change = if nullable { "DROP" } else { "SET" };
        format!("ALTER TABLE {table} ALTER COLUMN {column} {change} NOT NULL")
    }

    /// What a change of a table does to those who use it.
    fn effects(&self, change: Change) -> &'static [Effect] {
        effects::without_locks(change)
    }

    /// A statement that fails with a message, which is between quotes.
    fn refuse(&self, message: &str) -> String;

    /// Removes the rows of a table that fulfil a condition: table and condition as they are printed.
    fn delete(&self, table: &str, alias: &str, condition: &str) -> String {
        format!("DELETE FROM {table} AS {alias}\nWHERE {condition}")
    }

    /// What a query that reads relies on, as settings that stand at its end.
    fn query_settings(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// How the latest row of each record is found.
    fn latest_rows(&self) -> LatestRows {
        LatestRows::ByAddress
    }

    /// Whether a resolve is two statements ([`crate::lower::classify`]): where temporary tables cost less than
    /// to plan what no record needs, and both statements see the same rows.
    fn classifies_first(&self) -> bool {
        false
    }

    /// Whether addresses are numbers that tell which rows a transaction has found: all later ones have
    /// larger addresses, for as long as no row is removed, and what is removed is seen in the number of rows.
    fn addresses_grow(&self) -> bool {
        false
    }

    /// The longest identifier that is kept whole, in bytes.
    fn max_ident_bytes(&self) -> Option<usize> {
        None
    }

    /// An identifier between quotes.
    ///
    /// # Errors
    /// When the database would cut it.
    fn quote_ident(&self, ident: &Ident) -> Result<String> {
        let name = ident.as_str();
        if self.max_ident_bytes().is_some_and(|max| name.len() > max) {
            return Err(Error::new(Reason::Identifier {
                name: name.to_owned(),
                problem: "it is longer than the database keeps",
            })
            .with_hint(format!("{} cuts names silently; choose a shorter one", self.name())));
        }
        Ok(format!("\"{}\"", name.replace('"', "\"\"")))
    }

    /// A text between quotes.
    ///
    /// # Errors
    /// When it holds a NUL character: not every engine can store one.
    fn quote_text(&self, text: &str) -> Result<String> {
        check_text(text)?;
        Ok(format!("'{}'", text.replace('\'', "''")))
    }

    /// A day, from the number of days since 1970-01-01.
    fn date(&self, days: i32) -> String {
        let (year, month, day) = civil(days.into());
        format!("DATE '{year:04}-{month:02}-{day:02}'")
    }

    /// A point in time, from microseconds since 1970-01-01 UTC.
    fn timestamp(&self, micros: i64) -> String;
}

/// How the latest row of each record is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatestRows {
    /// Rows are grouped, the address of the latest of each group is kept, and the rows that have one
    /// of these addresses are read: so wide columns are read of these rows alone.
    ByAddress,
    /// Rows are ordered, and the first of each group is taken as it is (`DISTINCT ON`).
    FirstOfEach {
        /// The parts of [`Function::RowOrder`] as a list to order by, the latest first; a template as
        /// in [`crate::functions`].
        order: &'static str,
    },
    /// The same, with `LIMIT 1 BY`.
    LimitBy {
        /// As above.
        order: &'static str,
    },
}

/// Year, month and day of a day that is counted from 1970-01-01, in the proleptic Gregorian calendar:
/// over eras of 400 years, each of which has the same number of days, that begin in March.
///
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        let of = |days| DuckDb.date(days);
        assert_eq!(of(0), "DATE '1970-01-01'");
        assert_eq!(of(-1), "DATE '1969-12-31'");
        assert_eq!(of(19_753), "DATE '2024-01-31'");
        assert_eq!(of(11_016), "DATE '2000-02-29'");
        assert_eq!(of(-719_162), "DATE '0001-01-01'");
        assert_eq!(of(2_932_896), "DATE '9999-12-31'");
    }
}
