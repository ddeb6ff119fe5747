//! Migrations on real engines: files are made offline, applied, undone, and applied again, and the
//! store works after each without making a table itself.

mod bad;
mod external;
mod files;
mod moves;
mod sqlx;
mod walk;

use futures::TryStreamExt;
use metaxy::arrow::array::{ArrayRef, Int32Array, RecordBatch};
use metaxy::builder::{DepBuilder, FeatureBuilder, FieldBuilder};
use metaxy::migrate::{Engine, Layout, Migrations, Options};
use metaxy::store::OpenStore;
use metaxy::{FeatureGraph, ScalarType, Store};
use metaxy_tests::batch::{batch, batch_of, collect};
use metaxy_tests::databases::Database;
use metaxy_tests::flow::{counts, key};
use metaxy_tests::place::Place;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// The same tests on each engine that has tables.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod on_duckdb {
            $(#[tokio::test] async fn $test() {
                super::$test(&crate::Target::duckdb()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() {
                super::$test(&crate::Target::postgres().await).await;
            })*
        }
        mod on_clickhouse {
            $(#[tokio::test] async fn $test() {
                super::$test(&crate::Target::clickhouse().await).await;
            })*
        }
    };
}
pub(crate) use on_every_database;

/// A database, and a folder for migrations.
pub(crate) struct Target {
    pub(crate) engine: Engine,
    database: Option<Database>,
    place: Place,
    folder: TempDir,
}

impl Target {
    fn new(engine: Engine, database: Option<Database>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { engine, database, place: Place::new(), folder }
    }

    pub(crate) fn duckdb() -> Self {
        Self::new(Engine::DuckDb, None)
    }

    pub(crate) async fn postgres() -> Self {
        Self::new(Engine::Postgres, Some(Database::postgres().await))
    }

    pub(crate) async fn clickhouse() -> Self {
        Self::new(Engine::ClickHouse, Some(Database::clickhouse().await))
    }

    /// Another empty database of the same engine.
    pub(crate) async fn another(&self) -> Self {
        match self.engine {
            Engine::DuckDb => Self::duckdb(),
            Engine::Postgres => Self::postgres().await,
            Engine::ClickHouse => Self::clickhouse().await,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.database.as_ref().map_or_else(|| self.place.url(), Database::url)
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("migrations")
    }

    pub(crate) fn migrations(&self, layout: Layout) -> Migrations {
        Migrations::new(self.dir(), self.engine, layout, self.engine.default_settings())
    }

    pub(crate) fn opening(&self, graph: &FeatureGraph) -> OpenStore {
        Store::open(self.url()).graph(graph.clone())
    }

    /// The store, which makes no table.
    pub(crate) async fn open(&self, graph: &FeatureGraph) -> Store {
        self.opening(graph).await.expect("a store")
    }

    /// What the database says of its tables: a line for each column, and for each index.
    pub(crate) async fn tables(&self) -> Vec<String> {
        match (&self.database, self.engine) {
            (None, _) => {
                let sql = "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || \
                           is_nullable AS line FROM information_schema.columns ORDER BY table_name, \
                           ordinal_position";
                let lines = self.place.query(sql);
                lines.iter().map(|row| row["line"].as_str().expect("a text").to_owned()).collect()
            }
            (Some(database), Engine::Postgres) => {
                let columns = "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || \
                               coalesce(collation_name, '-') || ' ' || is_nullable \
                               FROM information_schema.columns WHERE table_schema = 'public' \
                               ORDER BY table_name, ordinal_position";
                let indexes = "SELECT tablename || ': ' || indexdef FROM pg_indexes \
                               WHERE schemaname = 'public' ORDER BY 1";
                let mut lines = database.texts(columns).await;
                lines.extend(database.texts(indexes).await);
                lines
            }
            (Some(database), _) => {
                let columns = "SELECT table || '.' || name || ' ' || type FROM system.columns \
                               WHERE database = currentDatabase() ORDER BY table, position";
                let tables = "SELECT name || ': ' || engine_full FROM system.tables \
                              WHERE database = currentDatabase() ORDER BY name";
                let mut lines = database.texts(columns).await;
                lines.extend(database.texts(tables).await);
                lines
            }
        }
    }

    /// The names of the tables.
    pub(crate) async fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = (self.tables().await.iter())
            .filter_map(|line| Some(line.split(['.', ':']).next()?.to_owned()))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

pub(crate) const TEXT: ScalarType = ScalarType::Text;

/// One version of the features of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    First,
    /// A feature and a column more.
    Added,
    /// A wider type, and a column that may be NULL.
    Widened,
    /// A field has another name.
    Renamed,
    /// A feature and a column less.
    Removed,
}

impl Version {
    pub(crate) const ALL: [Self; 5] =
        [Self::First, Self::Added, Self::Widened, Self::Renamed, Self::Removed];

    pub(crate) fn graph(self) -> FeatureGraph {
        let mut video = FeatureBuilder::new("m/video").id("video_id", TEXT);
        video = match self >= Self::Widened {
            true => video.nullable_column("path", TEXT),
            false => video.column("path", TEXT),
        };
        if self >= Self::Added {
            video = video.nullable_column("title", TEXT);
        }
        let audio = || FieldBuilder::new("audio").code_version("1");
        let video = video.field(audio()).field("frames");
        let mut crop = FeatureBuilder::new("m/crop").id("video_id", TEXT).dep(plain("m/video"));
        crop = match self {
            Self::First | Self::Added => crop.column("size", ScalarType::Int32),
            Self::Widened | Self::Renamed => crop.column("size", ScalarType::Int64),
            Self::Removed => crop,
        };
        let pictures = match self >= Self::Renamed {
            true => FieldBuilder::new("pictures").renamed_from("frames"),
            false => FieldBuilder::new("frames"),
        };
        let crop = crop
            .field(audio().dep("m/video", ["audio"]))
            .field(pictures.dep("m/video", ["frames"]));
        let chunk = FeatureBuilder::new("m/chunk")
            .id("video_id", TEXT)
            .id("n", ScalarType::Int64)
            .dep(plain("m/crop").expansion(["video_id"]))
            .field(FieldBuilder::new("embedding").dep("m/crop", ["audio"]));
        let face = FeatureBuilder::new("m/face")
            .id("video_id", TEXT)
            .dep(plain("m/crop"))
            .field(FieldBuilder::new("faces").deps_all());
        let mut graph = FeatureGraph::builder().feature(video).feature(crop).feature(chunk);
        if (Self::Added..Self::Removed).contains(&self) {
            graph = graph.feature(face);
        }
        graph.build().expect("a graph")
    }
}

/// An upstream of which no column comes along.
pub(crate) fn plain(key: &str) -> DepBuilder {
    DepBuilder::new(key).select([""; 0])
}

/// Writes, resolves and reads everything: a store that works is up to date afterwards.
pub(crate) async fn work(store: &Store, round: usize) {
    store.push().await.expect("a push");
    let videos = ["a", "b", "c"].map(|id| {
        let audio = if id == "a" { round.to_string() } else { "1".to_owned() };
        json!({ "video_id": id, "path": format!("/{id}"), "audio": audio, "frames": "1" })
    });
    let has = |feature: &str, column: &str| {
        let definition = store.graph().get(&key(feature)).expect("a feature");
        definition.columns.iter().flatten().any(|declared| declared.name == column)
    };
    let mut videos: Vec<Value> = videos.into();
    if has("m/video", "title") {
        videos.iter_mut().for_each(|row| row["title"] = json!("t"));
    }
    store.sync_of(&key("m/video"), vec![batch(&videos)]).await.expect("a sync");
    for feature in store.graph().keys() {
        match feature.as_str() {
            "m/video" => continue,
            "m/chunk" => write_chunks(store).await,
            _ => {
                let size = has(feature.as_str(), "size");
                let increment = store.resolve_update_of(feature).await.expect("an increment");
                let mut batches = increment.to_compute();
                let mut out = store.batch_writer(feature);
                while let Some(batch) = batches.try_next().await.expect("a batch") {
                    let batch = if size { with_sizes(&batch) } else { batch };
                    out.push(&batch).await.expect("good rows");
                }
                out.commit().await.expect("a commit");
            }
        }
        let counts = counts(store, feature.as_str()).await;
        assert!(counts.is_up_to_date(), "{feature}: {counts}");
    }
    for feature in store.graph().keys() {
        let rows = store.read_of(feature).batches().await.expect("a read");
        let expected = if feature.as_str() == "m/chunk" { 6 } else { 3 };
        assert_eq!(collect(rows).await.len(), expected, "{feature}");
    }
}

fn with_sizes(batch: &RecordBatch) -> RecordBatch {
    let sizes: ArrayRef = Arc::new(Int32Array::from(vec![7; batch.num_rows()]));
    let schema = batch.schema();
    let columns =
        schema.fields().iter().map(|f| f.name().as_str()).zip(batch.columns().iter().cloned());
    batch_of(columns.chain([("size", sizes)]))
}

/// Two children for each parent that has none.
async fn write_chunks(store: &Store) {
    let chunk = key("m/chunk");
    let increment = store.resolve_update_of(&chunk).await.expect("an increment");
    let parents: Vec<RecordBatch> = increment.to_compute().try_collect().await.expect("batches");
    let mut out = store.batch_writer(&chunk);
    for parents in parents {
        let n = parents.num_rows();
        let column = |name: &str| parents.column_by_name(name).expect(name).clone();
        let numbers = |values: Vec<i64>| -> ArrayRef {
            Arc::new(metaxy::arrow::array::Int64Array::from(values))
        };
        let ours = ["video_id", "metaxy_try", "metaxy_provenance_by_field"];
        let columns = || ours.map(|name| (name, column(name)));
        for part in 0..2 {
            let child = batch_of(columns().into_iter().chain([("n", numbers(vec![part; n]))]));
            out.push(&child).await.expect("good rows");
        }
        let children = ("metaxy_children", numbers(vec![2; n]));
        let seals = batch_of(columns().into_iter().chain([children]));
        out.seal(&seals).await.expect("good seals");
    }
    out.commit().await.expect("a commit");
}

/// Options of a migration that is called so.
pub(crate) fn named(name: &str) -> Options {
    Options::new(name)
}
