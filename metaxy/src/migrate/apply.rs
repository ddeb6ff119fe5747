//! Migrations on their way into a store: what was applied is kept there, and compared with the files.

use super::MigrationError;
use super::files::{File, Layout, Migrations, none_are_in};
use super::schema::Schema;
use crate::error::{Error, Result};
use crate::graph::FeatureGraph;
use crate::store::OpenStore;
use crate::store::sql::{Access, Connection, Engine, end, end_dry, forget_watermarks, settings};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use metaxy_sql::{lower, system};
use std::fmt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is left of a migration that failed in a transaction.
const NOTHING: &str = "nothing of it is left";

/// What is left of one that failed without.
const A_PART: &str = "what it did before stays, and applying it again does the rest";

/// A migration that was applied, or undone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Its version.
    pub version: u64,
    /// Its name.
    pub name: String,
}

/// How far a migration is in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It was applied as it is in the folder.
    Applied,
    /// It was not applied yet.
    Pending,
    /// It was applied, and its file is another one now.
    Edited,
    /// It was applied, and has no file.
    Missing,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Edited => "edited",
            Self::Missing => "missing",
        })
    }
}

/// A migration in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Its version.
    pub version: u64,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: State,
    /// When it was applied, in microseconds since 1970-01-01 UTC.
    pub applied_at: Option<i64>,
}

/// A line of the table of migrations.
struct Line {
    version: u64,
    name: String,
    checksum: String,
    applied_at: i64,
}

impl Migrations {
    /// Begins migrations for a store that has tables already: what it has is written down as what the
    /// next migration finds, in a folder that has none yet. The graph is the one that the store was used
    /// with.
    ///
    /// # Errors
    /// When a column has a type that no store has, the folder has migrations, or the store cannot be
    /// reached.
    pub async fn adopt(
        dir: impl Into<PathBuf>,
        store: impl Into<OpenStore>,
        graph: &FeatureGraph,
        layout: Layout,
    ) -> Result<Self> {
        let mut migrations = Self::found_in(dir, store, graph, layout).await?;
        migrations.save()?;
        Ok(migrations)
    }

    /// What [`adopt`](Self::adopt) would write down; nothing is written.
    ///
    /// # Errors
    /// As [`adopt`](Self::adopt).
    pub async fn found_in(
        dir: impl Into<PathBuf>,
        store: impl Into<OpenStore>,
        graph: &FeatureGraph,
        layout: Layout,
    ) -> Result<Self> {
        let (dir, store) = (dir.into(), store.into());
        none_are_in(&dir)?;
        let requested = store.requested();
        let engine = store.engine().await?;
        let settings = settings::open(&*engine, false, requested).await?;
        let name = engine.dialect().name();
        let of = super::Engine::ALL.into_iter().find(|of| of.dialect().name() == name);
        let of = of.ok_or_else(|| Error::internal(format!("{name} is no engine")))?;
        let schema = Schema::of(graph, of, settings)?;
        let names: Vec<String> = schema.tables.keys().cloned().collect();
        let found = engine.connect().await?.tables(&names).await?;
        Ok(Self::over(dir, layout, schema.found(&found)?))
    }

    /// Applies those migrations that a store does not have yet, each in a transaction of its own where
    /// the engine has them. Whoever applies them at the same time waits, where writers wait.
    ///
    /// The store is an address, or one that is about to be opened:
    /// `Store::open(url).schema("metaxy")`, `Store::from_pool(pool)`. A dry run gives those that would be
    /// applied; where there are transactions it applies them, in one that is taken back.
    ///
    /// # Errors
    /// When a file that was applied is another one now or missing, the store is in another engine, or a
    /// statement fails.
    pub async fn apply(&self, store: impl Into<OpenStore>, dry_run: bool) -> Result<Vec<Applied>> {
        let engine = self.engine_of(store.into()).await?;
        let pending = self.pending(&*engine).await?;
        let is_transactional = engine.dialect().changes_tables_in_transactions();
        if dry_run {
            if is_transactional && !pending.is_empty() {
                let connection = &mut *engine.connect().await?;
                connection.begin(Access::Dry(&lock())).await?;
                let done = self.run_all(connection, &pending).await;
                end_dry(connection, done).await?;
            }
            return Ok(pending.into_iter().map(Applied::of).collect());
        }
        let mut applied = Vec::new();
        for file in pending {
            let connection = &mut *engine.connect().await?;
            connection.begin(Access::Write(&lock())).await?;
            let done = self.apply_one(connection, file).await;
            let left = if is_transactional { NOTHING } else { A_PART };
            if end(connection, done).await.map_err(|error| failed(file, left, error))? {
                applied.push(Applied::of(file));
            }
        }
        Ok(applied)
    }

    /// Undoes the last so many migrations that a store has, the latest first; a dry run says which.
    ///
    /// # Errors
    /// When one of them cannot be undone, and as [`apply`](Self::apply).
    pub async fn revert(
        &self,
        store: impl Into<OpenStore>,
        steps: usize,
        dry_run: bool,
    ) -> Result<Vec<Applied>> {
        let engine = self.engine_of(store.into()).await?;
        self.pending(&*engine).await?;
        let connection = &mut *engine.connect().await?;
        let lines = applied(connection).await?;
        let mut downs = Vec::new();
        for line in lines.iter().rev().take(steps) {
            let Some(file) = self.files.iter().find(|file| file.version == line.version) else {
                return Err(self.missing(line));
            };
            let Some(down) = &file.down else {
                let reason = format!(
                    "it has no file that undoes it, and the layout `{}` {}",
                    self.layout(),
                    match self.layout() {
                        Layout::Refinery => "knows none",
                        _ => "has one for each; bring it back",
                    }
                );
                let (version, name) = (line.version.to_string(), line.name.clone());
                return Err(MigrationError::Irreversible { version, name, reason }.into());
            };
            downs.push((file, down));
        }
        if dry_run {
            return Ok(downs.into_iter().map(|(file, _)| Applied::of(file)).collect());
        }
        let is_transactional = engine.dialect().changes_tables_in_transactions();
        let left = if is_transactional { NOTHING } else { A_PART };
        let mut undone = Vec::new();
        for (file, down) in downs {
            let connection = &mut *engine.connect().await?;
            connection.begin(Access::Write(&lock())).await?;
            let done = async {
                connection.script(down.clone()).await?;
                forget_watermarks(connection, None).await?;
                connection.execute(lower::unnote_applied(&file.version.to_string())).await
            };
            let done = done.await;
            end(connection, done).await.map_err(|error| failed(file, left, error))?;
            undone.push(Applied::of(file));
        }
        Ok(undone)
    }

    /// All migrations, of the folder and of the store, by version.
    ///
    /// # Errors
    /// When the store is in another engine, or cannot be reached.
    pub async fn status(&self, store: impl Into<OpenStore>) -> Result<Vec<Status>> {
        let engine = self.engine_of(store.into()).await?;
        let lines = applied(&mut *engine.connect().await?).await?;
        let mut all: Vec<Status> = Vec::new();
        for file in &self.files {
            let line = lines.iter().find(|line| line.version == file.version);
            let state = match line {
                None => State::Pending,
                Some(line) if line.checksum == file.checksum() => State::Applied,
                Some(_) => State::Edited,
            };
            let (version, name) = (file.version, file.name.clone());
            let applied_at = line.map(|line| line.applied_at);
            all.push(Status { version, name, state, applied_at });
        }
        for line in lines {
            if !self.files.iter().any(|file| file.version == line.version) {
                let Line { version, name, applied_at, .. } = line;
                let applied_at = Some(applied_at);
                all.push(Status { version, name, state: State::Missing, applied_at });
            }
        }
        all.sort_by_key(|status| status.version);
        Ok(all)
    }

    /// The database, if it is one that the files are for.
    async fn engine_of(&self, store: OpenStore) -> Result<Box<dyn Engine>> {
        let engine = store.engine().await?;
        let (expected, found) = (self.engine().dialect().name(), engine.dialect().name());
        if expected != found {
            let path = self.dir.clone();
            return Err(MigrationError::OtherEngine { path, expected, found }.into());
        }
        Ok(engine)
    }

    /// Those that were not applied yet; refused if one that was is another one now.
    async fn pending(&self, engine: &dyn Engine) -> Result<Vec<&File>> {
        let lines = applied(&mut *engine.connect().await?).await?;
        for line in &lines {
            let Some(file) = self.files.iter().find(|file| file.version == line.version) else {
                return Err(self.missing(line));
            };
            if file.checksum() != line.checksum {
                let (version, name) = (line.version.to_string(), line.name.clone());
                return Err(MigrationError::Edited { version, name }.into());
            }
        }
        let is_pending = |file: &&File| !lines.iter().any(|line| line.version == file.version);
        Ok(self.files.iter().filter(is_pending).collect())
    }

    fn missing(&self, line: &Line) -> Error {
        let (version, name) = (line.version.to_string(), line.name.clone());
        MigrationError::Missing { version, name, path: self.dir.clone() }.into()
    }

    async fn run_all(&self, connection: &mut dyn Connection, files: &[&File]) -> Result<()> {
        for file in files {
            let done = connection.script(file.up.clone()).await;
            done.map_err(|error| failed(file, NOTHING, error))?;
        }
        Ok(())
    }

    /// Applies a migration, unless somebody else has in the meantime.
    async fn apply_one(&self, connection: &mut dyn Connection, file: &File) -> Result<bool> {
        if applied(connection).await?.iter().any(|line| line.version == file.version) {
            return Ok(false);
        }
        connection.script(file.up.clone()).await?;
        // Whatever it did to rows, resolves look at all of them once.
        forget_watermarks(connection, None).await?;
        let table = system::MIGRATIONS.to_owned();
        if !connection.tables(&[table]).await?.contains_key(system::MIGRATIONS) {
            connection.execute(lower::migrations()).await?;
        }
        let (version, checksum) = (file.version.to_string(), file.checksum());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        connection.execute(lower::note_applied([&version, &file.name, &checksum], now)).await?;
        Ok(true)
    }
}

impl Applied {
    fn of(file: &File) -> Self {
        Self { version: file.version, name: file.name.clone() }
    }
}

/// What whoever changes tables takes turns for.
fn lock() -> [String; 1] {
    [system::MIGRATIONS.to_owned()]
}

/// What was applied, by version.
async fn applied(connection: &mut dyn Connection) -> Result<Vec<Line>> {
    let table = system::MIGRATIONS;
    if !connection.tables(&[table.to_owned()]).await?.contains_key(table) {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    for batch in connection.rows(lower::applied()).await? {
        let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row);
        for row in 0..batch.num_rows() {
            let version = text(0, row);
            lines.push(Line {
                version: version.parse().map_err(|_| {
                    Error::internal(format!("`{table}` has the version `{version}`"))
                })?,
                name: text(1, row).to_owned(),
                checksum: text(2, row).to_owned(),
                applied_at: batch.column(3).as_primitive::<Int64Type>().value(row),
            });
        }
    }
    lines.sort_by_key(|line| line.version);
    Ok(lines)
}

fn failed(file: &File, left: &'static str, source: Error) -> Error {
    let (version, name) = (file.version.to_string(), file.name.clone());
    MigrationError::Failed { version, name, left, source: Box::new(source) }.into()
}
