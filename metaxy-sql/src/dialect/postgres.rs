//! Postgres, 14 and later.

use super::{Change, Dialect, Effect, LatestRows, civil};
use crate::functions::{self, Function};
use crate::plan::HashAlgorithm;
use crate::types::{ColumnType, ScalarType};

/// Postgres with the optional functions that its store installs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Postgres;

impl Dialect for Postgres {
    fn name(&self) -> &'static str {
        "Postgres"
    }

    fn function(&self, function: Function) -> &'static str {
        functions::postgres(function)
    }

    // It has no xxHash.
    fn default_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::Md5
    }

    fn keeps_functions(&self) -> bool {
        true
    }

    // <https://www.postgresql.org/docs/current/explicit-locking.html>
    fn effects(&self, change: Change) -> &'static [Effect] {
        const EXCLUSIVE: Effect =
            Effect::Locks("nobody reads or writes the table meanwhile (ACCESS EXCLUSIVE)");
        const BRIEF: Effect = Effect::Locks(
            "waits for whoever uses the table, and all others for it; then it takes a moment",
        );
        match change {
            Change::MakeIndex => &[Effect::Locks("nobody writes to the table meanwhile")],
            Change::DropColumn | Change::AddColumn | Change::AllowNull => &[BRIEF],
            Change::ForbidNull => &[EXCLUSIVE, Effect::Rewrites("all rows are read")],
            Change::ChangeType => &[EXCLUSIVE, Effect::Rewrites("all rows are written again")],
            Change::Other => &[EXCLUSIVE],
        }
    }

    fn column_type(&self, ty: ColumnType) -> String {
        match ty {
            ColumnType::Scalar(scalar) => scalar.postgres().to_owned(),
            // <https://www.postgresql.org/docs/current/arrays.html>
            ColumnType::List(item) => format!("{}[]", item.postgres()),
            // <https://www.postgresql.org/docs/current/datatype-json.html>
            ColumnType::TextMap => "jsonb".to_owned(),
        }
    }

    // Texts compare by their bytes, whatever the language of the database is; that also is the order
    // that sorts and indexes are fastest in.
    // <https://www.postgresql.org/docs/current/collation.html>
    fn declared_type(&self, ty: ColumnType, nullable: bool) -> String {
        let bytes = match ty {
            ColumnType::Scalar(ScalarType::Text) | ColumnType::List(ScalarType::Text) => {
                " COLLATE \"C\""
            }
            _ => "",
        };
        let not_null = if nullable { "" } else { " NOT NULL" };
        format!("{}{bytes}{not_null}", self.column_type(ty))
    }

    fn parse_type(&self, name: &str) -> Option<ColumnType> {
        let scalar = |name: &str| match name {
            "character varying" => Some(ScalarType::Text),
            // Of several types that are kept in one, the one that holds all of its values.
            "smallint" => Some(ScalarType::Int16),
            "integer" => Some(ScalarType::Int32),
            "bigint" => Some(ScalarType::Int64),
            name => ScalarType::named(ScalarType::postgres, name),
        };
        match name.strip_suffix("[]") {
            Some(item) => scalar(item).map(ColumnType::List),
            None if name == "jsonb" => Some(ColumnType::TextMap),
            None => scalar(name).map(ColumnType::Scalar),
        }
    }

    // The old values are cast, which is said since not every cast is done unasked.
    // <https://www.postgresql.org/docs/current/sql-altertable.html>
    fn change_type(&self, table: &str, column: &str, ty: ColumnType, _nullable: bool) -> String {
        let (declared, ty) = (self.declared_type(ty, true), self.column_type(ty));
        format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {declared} USING {column}::{ty}")
    }

    // <https://www.postgresql.org/docs/current/plpgsql-errors-and-messages.html>
    fn refuse(&self, message: &str) -> String {
        let body = format!("BEGIN RAISE EXCEPTION USING MESSAGE = {message}; END");
        format!("DO '{}'", body.replace('\'', "''"))
    }

    // <https://www.postgresql.org/docs/current/ddl-system-columns.html>
    fn row_address(&self) -> &'static [&'static str] {
        &["ctid"]
    }

    fn address_type(&self) -> &'static str {
        "tid"
    }

    // A write looks at the rows of the records that it writes. There is no primary key: what another
    // program or store has written may have nothing that tells two rows of a record apart.
    fn index(&self, table: &str, key: &[String]) -> Option<String> {
        (!key.is_empty()).then(|| format!("CREATE INDEX ON {table} ({})", key.join(", ")))
    }

    // There is no aggregate that gives the value of the row in which another one is largest, and a
    // join on `ctid` is planned as if it gave few rows. Sorting narrow rows once is the fastest way:
    // of 1.1M rows it took 1.0 s, where addresses of the latest and a hash join on them took 2.7 s.
    // <https://www.postgresql.org/docs/current/sql-select.html#SQL-DISTINCT>
    fn latest_rows(&self) -> LatestRows {
        LatestRows::FirstOfEach { order: "{0} DESC NULLS LAST, {1} DESC, coalesce({2}, 0) DESC" }
    }

    // <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>
    fn max_ident_bytes(&self) -> Option<usize> {
        Some(63)
    }

    // <https://www.postgresql.org/docs/current/datatype-datetime.html>
    fn date(&self, days: i32) -> String {
        let (date, era) = date_and_era(days.into());
        format!("DATE '{date}{era}'")
    }

    fn timestamp(&self, micros: i64) -> String {
        const DAY: i64 = 86_400_000_000;
        let (date, era) = date_and_era(micros.div_euclid(DAY));
        let of_day = micros.rem_euclid(DAY);
        let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        format!("TIMESTAMPTZ '{date} {hour:02}:{minute:02}:{second:02}.{fraction:06}+00{era}'")
    }
}

/// A day and what comes after it in years before 1, of which there is no year 0.
fn date_and_era(days: i64) -> (String, &'static str) {
    let (year, month, day) = civil(days);
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), era)
}
