//! The floor: the best statement that we could write by hand for the answer of a resolve, run without
//! anything of Metaxy but its hash functions.
//!
//! The statements, one file per graph and moment in `bench/floor/`, know what only their author can: the
//! names of the fields, where they are in a map, the versions of the definitions, and that all rows were
//! written by us. They give the ids, the class, and per field the expected hash and, of a record that is
//! there, the stored one; hashes as numbers, of which a reader makes the texts. The test holds them to the
//! answer of `resolve_update`. Whoever finds a faster statement puts it here.

use crate::graphs::{Graph, Phase};
use crate::report::Round;
use duckdb::arrow::array::RecordBatch;
use duckdb::{AccessMode, Config, Connection};
use metaxy::store::register_duckdb_functions;
use std::error::Error;
use std::time::Instant;

/// The statement; none where no leaf is resolved.
pub(crate) const fn statement(graph: Graph, phase: Phase) -> Option<&'static str> {
    match (graph, phase) {
        (Graph::Simple, Phase::New) => Some(include_str!("../floor/simple_new.sql")),
        (Graph::Simple, _) => Some(include_str!("../floor/simple_stale.sql")),
        (Graph::Wide, Phase::New) => Some(include_str!("../floor/wide_new.sql")),
        (Graph::Wide, _) => Some(include_str!("../floor/wide_stale.sql")),
        (Graph::Many, _) => None,
    }
}

/// Opens the file of an address as a store does.
fn open(url: &str) -> Result<Connection, Box<dyn Error>> {
    let address = url.strip_prefix("duckdb:").ok_or("the floor is on DuckDB alone")?;
    let (path, settings) = address.split_once('?').unwrap_or((address, ""));
    let mut config = Config::default()
        .access_mode(AccessMode::Automatic)?
        .with("autoload_known_extensions", "false")?
        .with("autoinstall_known_extensions", "false")?;
    for (name, value) in settings.split('&').filter_map(|setting| setting.split_once('=')) {
        config = config.with(name, value)?;
    }
    let connection = Connection::open_with_flags(path, config)?;
    register_duckdb_functions(&connection)?;
    Ok(connection)
}

/// Hands on the batches of a statement, one at a time.
fn for_each_batch(
    connection: &Connection,
    sql: &str,
    mut each: impl FnMut(RecordBatch),
) -> duckdb::Result<()> {
    let mut statement = connection.prepare(sql)?;
    // As the store reads: the iterator that this gives panics when the engine fails, stepping does not.
    drop(statement.stream_arrow([])?);
    while let Some(rows) = statement.step()? {
        each(RecordBatch::from(&rows));
    }
    Ok(())
}

/// What a round takes, and how many rows it gave.
pub(crate) fn round(
    url: &str,
    graph: Graph,
    phase: Phase,
) -> Result<(usize, Round), Box<dyn Error>> {
    let sql = statement(graph, phase).ok_or("there is no statement for this graph")?;
    let started = Instant::now();
    let connection = open(url)?;
    let opened = Instant::now();
    let run = || {
        let mut rows = 0;
        for_each_batch(&connection, sql, |batch| rows += batch.num_rows()).map(|()| rows)
    };
    let rows = run()?;
    let resolved = Instant::now();
    run()?;
    Ok((rows, Round::new(started, opened, resolved)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphs;
    use duckdb::arrow::array::{Array, AsArray};
    use duckdb::arrow::datatypes::UInt64Type;
    use metaxy::increment::{STATUS, STORED_PROVENANCE};
    use metaxy::prelude::*;
    use std::collections::BTreeMap;

    /// Per record its class, and per field the expected and the stored hash.
    type Answer = BTreeMap<String, (String, BTreeMap<String, [Option<String>; 2]>)>;

    /// What the store says.
    async fn resolved(store: &Store, graph: Graph) -> Answer {
        let leaf = graphs::leaf(graph).expect("a leaf");
        let increment = store.resolve_update_of(&leaf).await.expect("an increment");
        let batches: Vec<_> = increment.batches().try_collect().await.expect("batches");
        let mut answer = Answer::new();
        for batch in batches {
            let texts =
                |name: &str| batch.column_by_name(name).expect("a column").as_string::<i32>();
            let maps = |name: &str, row: usize| -> BTreeMap<String, String> {
                let maps = batch.column_by_name(name).expect("a column").as_map();
                if maps.is_null(row) {
                    return BTreeMap::new();
                }
                let entries = maps.value(row);
                let (keys, values) = (entries.column(0), entries.column(1));
                let (keys, values) = (keys.as_string::<i32>(), values.as_string::<i32>());
                let pairs = keys.iter().zip(values.iter());
                pairs
                    .filter_map(|(key, value)| Some((key?.to_owned(), value?.to_owned())))
                    .collect()
            };
            for row in 0..batch.num_rows() {
                let class = texts(STATUS).value(row).to_owned();
                let expected = maps("metaxy_provenance_by_field", row);
                let stored = maps(STORED_PROVENANCE, row);
                let is_orphan = class == "orphaned";
                let fields = expected.into_iter().map(|(field, new)| {
                    let old = stored.get(&field).cloned();
                    // Of an orphan nothing is expected; the increment repeats what is stored.
                    (field, [(!is_orphan).then_some(new), old])
                });
                let id = texts("id").value(row).to_owned();
                answer.insert(id, (class, fields.collect()));
            }
        }
        answer
    }

    /// What the statement says.
    fn by_hand(url: &str, graph: Graph, phase: Phase) -> Answer {
        let connection = open(url).expect("the file");
        let mut answer = Answer::new();
        let sql = statement(graph, phase).expect("a statement");
        let each = |batch: RecordBatch| {
            let schema = batch.schema();
            let texts =
                |name: &str| batch.column_by_name(name).expect("a column").as_string::<i32>();
            for row in 0..batch.num_rows() {
                let mut fields: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
                for (column, values) in schema.fields().iter().zip(batch.columns()) {
                    let (place, field) = match column.name().split_once('_') {
                        Some(("new", field)) => (0, field),
                        Some(("old", field)) => (1, field),
                        _ => continue,
                    };
                    let numbers = values.as_primitive::<UInt64Type>();
                    let number = numbers.is_valid(row).then(|| numbers.value(row).to_string());
                    fields.entry(field.to_owned()).or_default()[place] = number;
                }
                let id = texts("id").value(row).to_owned();
                assert!(!answer.contains_key(&id), "{id} is there twice");
                answer.insert(id, (texts("class").value(row).to_owned(), fields));
            }
        };
        for_each_batch(&connection, sql, each).expect("an answer");
        answer
    }

    /// A store with records of all kinds: changed, changed twice, deleted upstream, deleted and added
    /// again, and, if the leaf is there, some that it does not have.
    async fn holds(graph: Graph, phase: Phase) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("duckdb:{}", folder.path().join("meta.duckdb").display());
        let store = graphs::open(&url, graph, phase, true).await.expect("a store");
        graphs::fill(&store, graph, phase, 3_000).await.expect("records");
        graphs::stir(&store, graph, phase).await.expect("changes");
        let expected = resolved(&store, graph).await;
        drop(store);
        let classes: std::collections::BTreeSet<&str> =
            expected.values().map(|(class, _)| class.as_str()).collect();
        match phase {
            Phase::New => assert_eq!(Vec::from_iter(classes), ["new"]),
            _ => assert_eq!(Vec::from_iter(classes), ["new", "orphaned", "stale"]),
        }
        let found = by_hand(&url, graph, phase);
        assert_eq!(found.len(), expected.len());
        for (id, record) in &expected {
            assert_eq!(found.get(id), Some(record), "{id}");
        }
    }

    #[tokio::test]
    async fn the_floor_of_simple_new_gives_what_a_resolve_gives() {
        holds(Graph::Simple, Phase::New).await;
    }

    #[tokio::test]
    async fn the_floor_of_simple_stale_gives_what_a_resolve_gives() {
        holds(Graph::Simple, Phase::Stale).await;
        holds(Graph::Simple, Phase::Versions).await;
    }

    #[tokio::test]
    async fn the_floor_of_wide_new_gives_what_a_resolve_gives() {
        holds(Graph::Wide, Phase::New).await;
    }

    #[tokio::test]
    async fn the_floor_of_wide_stale_gives_what_a_resolve_gives() {
        holds(Graph::Wide, Phase::Stale).await;
        holds(Graph::Wide, Phase::Versions).await;
    }
}
