//! [`Migrations`]: a folder of migrations, in one of three layouts, and the schema that they leave.

use super::MigrationError;
use super::schema::{Engine, Schema};
use super::steps::{Migration, Options};
use crate::error::{Error, Result};
use crate::graph::FeatureGraph;
use crate::store::Settings;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The file that says what the last migration has left.
const SCHEMA: &str = "metaxy.schema.json";

/// The version of that file.
const FORMAT: u32 = 1;

/// What is wrong if files are there that were not when the folder was read.
const MEANWHILE: &str = "a migration was added in the meantime; make it anew";

/// How files of migrations are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `20260131093000_name.up.sql` and `.down.sql`, which `sqlx` applies as well.
    Sqlx,
    /// `V1__name.sql`, which `refinery` applies as well. It knows no way back.
    Refinery,
    /// `0001_name.sql` and `0001_name.down.sql`.
    Plain,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlx, Self::Refinery, Self::Plain];

    /// Its name, as [`FromStr`] reads it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Sqlx => "sqlx",
            Self::Refinery => "refinery",
            Self::Plain => "plain",
        }
    }

    /// The version and the name in the name of a file, and whether it goes back; nothing if it is no
    /// file of a migration.
    fn parse(self, file: &str) -> Option<(u64, &str, bool)> {
        let stem = file.strip_suffix(".sql")?;
        let (stem, is_down) = match (self, stem.strip_suffix(".down")) {
            (Self::Refinery, Some(_)) => return None,
            (_, Some(stem)) => (stem, true),
            (Self::Sqlx, None) => (stem.strip_suffix(".up")?, false),
            (_, None) => (stem, false),
        };
        let (version, name) = match self {
            Self::Refinery => stem.strip_prefix('V')?.split_once("__")?,
            _ => stem.split_once('_')?,
        };
        Some((version.parse().ok()?, name, is_down))
    }

    /// The names of the files of a migration: that which does it, and that which undoes it.
    fn names(self, version: u64, name: &str) -> (String, Option<String>) {
        match self {
            Self::Sqlx => {
                (format!("{version}_{name}.up.sql"), Some(format!("{version}_{name}.down.sql")))
            }
            Self::Refinery => (format!("V{version}__{name}.sql"), None),
            Self::Plain => {
                (format!("{version:04}_{name}.sql"), Some(format!("{version:04}_{name}.down.sql")))
            }
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|layout| layout.id() == name);
        named.ok_or_else(|| MigrationError::UnknownLayout { name: name.to_owned() }.into())
    }
}

/// What is kept beside the files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    layout: Layout,
    /// The version of the migration that leaves it.
    migration: Option<u64>,
    schema: Schema,
}

/// A migration in a folder.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) version: u64,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) up: String,
    pub(super) down: Option<String>,
}

impl File {
    /// What tells whether it was edited.
    pub(super) fn checksum(&self) -> String {
        hex::encode(Sha256::digest(&self.up))
    }
}

/// A folder of migrations for one engine.
#[derive(Clone, Debug)]
pub struct Migrations {
    pub(super) dir: PathBuf,
    layout: Layout,
    schema: Schema,
    /// By version.
    pub(super) files: Vec<File>,
    /// Whether nothing was written yet.
    is_new: bool,
}

impl Migrations {
    /// A folder without any migration; nothing is written before the first is.
    #[must_use]
    pub fn new(
        dir: impl Into<PathBuf>,
        engine: Engine,
        layout: Layout,
        settings: Settings,
    ) -> Self {
        Self::over(dir.into(), layout, Schema::empty(engine, settings))
    }

    /// Whether a folder has migrations, or the schema of a store that [went over](Self::adopt) to them.
    #[must_use]
    pub fn are_in(dir: &Path) -> bool {
        dir.join(SCHEMA).exists() || has_files(dir)
    }

    /// A folder as it is.
    ///
    /// # Errors
    /// When it has no schema, its files do not fit together, or it cannot be read.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let path = dir.join(SCHEMA);
        let record = fs::read_to_string(&path).map_err(|error| match has_files(&dir) {
            true if error.kind() == ErrorKind::NotFound => problem(
                &dir,
                format!(
                    "the folder has files of SQL, and no `{SCHEMA}` that says what they leave; bring it back \
                     from version control, or name another folder"
                ),
            ),
            _ => problem(&path, error),
        })?;
        let record: Record =
            serde_json::from_str(&record).map_err(|error| problem(&path, error))?;
        if record.format != FORMAT {
            let found = record.format;
            return Err(problem(&path, format!("it has the format {found}, expected {FORMAT}")));
        }
        let files = read(&dir, record.layout)?;
        let last = files.last().map(|file| file.version);
        if last != record.migration {
            let of = |version: Option<u64>| {
                version.map_or_else(|| "none".to_owned(), |version| version.to_string())
            };
            return Err(problem(
                &path,
                format!(
                    "it is what the migration {} leaves, but the last one in the folder is {}; after a \
                     merge remove the migration that is not applied anywhere yet, take the schema of the \
                     other side, and generate it again",
                    of(record.migration),
                    of(last)
                ),
            ));
        }
        Ok(Self { dir, layout: record.layout, schema: record.schema, files, is_new: false })
    }

    /// The engine that they are for.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.schema.engine
    }

    /// The layout of the files.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// How the store hashes that they are for.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.schema.settings
    }

    /// The schema that the last of them leaves.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The migrations, by version and name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &str)> {
        self.files.iter().map(|file| (file.version, file.name.as_str()))
    }

    /// The migration that is missing for a graph; nothing is written.
    ///
    /// # Errors
    /// When no migration can do what was changed, or it cannot have that name.
    pub fn next(&self, graph: &FeatureGraph, options: Options) -> Result<Migration> {
        self.next_settings(graph, self.schema.settings, options)
    }

    /// The same, and the store hashes in another way from then on.
    ///
    /// # Errors
    /// As [`next`](Self::next); and when anything else has changed as well.
    pub fn next_settings(
        &self,
        graph: &FeatureGraph,
        settings: Settings,
        mut options: Options,
    ) -> Result<Migration> {
        check_name(&options.name)?;
        options.version = self.next_version().to_string();
        let today = Schema::of(graph, self.schema.engine, settings)?;
        Migration::between(&self.schema, &today, &options)
    }

    /// Writes the migration that is missing for a graph; gives the paths of its files, or none if
    /// nothing is missing. If nothing has to be done in a database, the schema alone is written where it
    /// [is another one](Migration::changes_schema).
    ///
    /// # Errors
    /// As [`next`](Self::next), and when the folder cannot be written.
    pub fn add(&mut self, graph: &FeatureGraph, options: Options) -> Result<Vec<PathBuf>> {
        let migration = self.next(graph, options)?;
        self.write(&migration)
    }

    /// Writes a migration that [`next`](Self::next) has given, as [`add`](Self::add) does.
    ///
    /// # Errors
    /// When it belongs elsewhere, or the folder cannot be written, or would lose a file that is there.
    pub fn write(&mut self, migration: &Migration) -> Result<Vec<PathBuf>> {
        if self.is_new {
            none_are_in(&self.dir)?;
        }
        if migration.is_empty() {
            if !migration.changes_schema() {
                return Ok(Vec::new());
            }
            self.schema = migration.schema.clone();
            return Ok(vec![self.save()?]);
        }
        let version = migration.options.version.parse();
        let version: u64 = version.map_err(|_| Error::internal("a migration has a version"))?;
        if self.files.last().is_some_and(|last| last.version >= version) {
            return Err(problem(&self.dir, MEANWHILE));
        }
        let (up_name, down_name) = self.layout.names(version, &migration.options.name);
        let file = File {
            version,
            name: migration.options.name.clone(),
            path: self.dir.join(up_name),
            up: migration.up()?,
            down: down_name.as_ref().map(|_| migration.down()).transpose()?,
        };
        fs::create_dir_all(&self.dir).map_err(|error| problem(&self.dir, error))?;
        let mut written = vec![(file.path.clone(), file.up.clone())];
        written.extend(down_name.map(|name| self.dir.join(name)).zip(file.down.clone()));
        for (path, text) in &written {
            // What is there may have been applied somewhere.
            let created = fs::OpenOptions::new().write(true).create_new(true).open(path);
            created.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
                match error.kind() {
                    ErrorKind::AlreadyExists => problem(path, MEANWHILE),
                    _ => problem(path, error),
                }
            })?;
        }
        self.files.push(file);
        self.schema = migration.schema.clone();
        let mut paths: Vec<_> = written.into_iter().map(|(path, _)| path).collect();
        paths.push(self.save()?);
        Ok(paths)
    }

    /// Writes down what the last migration leaves; gives the path.
    pub(super) fn save(&mut self) -> Result<PathBuf> {
        let record = Record {
            format: FORMAT,
            layout: self.layout,
            migration: self.files.last().map(|file| file.version),
            schema: self.schema.clone(),
        };
        let record = serde_json::to_string_pretty(&record)
            .map_err(|error| Error::internal(error.to_string()))?;
        let path = self.dir.join(SCHEMA);
        fs::create_dir_all(&self.dir).map_err(|error| problem(&self.dir, error))?;
        fs::write(&path, record + "\n").map_err(|error| problem(&path, error))?;
        self.is_new = false;
        Ok(path)
    }

    /// A folder without any migration, over tables that are there already.
    pub(super) fn over(dir: PathBuf, layout: Layout, schema: Schema) -> Self {
        Self { dir, layout, schema, files: Vec::new(), is_new: true }
    }

    /// Whether the tables that the files make are those that a graph needs.
    ///
    /// # Errors
    /// [`MigrationError::Differs`] with what is missing; [`MigrationError::Refused`] with what no
    /// migration can do.
    pub fn check(&self, graph: &FeatureGraph) -> Result<()> {
        let missing = self.next(graph, Options::new("changes"))?;
        if missing.is_empty() {
            return Ok(());
        }
        let mut features: Vec<String> =
            missing.steps.iter().flat_map(|step| step.features.iter().cloned()).collect();
        features.sort();
        features.dedup();
        let differences = missing.steps.into_iter().map(|step| step.summary).collect();
        let command = "metaxy migrate generate <name>".to_owned();
        Err(MigrationError::Differs { features, differences, command }.into())
    }

    /// The version of the next one: the time, or the next number.
    fn next_version(&self) -> u64 {
        let last = self.files.last().map_or(0, |file| file.version);
        match self.layout {
            Layout::Refinery | Layout::Plain => last + 1,
            Layout::Sqlx => {
                let now = chrono::Utc::now().format("%Y%m%d%H%M%S").to_string();
                now.parse().unwrap_or(0).max(last + 1)
            }
        }
    }
}

/// Refuses a folder that has migrations, or a schema, also one that cannot be read.
pub(super) fn none_are_in(dir: &Path) -> Result<()> {
    if !Migrations::are_in(dir) {
        return Ok(());
    }
    let n = Migrations::open(dir)?.files.len();
    Err(problem(dir, format!("the folder has a schema and {n} migrations already")))
}

/// Whether a folder has a file that may be that of a migration.
fn has_files(dir: &Path) -> bool {
    let mut entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().extension().is_some_and(|extension| extension == "sql"))
}

/// The migrations in a folder, by version.
fn read(dir: &Path, layout: Layout) -> Result<Vec<File>> {
    let mut files: BTreeMap<u64, File> = BTreeMap::new();
    let mut downs = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| problem(dir, error))? {
        let path = entry.map_err(|error| problem(dir, error))?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if !file.ends_with(".sql") {
            continue;
        }
        let Some((version, name, is_down)) = layout.parse(file) else {
            let (up, _) = layout.names(1, "name");
            return Err(problem(
                &path,
                format!("in the layout `{layout}` files are called `{up}`"),
            ));
        };
        let text = fs::read_to_string(&path).map_err(|error| problem(&path, error))?;
        let name = name.to_owned();
        if is_down {
            downs.push((version, name, path, text));
            continue;
        }
        let file = File { version, name, path: path.clone(), up: text, down: None };
        if let Some(other) = files.insert(version, file) {
            let other = other.path.display();
            return Err(problem(&path, format!("`{other}` has the same version")));
        }
    }
    for (version, name, path, text) in downs {
        match files.get_mut(&version).filter(|file| file.name == name) {
            Some(file) => file.down = Some(text),
            None => return Err(problem(&path, "the migration that it undoes is missing")),
        }
    }
    Ok(files.into_values().collect())
}

fn check_name(name: &str) -> Result<()> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    // Layouts tell versions from names by underscores.
    if name.is_empty() || !name.chars().all(is_good) || name.starts_with('_') {
        return Err(MigrationError::Name { name: name.to_owned() }.into());
    }
    Ok(())
}

pub(super) fn problem(path: &Path, problem: impl fmt::Display) -> Error {
    MigrationError::File { path: path.to_owned(), problem: problem.to_string() }.into()
}
