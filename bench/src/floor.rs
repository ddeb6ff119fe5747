//! The floor: the best statement that we could write by hand for the answer of a resolve, run without
//! anything of Metaxy but its hash functions.
//!
//! The statements, one file per graph and moment in `bench/floor/`, know what only their author can: the
//! names of the fields, where they are in a map, that nothing but inputs changed since the leaf was computed,
//! and that each write has a time of its own. They give all columns of an increment and nothing else: no
//! counts of classes. The test holds them to the answer of `resolve_update`, cell by cell. Whoever finds a
//! faster statement puts it here.

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
    use duckdb::arrow::util::display::{ArrayFormatter, FormatOptions};
    use metaxy::increment::{CAUSE, STATUS};
    use metaxy::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Per record what each column says, as text.
    type Answer = BTreeMap<String, BTreeMap<String, String>>;

    /// Adds the rows of a batch.
    fn add(answer: &mut Answer, batch: &RecordBatch) {
        let options = FormatOptions::new().with_null("NULL");
        let schema = batch.schema();
        let columns: Vec<(&String, ArrayFormatter<'_>)> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| {
                (
                    field.name(),
                    ArrayFormatter::try_new(column, &options).expect("a column of texts"),
                )
            })
            .collect();
        for row in 0..batch.num_rows() {
            let mut record: BTreeMap<String, String> = columns
                .iter()
                .map(|(name, column)| ((*name).clone(), column.value(row).to_string()))
                .collect();
            let id = record.remove("id").expect("an id");
            assert!(!answer.contains_key(&id), "{id} is there twice");
            answer.insert(id, record);
        }
    }

    /// What the store says.
    async fn resolved(store: &Store, graph: Graph) -> Answer {
        let leaf = graphs::leaf(graph).expect("a leaf");
        let mut batches = store.resolve_update_of(&leaf).await.expect("an increment").batches();
        let mut answer = Answer::new();
        while let Some(batch) = batches.try_next().await.expect("a batch") {
            add(&mut answer, &batch);
        }
        answer
    }

    /// What the statement says.
    fn by_hand(url: &str, graph: Graph, phase: Phase) -> Answer {
        let connection = open(url).expect("the file");
        let mut answer = Answer::new();
        let sql = statement(graph, phase).expect("a statement");
        for_each_batch(&connection, sql, |batch| add(&mut answer, &batch)).expect("an answer");
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
        let kinds: BTreeSet<(&str, &str)> = expected
            .values()
            .map(|record| (record[STATUS].as_str(), record[CAUSE].as_str()))
            .collect();
        match phase {
            Phase::New => assert_eq!(Vec::from_iter(kinds), [("new", "NULL")]),
            _ => assert_eq!(
                Vec::from_iter(kinds),
                [("new", "NULL"), ("orphaned", "gone"), ("stale", "NULL")]
            ),
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
