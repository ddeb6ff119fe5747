//! Samples: the rows of a table that is not ours, whose columns may have any type of ClickHouse's.
//!
//! Some values would come as something else, since Arrow or the way to it has no such type: points in time
//! as their seconds, names of an enum as their codes, addresses and large numbers as bytes. What they are is
//! known here alone, so each is selected as what it says: a time as a time, all others as texts.

use super::ClickHouse;
use super::connection::ClickHouseConnection;
use crate::error::{Error, Result};
use crate::store::backend::BatchStream;
use metaxy_sql::{Dialect, Ident};

/// The rows of a table, which may be named with its database.
pub(super) async fn rows(engine: &ClickHouse, name: &str) -> Result<BatchStream> {
    // A dot can be part of a name: what is called like that goes first.
    let mut candidates = vec![(None, name)];
    candidates.extend(name.split_once('.').map(|(database, table)| (Some(database), table)));
    for (database, table) in candidates {
        let dialect = &*engine.dialect;
        let quoted = |text: &str| dialect.quote_text(text);
        let of = database.map_or_else(|| Ok("currentDatabase()".to_owned()), quoted)?;
        // Those that `*` stands for.
        let sql = format!(
            "SELECT name, type FROM (SELECT name, type, position FROM system.columns \
             WHERE database = {of} AND table = {} \
             AND default_kind NOT IN ('MATERIALIZED', 'ALIAS', 'EPHEMERAL') ORDER BY position)",
            quoted(table)?
        );
        let connection = ClickHouseConnection::new(engine.clone());
        let columns = connection.text_rows(&sql).await?;
        if columns.is_empty() {
            continue;
        }
        let ident = |name: &str| dialect.quote_ident(&Ident::new(name)?);
        let mut selected = Vec::new();
        for column in &columns {
            if let [name, ty] = column.as_slice() {
                let name = ident(name)?;
                selected.push(format!("{} AS {name}", as_itself(&format!("t.{name}"), ty)));
            }
        }
        let parts = database.into_iter().chain([table]).map(ident);
        let table = parts.collect::<Result<Vec<_>, _>>()?.join(".");
        let sql = format!("SELECT {} FROM {table} AS t", selected.join(", "));
        return Box::new(connection).stream_text(sql).await;
    }
    Err(Error::NoSamples { table: name.to_owned() })
}

/// What selects a value of a type as what it says.
fn as_itself(value: &str, ty: &str) -> String {
    let (name, arguments) = parts_of(ty);
    match (name, arguments.as_slice()) {
        ("Nullable" | "LowCardinality", [of]) | ("SimpleAggregateFunction", [_, of]) => {
            as_itself(value, of)
        }
        ("DateTime", _) => format!("toDateTime64({value}, 6, 'UTC')"),
        // As a text it keeps what a column cannot, and whoever asks for a time is told.
        ("DateTime64", ["7" | "8" | "9", ..]) => format!("toString({value}, 'UTC')"),
        // With the zeros at its end, which `toString` would leave out.
        ("FixedString", _) => format!("concat({value}, '')"),
        (
            "Enum8" | "Enum16" | "IPv4" | "IPv6" | "UUID" | "Int128" | "Int256" | "UInt128"
            | "UInt256" | "Time" | "Time64",
            _,
        ) => format!("toString({value})"),
        ("Array", [item]) => {
            let of = as_itself("x", item);
            if of == "x" { value.to_owned() } else { format!("arrayMap(x -> {of}, {value})") }
        }
        ("Map", [key, of]) => {
            let (key, of) = (as_itself("k", key), as_itself("v", of));
            if (key.as_str(), of.as_str()) == ("k", "v") {
                return value.to_owned();
            }
            format!("mapApply((k, v) -> ({key}, {of}), {value})")
        }
        _ => value.to_owned(),
    }
}

/// The name of a type, and what stands in its parentheses.
fn parts_of(ty: &str) -> (&str, Vec<&str>) {
    let Some((name, arguments)) = ty.strip_suffix(')').and_then(|ty| ty.split_once('(')) else {
        return (ty, Vec::new());
    };
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (i, character) in arguments.char_indices() {
        match character {
            // The names of an enum can hold anything.
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '\'' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(arguments[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[start..].trim());
    (name, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_taken_apart() {
        assert_eq!(parts_of("String"), ("String", vec![]));
        assert_eq!(parts_of("DateTime64(3, 'UTC')"), ("DateTime64", vec!["3", "'UTC'"]));
        let (name, parts) = parts_of("Map(Enum8('a,(' = 1, 'it\\'s)' = 2), Array(Date))");
        assert_eq!((name, parts.len(), parts[1]), ("Map", 2, "Array(Date)"));
    }

    #[test]
    fn values_are_selected_by_their_types() {
        for (ty, expected) in [
            ("String", "c"),
            ("Array(Nullable(Int8))", "c"),
            ("Map(String, String)", "c"),
            ("DateTime64(6, 'UTC')", "c"),
            ("Nullable(DateTime('Asia/Tokyo'))", "toDateTime64(c, 6, 'UTC')"),
            ("SimpleAggregateFunction(max, DateTime)", "toDateTime64(c, 6, 'UTC')"),
            ("Array(Array(UUID))", "arrayMap(x -> arrayMap(x -> toString(x), x), c)"),
            ("Map(LowCardinality(String), IPv6)", "mapApply((k, v) -> (k, toString(v)), c)"),
        ] {
            assert_eq!(as_itself("c", ty), expected, "{ty}");
        }
    }
}
