//! [`History`] and [`PushedGraph`]: pushes read back, as a list and as graphs.

use super::HistoryError;
use super::log::{Entry, HistoryEntry, Log, text_of};
use super::push::whole;
use crate::awaited::awaited;
use crate::error::Result;
use crate::graph::FeatureGraph;
use crate::key::FeatureKey;
use crate::nearest::nearest;
use crate::pyjson;
use crate::schema;
use crate::spec::{FeatureDefinition, FeatureSpec, Origin, SpecErrors};
use crate::store::Store;
use crate::store::backend::{PushedRow, PushedRows};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The pushes of a store, the newest first; `.await` it.
#[must_use = "a history is read by `.await`"]
#[derive(Clone, Debug)]
pub struct History {
    store: Store,
    project: Option<String>,
    limit: Option<usize>,
}

impl History {
    /// Only the pushes of this project.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// At most so many, the newest.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    #[tracing::instrument(skip_all)]
    async fn run(self) -> Result<Vec<HistoryEntry>> {
        let log = read(&self.store).await?;
        let is_asked = |project: &&String| self.project.as_ref().is_none_or(|own| own == *project);
        let projects = log.projects.iter().filter(|(project, _)| is_asked(project));
        let mut all: Vec<HistoryEntry> = projects
            .flat_map(|(project, entries)| entries.iter().map(|entry| entry.public(project)))
            .collect();
        // What came at one time is one push: its projects by name.
        all.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.project.cmp(&b.project)));
        all.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(all)
    }
}

async fn read(store: &Store) -> Result<Log> {
    Ok(Log::new(store.backend.pushed(PushedRows::Summary).await?)?)
}

/// Which push of a project.
///
/// A text is read as `latest`, `latest~2` (two pushes before the latest), or a version of the project; a
/// number as so many pushes before the latest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum At {
    /// The latest push.
    #[default]
    Latest,
    /// So many pushes before the latest.
    Ago(usize),
    /// The latest push of this version of the project.
    Version(String),
    /// The latest push until then, in microseconds since 1970-01-01 UTC.
    Time(i64),
}

impl From<&str> for At {
    fn from(text: &str) -> Self {
        match (text, text.strip_prefix("latest~").map(str::parse)) {
            ("latest", _) => Self::Latest,
            (_, Some(Ok(n))) => Self::Ago(n),
            _ => Self::Version(text.to_owned()),
        }
    }
}

impl From<String> for At {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<usize> for At {
    fn from(n: usize) -> Self {
        Self::Ago(n)
    }
}

impl At {
    /// The push that is meant, by its place in the list.
    fn find(&self, entries: &[Entry]) -> Option<usize> {
        match self {
            Self::Latest => entries.len().checked_sub(1),
            Self::Ago(n) => entries.len().checked_sub(n.checked_add(1)?),
            Self::Version(version) => entries.iter().rposition(|e| e.version == *version),
            Self::Time(time) => entries.iter().rposition(|e| e.time <= *time),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Latest => "the latest push".to_owned(),
            Self::Ago(n) => format!("the push {n} before the latest"),
            Self::Version(version) => format!("the version `{version}`"),
            Self::Time(time) => format!("a push until {}", text_of(*time)),
        }
    }
}

/// A graph that was pushed; `.await` it.
///
/// It has the features of a project as they were then and, from the projects that they are in, all that
/// these are computed from. A push that is in force takes these as they are today, an earlier one as
/// they were at its time.
///
/// Definitions come without what only a program knows: fields have their first names, and columns have
/// types only if the schema is one of this library.
#[must_use = "a graph is read by `.await`"]
#[derive(Clone, Debug)]
pub struct PushedGraph {
    store: Store,
    at: At,
    project: Option<String>,
}

impl PushedGraph {
    /// The project. Without it, the only one that there is, or for a version the one that has it.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    #[tracing::instrument(skip_all)]
    async fn run(self) -> Result<FeatureGraph> {
        let log = read(&self.store).await?;
        let (project, place) = self.place(&log)?;
        let entries = &log.projects[&project];
        let entry = &entries[place];
        let is_last = place + 1 == entries.len();
        let until = if is_last { i64::MAX } else { entry.time };
        let when = format!("as it was pushed at {}", text_of(entry.time));
        let missing = |feature: &FeatureKey, upstream: &FeatureKey| HistoryError::MissingUpstream {
            project: project.clone(),
            when: when.clone(),
            feature: feature.clone(),
            upstream: upstream.clone(),
        };
        let own: Vec<_> =
            entry.features.iter().map(|(key, row)| (key.clone(), Arc::clone(row))).collect();
        let closure = Closure { store: &self.store, log: &log, project: Some(&project), until };
        let definitions = closure.of(own, missing).await?;
        let graph = FeatureGraph::build(definitions.into_values().map(|(d, _)| d).collect());
        Ok(graph.map_err(|source| HistoryError::Graph { project, when, source })?)
    }

    /// The project and the place of the push among its own.
    fn place(&self, log: &Log) -> Result<(String, usize), HistoryError> {
        let none = |found: String| HistoryError::NoPush { what: self.at.describe(), found };
        let find =
            |project: &String| log.projects.get(project).and_then(|entries| self.at.find(entries));
        let projects: Vec<String> = match &self.project {
            Some(project) => vec![project.clone()],
            None => log.projects.keys().cloned().collect(),
        };
        let found: Vec<(String, usize)> =
            projects.iter().filter_map(|p| Some((p.clone(), find(p)?))).collect();
        match (&found[..], &self.at) {
            ([one], At::Version(_)) => Ok(one.clone()),
            ([one], _) if projects.len() == 1 => Ok(one.clone()),
            ([], _) if log.projects.is_empty() => {
                Err(none("nothing was ever pushed to it: `store.push()`".to_owned()))
            }
            ([], _) => {
                let counts = projects.iter().map(|project| {
                    let n = log.projects.get(project).map_or(0, Vec::len);
                    format!("`{project}` has {n}")
                });
                Err(none(format!(
                    "{}, see `store.history()`",
                    counts.collect::<Vec<_>>().join(", ")
                )))
            }
            _ => Err(HistoryError::SeveralProjects { projects, or: "" }),
        }
    }
}

/// Pushed features with all that they are computed from.
pub(super) struct Closure<'a> {
    pub(super) store: &'a Store,
    pub(super) log: &'a Log,
    /// The project whose features are its own; those of others are external.
    pub(super) project: Option<&'a str>,
    /// What is upstream is taken as it was then.
    pub(super) until: i64,
}

/// Definitions by key, each with the version that it was pushed with.
pub(super) type Definitions = BTreeMap<FeatureKey, (FeatureDefinition, Arc<PushedRow>)>;

impl Closure<'_> {
    /// The definitions of these features, and of all that is upstream of them.
    pub(super) async fn of(
        &self,
        features: Vec<(FeatureKey, Arc<PushedRow>)>,
        missing: impl Fn(&FeatureKey, &FeatureKey) -> HistoryError,
    ) -> Result<Definitions> {
        let mut done = Definitions::new();
        let mut seen: BTreeSet<FeatureKey> = features.iter().map(|(key, _)| key.clone()).collect();
        let mut todo = features;
        while !todo.is_empty() {
            let rows = whole(self.store, todo.iter().map(|(_, row)| &**row)).await?;
            let mut next = Vec::new();
            for row in rows {
                let definition = self.definition(&row)?;
                let feature = definition.spec.key.clone();
                for dep in &definition.spec.deps {
                    if seen.insert(dep.feature.clone()) {
                        let found = self.log.find(&dep.feature, self.until);
                        let found = found.ok_or_else(|| missing(&feature, &dep.feature))?;
                        next.push((dep.feature.clone(), Arc::clone(found)));
                    }
                }
                done.insert(feature, (definition, Arc::new(row)));
            }
            todo = next;
        }
        Ok(done)
    }

    fn definition(&self, row: &PushedRow) -> Result<FeatureDefinition, HistoryError> {
        let read = || -> Result<FeatureDefinition, SpecErrors> {
            let spec = FeatureSpec::from_json_text(&row.spec)?;
            let schema = pyjson::parse(&row.schema).map_err(SpecErrors::text)?;
            let columns = schema::columns(&schema, &spec.id_columns);
            let is_own = self.project == Some(&row.project);
            let origin = if is_own {
                Origin::Recorded
            } else {
                let from = format!("project `{}`, recorded in the store", row.project);
                Origin::External { from }
            };
            Ok(FeatureDefinition {
                spec,
                project: row.project.clone(),
                columns,
                schema,
                type_path: row.class_path.clone(),
                origin,
            })
        };
        let key = || FeatureKey::new(&row.feature).map_err(|source| HistoryError::Key { source });
        match read() {
            Ok(definition) if definition.spec.key.as_str() == row.feature => Ok(definition),
            Ok(definition) => Err(HistoryError::Row {
                feature: key()?,
                project: row.project.clone(),
                when: text_of(row.time),
                source: SpecErrors::text(format!("its spec is that of `{}`", definition.spec.key)),
            }),
            Err(source) => Err(HistoryError::Row {
                feature: key()?,
                project: row.project.clone(),
                when: text_of(row.time),
                source,
            }),
        }
    }
}

/// These features as they were pushed last, and all that is upstream of them.
pub(super) async fn latest(store: &Store, keys: &[FeatureKey]) -> Result<Definitions> {
    let log = read(store).await?;
    let not_pushed = |key: &FeatureKey| {
        let nearest = nearest(key.as_str(), log.keys().map(FeatureKey::as_str));
        HistoryError::NotPushed { feature: key.clone(), nearest: nearest.map(str::to_owned) }
    };
    let mut features = Vec::new();
    for key in keys.iter().collect::<BTreeSet<_>>() {
        let row = log.find(key, i64::MAX).ok_or_else(|| not_pushed(key))?;
        features.push((key.clone(), Arc::clone(row)));
    }
    let closure = Closure { store, log: &log, project: None, until: i64::MAX };
    closure.of(features, |_, upstream| not_pushed(upstream)).await
}

awaited!(History => Vec<HistoryEntry>);

awaited!(PushedGraph => FeatureGraph);

/// Reads of what was pushed.
impl Store {
    /// The pushes, the newest first: when, what they are called, and what they changed.
    pub fn history(&self) -> History {
        History { store: self.clone(), project: None, limit: None }
    }

    /// The graph of a push: `"latest"`, `"latest~2"` or the version of a project, or how many pushes ago.
    ///
    /// ```no_run
    /// # async fn f(store: &metaxy::Store) -> metaxy::Result<()> {
    /// let before = store.pushed_graph("latest~1").project("example").await?;
    /// # Ok(()) }
    /// ```
    pub fn pushed_graph(&self, at: impl Into<At>) -> PushedGraph {
        PushedGraph { store: self.clone(), at: at.into(), project: None }
    }
}
