//! `cargo xtask bench writes`: how fast records are written, next to the engine's own way to load the
//! same rows.
//!
//! Every write is measured in a database of its own, and right after it the engine loads what was
//! written, all columns of it as they are stored, into an empty table that is made like ours: DuckDB
//! through its appender of Arrow batches, Postgres by a binary `COPY` of encoded rows, ClickHouse by an
//! `INSERT` of encoded Arrow. So what disturbs one disturbs the other, and the engine has nothing to
//! compute, to compare or to check.

use crate::place::{Engine, Place};
use crate::report::Quartiles;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use futures::TryStreamExt;
use metaxy::arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use metaxy::prelude::*;
use metaxy::sqlx::{self, Connection, PgConnection};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What is to be measured.
#[derive(Args)]
pub(crate) struct Writes {
    /// The numbers of records
    #[arg(long, value_delimiter = ',', default_values_t = [100_000])]
    records: Vec<usize>,
    /// The engines
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Engine::DuckDb])]
    engine: Vec<Engine>,
    /// The ways to write
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Way::value_variants().to_vec())]
    way: Vec<Way>,
    /// How often each is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A folder for the table
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// A way to write, and what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// A root, from Arrow batches
    Root,
    /// A root, from structs
    RootTyped,
    /// A root of four fields, from Arrow batches
    Wide,
    /// A root, by a sync with Arrow batches
    Sync,
    /// A root, by a sync with structs
    SyncTyped,
    /// A downstream feature, from the Arrow batches of an increment
    Leaf,
    /// A downstream feature, from the jobs of an increment
    LeafTyped,
}

#[derive(Clone, Feature)]
#[metaxy(key = "writes/root")]
struct Root {
    #[metaxy(id)]
    id: String,
    path: String,
    #[metaxy(field, code_version = "1")]
    audio: DataVersion,
    #[metaxy(field, code_version = "1")]
    frames: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "writes/wide")]
struct Wide {
    #[metaxy(id)]
    id: String,
    #[metaxy(field, code_version = "1")]
    audio: DataVersion,
    #[metaxy(field, code_version = "1")]
    frames: DataVersion,
    #[metaxy(field, code_version = "1")]
    text: DataVersion,
    #[metaxy(field, code_version = "1")]
    meta: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "writes/leaf", deps(Root))]
struct Leaf {
    #[metaxy(id)]
    id: String,
    num_faces: u32,
    #[metaxy(field, code_version = "1", deps(Root::frames))]
    faces: DataVersion,
    #[metaxy(field, code_version = "1", deps(Root::audio))]
    speech: DataVersion,
}

/// What a job of the leaf is told.
#[derive(Row)]
struct Input {
    id: String,
}

/// The rows of a batch: as many as files and other engines give at once.
const ROWS_AT_ONCE: usize = 65_536;

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Root => "root, Arrow",
            Self::RootTyped => "root, structs",
            Self::Wide => "root of 4 fields, Arrow",
            Self::Sync => "sync, Arrow",
            Self::SyncTyped => "sync, structs",
            Self::Leaf => "increment, Arrow",
            Self::LeafTyped => "increment, jobs",
        }
    }

    /// The table that is written to.
    const fn table(self) -> &'static str {
        match self {
            Self::Root | Self::RootTyped | Self::Sync | Self::SyncTyped => "writes__root",
            Self::Wide => "writes__wide",
            Self::Leaf | Self::LeafTyped => "writes__leaf",
        }
    }

    /// Writes so many records to an empty store; the seconds from the first record to the end of the
    /// commit. What is written is made before.
    async fn write(self, url: &str, n: usize) -> Result<f64, Box<dyn Error>> {
        let graph = FeatureGraph::of::<(Leaf, Wide)>()?;
        let store = Store::open(url).graph(graph).create_tables(true).await?;
        let root = |n| Root {
            id: id(n),
            path: path(n),
            audio: DataVersion::new(version("audio", n)),
            frames: DataVersion::new(version("frames", n)),
        };
        if matches!(self, Self::Leaf | Self::LeafTyped) {
            store.sync_of(&Root::key(), batches(n, Self::Root)?).await?;
        }
        let started;
        let written = match self {
            Self::Root | Self::Wide => {
                let rows = batches(n, self)?;
                let key = if self == Self::Root { Root::key() } else { Wide::key() };
                started = Instant::now();
                let mut out = store.batch_writer(&key);
                for batch in &rows {
                    out.push(batch).await?;
                }
                out.commit().await?.rows
            }
            Self::RootTyped => {
                let rows: Vec<Root> = (0..n).map(root).collect();
                started = Instant::now();
                let mut out = store.writer::<Root>();
                for row in rows {
                    out.push(row).await?;
                }
                out.commit().await?.rows
            }
            Self::Sync => {
                let rows = batches(n, self)?;
                started = Instant::now();
                store.sync_of(&Root::key(), rows).await?.written.rows
            }
            Self::SyncTyped => {
                let rows: Vec<Root> = (0..n).map(root).collect();
                started = Instant::now();
                store.sync(rows).await?.written.rows
            }
            Self::Leaf => {
                let increment = store.resolve_update::<Leaf>().await?;
                let rows: Vec<_> = increment.to_compute().try_collect().await?;
                let rows = rows.iter().map(with_faces).collect::<Result<Vec<_>, _>>()?;
                started = Instant::now();
                let mut out = store.batch_writer(&Leaf::key());
                for batch in &rows {
                    out.push(batch).await?;
                }
                out.commit().await?.rows
            }
            Self::LeafTyped => {
                let mut jobs = store.resolve_update::<Leaf>().await?.jobs::<Input>();
                let mut done = Vec::with_capacity(n);
                while let Some(job) = jobs.try_next().await? {
                    let id = job.input().id.clone();
                    let computed = DataVersion::default;
                    done.push(job.done(Leaf {
                        id,
                        num_faces: 7,
                        faces: computed(),
                        speech: computed(),
                    })?);
                }
                started = Instant::now();
                let mut out = store.writer::<Leaf>();
                for record in done {
                    out.push(record).await?;
                }
                out.commit().await?.rows
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        match usize::try_from(written) {
            Ok(written) if written == n => Ok(seconds),
            _ => Err(format!("{written} records were written, and not {n}").into()),
        }
    }
}

fn id(n: usize) -> String {
    format!("record-{n:08}")
}

fn path(n: usize) -> String {
    format!("s3://videos/2026/{n:08}.mp4")
}

fn version(field: &str, n: usize) -> String {
    format!("{field}{n}")
}

/// The records of a root as Arrow batches.
fn batches(n: usize, way: Way) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let fields: &[&str] =
        if way == Way::Wide { &["audio", "frames", "text", "meta"] } else { &["audio", "frames"] };
    let batch = |from: usize| {
        let rows = from..n.min(from + ROWS_AT_ONCE);
        let texts = |text: &dyn Fn(usize) -> String| -> ArrayRef {
            Arc::new(rows.clone().map(|n| Some(text(n))).collect::<StringArray>())
        };
        let mut columns = vec![("id", texts(&id))];
        if way != Way::Wide {
            columns.push(("path", texts(&path)));
        }
        columns.extend(fields.iter().map(|field| (*field, texts(&|n| version(field, n)))));
        RecordBatch::try_from_iter(columns)
    };
    Ok((0..n).step_by(ROWS_AT_ONCE).map(batch).collect::<Result<_, _>>()?)
}

/// Rows of an increment as they are written: without what they were computed from.
fn with_faces(batch: &RecordBatch) -> Result<RecordBatch, Box<dyn Error>> {
    let faces: ArrayRef = Arc::new(UInt32Array::from(vec![7; batch.num_rows()]));
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let columns = names.zip(batch.columns().iter().cloned()).filter(|(name, _)| *name != "path");
    let columns = columns.chain([("num_faces", faces)]);
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))?)
}

/// Loads the rows of a table of the database into an empty one that is made like it; the seconds.
async fn load(engine: Engine, url: &str, table: &str) -> Result<f64, Box<dyn Error>> {
    match engine {
        Engine::DuckDb => load_duckdb(url, table),
        Engine::Postgres => load_postgres(url, table).await,
        Engine::ClickHouse => load_clickhouse(url, table).await,
    }
}

fn load_duckdb(url: &str, table: &str) -> Result<f64, Box<dyn Error>> {
    let file = url.trim_start_matches("duckdb:");
    let from = duckdb::Connection::open(file)?;
    let made = format!("SELECT sql FROM duckdb_tables() WHERE table_name = '{table}'");
    let make: String = from.query_row(&made, [], |row| row.get(0))?;
    let rows: Vec<RecordBatch> =
        from.prepare(&format!("SELECT * FROM {table}"))?.query_arrow([])?.collect();
    let other = format!("{file}.load");
    let to = duckdb::Connection::open(&other)?;
    to.execute_batch(&make)?;
    let started = Instant::now();
    to.execute_batch("BEGIN")?;
    let mut appender = to.appender(table)?;
    for batch in rows {
        appender.append_record_batch(batch)?;
    }
    appender.flush()?;
    drop(appender);
    to.execute_batch("COMMIT")?;
    let seconds = started.elapsed().as_secs_f64();
    drop(to);
    std::fs::remove_file(other)?;
    Ok(seconds)
}

async fn load_postgres(url: &str, table: &str) -> Result<f64, Box<dyn Error>> {
    let mut connection = PgConnection::connect(url).await?;
    let rows = connection.copy_out_raw(&format!("COPY {table} TO STDOUT (FORMAT binary)")).await?;
    let rows: Vec<Bytes> = rows.try_collect().await?;
    // As many bytes at a time as are worth a message.
    let rows: Vec<Vec<u8>> = rows.chunks(4_096).map(<[Bytes]>::concat).collect();
    let make = format!("CREATE TABLE load (LIKE {table} INCLUDING ALL)");
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut connection).await?;
    let started = Instant::now();
    let mut copy = connection.copy_in_raw("COPY load FROM STDIN (FORMAT binary)").await?;
    for chunk in rows {
        copy.send(chunk).await?;
    }
    copy.finish().await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn load_clickhouse(url: &str, table: &str) -> Result<f64, Box<dyn Error>> {
    let url = url::Url::parse(url)?;
    let client = crate::place::client(&url).with_database(url.path().trim_start_matches('/'));
    let mut rows =
        client.query_raw(&format!("SELECT * FROM {table}")).fetch_bytes("ArrowStream")?;
    let mut chunks = Vec::new();
    while let Some(chunk) = rows.next().await? {
        chunks.push(chunk);
    }
    client.query_raw(&format!("CREATE TABLE load AS {table}")).execute().await?;
    let started = Instant::now();
    let mut insert = client.insert_formatted_with("INSERT INTO load FORMAT ArrowStream");
    for chunk in chunks {
        insert.send(chunk).await?;
    }
    insert.end().await?;
    Ok(started.elapsed().as_secs_f64())
}

/// The seconds of all rounds of one way on one engine.
struct Measured {
    engine: Engine,
    way: Way,
    records: usize,
    ours: Vec<f64>,
    engines: Vec<f64>,
}

impl Writes {
    pub(crate) async fn all(&self) -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let mut all = Vec::new();
        for &engine in &self.engine {
            for &records in &self.records {
                let of = |way: &Way| Measured {
                    engine,
                    way: *way,
                    records,
                    ours: Vec::new(),
                    engines: Vec::new(),
                };
                let mut ways: Vec<_> = self.way.iter().map(of).collect();
                for round in 0..self.rounds {
                    for measured in &mut ways {
                        measured.measure(folder.path(), round).await?;
                    }
                }
                all.extend(ways);
            }
        }
        let table = table(&all);
        println!("{table}");
        if let Some(out) = &self.out {
            std::fs::create_dir_all(out)?;
            std::fs::write(out.join("writes.md"), format!("{table}\n"))?;
        }
        Ok(())
    }
}

impl Measured {
    async fn measure(&mut self, folder: &Path, round: usize) -> Result<(), Box<dyn Error>> {
        let name = format!("{}_{}_{round}", self.way.table(), self.records);
        let place = Place::new(self.engine, folder, &name).await?;
        let ours = self.way.write(place.url(), self.records).await?;
        let engine = load(self.engine, place.url(), self.way.table()).await?;
        let (name, way) = (self.engine.name(), self.way.name());
        eprintln!("{name}, {way}, round {round}: {ours:.2} s, the engine {engine:.2} s");
        self.ours.push(ours);
        self.engines.push(engine);
        place.remove().await
    }
}

/// Records in a second, by the median of the rounds, and what part that is of the engine's own.
fn table(all: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "engine",
        "records",
        "write",
        "ours [s]",
        "load [s]",
        "ours [records/s]",
        "load [records/s]",
        "ratio",
    ]);
    for measured in all {
        let median = |seconds: &[f64]| Quartiles::of(seconds.to_vec()).map(|of| of.median);
        let (Some(ours), Some(engine)) = (median(&measured.ours), median(&measured.engines)) else {
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = |seconds: f64| format!("{:.0}", measured.records as f64 / seconds);
        table.add_row([
            measured.engine.name().to_owned(),
            measured.records.to_string(),
            measured.way.name().to_owned(),
            format!("{ours:.2}"),
            format!("{engine:.2}"),
            rate(ours),
            rate(engine),
            format!("{:.2}", engine / ours),
        ]);
    }
    table
}
