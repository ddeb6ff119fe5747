//! [`Context`]: what commands share: the options that all have, the configuration, the graph, the store.

use super::Failure;
use super::config::{Loaded, StoreConfig};
use super::output::Format;
use crate::error::Error;
use crate::history::{HistoryError, LockFile};
use crate::spec::{FeatureDefinition, SpecFile};
use crate::store::{OpenStore, Store};
use crate::{FeatureGraph, FeatureKey};
#[cfg(feature = "sql")]
use crate::{migrate::Engine, store::open::RequestedSettings};
use clap::Args;
use futures::future::{BoxFuture, FutureExt};
use indicatif::{ProgressBar, ProgressStyle};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The options that every command has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(super) struct Options {
    /// The configuration; without it, the first `metaxy.toml` here or in a folder above
    #[arg(long, global = true, value_name = "FILE", env = "METAXY_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// The store: a name of the configuration, or an address such as `duckdb:meta.duckdb`
    #[arg(long, short, global = true, value_name = "STORE")]
    pub(super) store: Option<String>,
    /// Make tables and columns of the store that are missing
    #[arg(long, global = true)]
    pub(super) create_tables: bool,
    /// Take the features from a spec file
    #[arg(long, global = true, value_name = "FILE", group = "source")]
    pub(super) spec: Option<PathBuf>,
    /// Take the features from a lock file
    #[arg(long, global = true, value_name = "FILE", group = "source")]
    pub(super) lock: Option<PathBuf>,
    /// Take the features from what was pushed to the store last
    #[arg(long, global = true, group = "source")]
    pub(super) recorded: bool,
    /// Write the answer as a table, as JSON or as Markdown
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub(super) format: Format,
    /// Show no progress
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
}

/// What commands share.
#[derive(Debug)]
pub(super) struct Context {
    options: Options,
    loaded: Loaded,
    runtime: Runtime,
    /// What `--recorded` has found.
    recorded: Option<FeatureGraph>,
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Nothing is changed in it.
    Read,
    /// It may be changed.
    Write,
}

/// A graph that a command looks at.
#[derive(Debug)]
pub(super) struct Features {
    /// The graph.
    pub(super) graph: FeatureGraph,
    /// The project that it was said to be of, if its origin says one.
    pub(super) project: Option<String>,
}

impl Context {
    /// What commands share, for one that is about this project.
    pub(super) fn new(options: Options, project: Option<&String>) -> Result<Self, Failure> {
        let loaded = Loaded::read(options.config.as_deref())?;
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Failure::from(Error::Runtime { source }))?;
        let mut context = Self { options, loaded, runtime, recorded: None };
        if context.options.recorded {
            context.recorded = Some(context.wait(context.pushed(project))?);
        }
        Ok(context)
    }

    /// Waits for what is not done at once.
    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.runtime.block_on(work)
    }

    /// The configuration.
    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The features that were pushed to the store last, for this project or that of the configuration.
    async fn pushed(&self, project: Option<&String>) -> Result<FeatureGraph, Failure> {
        let none = FeatureGraph::build(Vec::new()).map_err(Error::from)?;
        let store = self.open(self.name()?, none, Purpose::Read, Vec::new()).await?;
        let mut pushed = store.pushed_graph("latest");
        if let Some(project) = project.or(self.loaded.config.project.as_ref()) {
            pushed = pushed.project(project);
        }
        match pushed.await {
            // Not every command can be told by an option.
            Err(Error::History(HistoryError::SeveralProjects { projects, .. })) => {
                Err(Failure::input(format!(
                    "several projects were pushed to this store, `{}`; name the one whose features are \
                     meant, `project = \"..\"` in metaxy.toml or `METAXY_PROJECT`",
                    projects.join("`, `")
                )))
            }
            pushed => Ok(pushed?),
        }
    }

    /// The features: of the file or the store that is named, else those that are linked into the program, else those
    /// of the file that the configuration names.
    pub(super) fn features(&self) -> Result<Features, Failure> {
        if let Some(graph) = &self.recorded {
            let project = graph.project().map(str::to_owned);
            return Ok(Features { graph: graph.clone(), project });
        }
        if let Some(file) = &self.options.spec {
            return from_spec_and_lock(file, &self.configured_lock()?);
        }
        if let Some(file) = &self.options.lock {
            return Ok(Features { graph: from_lock(file)?, project: None });
        }
        let lock = self.configured_lock()?;
        match (FeatureGraph::linked(), &self.loaded.config.spec) {
            (Err(Error::NothingLinked(_)), Some(file)) => {
                from_spec_and_lock(&self.loaded.path(file), &lock)
            }
            (Err(Error::NothingLinked(_)), None) => Err(Failure::input(
                "this program has no features of its own; name a spec file, `--spec features.json`, or \
                 take what was pushed, `--recorded`, or run the program that they are linked into, `cargo metaxy`",
            )),
            (graph, _) => {
                let graph = graph?;
                let graph = if lock.is_empty() { graph } else { with_lock(&graph, &lock)? };
                let project = graph.project().map(str::to_owned);
                Ok(Features { graph, project })
            }
        }
    }

    /// The features that are declared here, without those that the configuration has a lock file for, and
    /// the project that is said of them. A program without any has none.
    pub(super) fn declared(&self) -> Result<(Vec<FeatureDefinition>, Option<String>), Failure> {
        let of_graph = |graph: &FeatureGraph| Ok((graph.iter().cloned().collect(), None));
        let of_spec = |file: &Path| {
            let SpecFile { project, features } = read_spec(file)?;
            Ok((features, Some(project)))
        };
        if let Some(graph) = &self.recorded {
            return of_graph(graph);
        }
        if let Some(file) = &self.options.spec {
            return of_spec(file);
        }
        if let Some(file) = &self.options.lock {
            return of_graph(&from_lock(file)?);
        }
        match (FeatureGraph::linked(), &self.loaded.config.spec) {
            (Err(Error::NothingLinked(_)), Some(file)) => of_spec(&self.loaded.path(file)),
            (Err(Error::NothingLinked(_)), None) => Ok((Vec::new(), None)),
            (graph, _) => of_graph(&graph?),
        }
    }

    /// The lock file of the configuration.
    fn configured_lock(&self) -> Result<LockFile, Failure> {
        let path = self.lock_path();
        match &self.loaded.config.lock {
            Some(_) if !path.exists() => Err(Failure::input(format!(
                "there is no lock file `{}` yet, which the configuration names; `metaxy lock` writes it",
                shown(&path)
            ))),
            Some(_) => read_lock(&path),
            None => Ok(LockFile::default()),
        }
    }

    /// The graph alone.
    pub(super) fn graph(&self) -> Result<FeatureGraph, Failure> {
        Ok(self.features()?.graph)
    }

    /// The features that are named, or all of them.
    pub(super) fn select(
        &self,
        graph: &FeatureGraph,
        keys: &[String],
    ) -> Result<Vec<FeatureKey>, Failure> {
        if keys.is_empty() {
            return Ok(graph.keys().cloned().collect());
        }
        keys.iter().map(|key| feature(graph, key)).collect()
    }

    /// The store that the command is about, with the features, for a command that writes.
    pub(super) async fn store(&self) -> Result<Store, Failure> {
        self.open(self.name()?, self.graph()?, Purpose::Write, Vec::new()).await
    }

    /// The same for a command that only reads: a store that is not there is not made by it, and a file
    /// is not kept from others who read.
    pub(super) async fn store_to_read(&self) -> Result<Store, Failure> {
        self.open(self.name()?, self.graph()?, Purpose::Read, Vec::new()).await
    }

    /// The store, for a command that asks what was pushed to it: it needs no features of its own.
    pub(super) async fn store_of_any_graph(&self) -> Result<Store, Failure> {
        let graph = match self.graph() {
            Ok(graph) => graph,
            Err(_) => FeatureGraph::build(Vec::new()).map_err(Error::from)?,
        };
        self.open(self.name()?, graph, Purpose::Read, Vec::new()).await
    }

    /// A store by its name or address, with these features.
    pub(super) async fn store_named(
        &self,
        name: &str,
        graph: FeatureGraph,
        purpose: Purpose,
    ) -> Result<Store, Failure> {
        self.open(name, graph, purpose, Vec::new()).await
    }

    /// Whether a store is named at all.
    #[cfg(feature = "sql")]
    pub(super) fn names_store(&self) -> bool {
        self.name().is_ok()
    }

    /// The name or address of the store that the command is about.
    pub(super) fn name(&self) -> Result<&str, Failure> {
        let name = self.options.store.as_deref().or(self.loaded.config.store.as_deref());
        name.ok_or_else(|| {
            Failure::input(
                "which store? Name it, `--store duckdb:meta.duckdb`, or write `store = \"..\"` into \
                 metaxy.toml",
            )
        })
    }

    fn open<'a>(
        &'a self,
        name: &'a str,
        graph: FeatureGraph,
        purpose: Purpose,
        mut above: Vec<&'a str>,
    ) -> BoxFuture<'a, Result<Store, Failure>> {
        async move {
            if above.contains(&name) {
                return Err(Failure::input(format!(
                    "the store `{name}` is a fallback of itself: {} -> {name}",
                    above.join(" -> ")
                )));
            }
            above.push(name);
            let (config, store) = self.opening_named(name)?;
            let mut store = store.graph(graph.clone());
            if self.options.create_tables && purpose == Purpose::Write {
                store = store.create_tables(true);
            }
            for fallback in &config.fallback {
                let below = self.open(fallback, graph.clone(), Purpose::Read, above.clone());
                store = store.fallback(below.await?);
            }
            if purpose == Purpose::Write {
                return Ok(store.await?);
            }
            match store.clone().read_only(true).await {
                // An empty store over others is as good as one that is not there yet.
                Err(Error::NoStore { .. }) if config.create_tables => Ok(store.await?),
                opened => Ok(opened?),
            }
        }
        .boxed()
    }

    /// A store that is not opened yet, and what is said about it.
    fn opening_named(&self, name: &str) -> Result<(Cow<'_, StoreConfig>, OpenStore), Failure> {
        let config = self.loaded.store(name)?;
        // What is in a file of the configuration is where that is, wherever the command runs.
        let url = match self.loaded.config.stores.contains_key(name) {
            true => self.relative_to_file(&config.url),
            false => config.url.clone(),
        };
        let store = config.open(&url)?;
        Ok((config, store))
    }

    /// The store that the command is about, for what is done to a database before it is a store.
    #[cfg(feature = "sql")]
    pub(super) fn opening(&self) -> Result<OpenStore, Failure> {
        Ok(self.opening_named(self.name()?)?.1)
    }

    /// The database of the store that is named, if there is one, and what is said about its hashes.
    #[cfg(feature = "sql")]
    pub(super) fn engine_to_migrate(&self) -> Result<(Option<Engine>, RequestedSettings), Failure> {
        if !self.names_store() {
            return Ok((None, RequestedSettings::default()));
        }
        let (config, store) = self.opening_named(self.name()?)?;
        // How it is reached, `clickhouse+https`, does not matter.
        let scheme = config.url.split([':', '+']).next().unwrap_or_default();
        let engine = match scheme {
            "postgresql" => Some(Engine::Postgres),
            scheme => scheme.parse().ok(),
        };
        Ok((engine, store.requested()))
    }

    /// The folder with the migrations of the store, or of none.
    #[cfg(feature = "sql")]
    pub(super) fn migrations(&self) -> Result<PathBuf, Failure> {
        let of_store = match self.name() {
            Ok(name) => self.loaded.store(name)?.migrations.clone(),
            Err(_) => None,
        };
        Ok(self.loaded.path(&of_store.unwrap_or_else(|| PathBuf::from("migrations"))))
    }

    /// The lock file of the configuration, or where it would be.
    pub(super) fn lock_path(&self) -> PathBuf {
        let configured = self.loaded.config.lock.clone();
        self.loaded.path(&configured.unwrap_or_else(|| PathBuf::from("metaxy.lock")))
    }

    /// An address of the configuration: the path of a DuckDB file is relative to its own.
    fn relative_to_file(&self, url: &str) -> String {
        match url.strip_prefix("duckdb:") {
            Some(path) if !path.starts_with(":memory:") => {
                let path = path.strip_prefix("//").unwrap_or(path);
                format!("duckdb:{}", self.loaded.path(Path::new(path)).display())
            }
            _ => url.to_owned(),
        }
    }

    /// Shows that something is going on, where somebody looks.
    pub(super) fn progress(&self, length: Option<u64>, what: impl Into<String>) -> ProgressBar {
        if self.options.quiet {
            return ProgressBar::hidden();
        }
        let (bar, style) = match length {
            Some(length) => (ProgressBar::new(length), "{msg} {wide_bar} {pos}/{len} {eta}"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}"),
        };
        let style = ProgressStyle::with_template(style);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.into());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

/// A path as it is shown: from here, if it is in this folder.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).display().to_string()
}

/// A feature of a graph by its key.
pub(super) fn feature(graph: &FeatureGraph, key: &str) -> Result<FeatureKey, Failure> {
    let nearest = || crate::nearest::nearest(key, graph.keys().map(FeatureKey::as_str));
    // A text that is no key is most often a key with a slip.
    let parsed = FeatureKey::new(key).ok().filter(|key| graph.get(key).is_some());
    parsed.ok_or_else(|| {
        Error::UnknownFeature { feature: key.to_owned(), nearest: nearest().map(str::to_owned) }
            .into()
    })
}

/// The features of a lock file, which are other projects'.
pub(super) fn from_lock(file: &Path) -> Result<FeatureGraph, Failure> {
    let path = file.display();
    let lock = read_lock(file)?;
    FeatureGraph::builder().lock(&lock).build().map_err(|errors| {
        Failure::Input(errors.iter().map(|error| format!("{path}: {error}")).collect())
    })
}

/// A lock file.
pub(super) fn read_lock(file: &Path) -> Result<LockFile, Failure> {
    let path = shown(file);
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::input(format!("cannot read `{path}`: {error}")))?;
    LockFile::parse(&text).map_err(|error| Failure::input(format!("{path}: {error}")))
}

/// The features of a graph with those of other projects.
fn with_lock(graph: &FeatureGraph, lock: &LockFile) -> Result<FeatureGraph, Failure> {
    Ok(graph.with_lock(lock).map_err(Error::from)?)
}

/// The features of a spec file.
pub(super) fn from_spec(file: &Path) -> Result<Features, Failure> {
    from_spec_and_lock(file, &LockFile::default())
}

/// The features of a spec file, with those of other projects.
fn from_spec_and_lock(file: &Path, lock: &LockFile) -> Result<Features, Failure> {
    let SpecFile { project, features } = read_spec(file)?;
    let path = file.display();
    let graph = FeatureGraph::locked(features, lock).map_err(|errors| {
        Failure::Input(errors.iter().map(|error| format!("{path}: {error}")).collect())
    })?;
    Ok(Features { graph, project: Some(project) })
}

/// A spec file, whose features need not be all of a graph.
fn read_spec(file: &Path) -> Result<SpecFile, Failure> {
    let path = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::input(format!("cannot read `{path}`: {error}")))?;
    SpecFile::parse(&text).map_err(|errors| {
        Failure::Input(errors.messages().map(|message| format!("{path}: {message}")).collect())
    })
}
