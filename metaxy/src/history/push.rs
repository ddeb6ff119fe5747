//! [`Push`]: the graph of a store is recorded in it.

use super::HistoryError;
use super::log::{Entry, Log, OWN_TAG, write_changes};
use crate::awaited::awaited;
use crate::error::{Error, Result};
use crate::graph::{self, FeatureGraph, GraphErrors};
use crate::key::FeatureKey;
use crate::pyjson;
use crate::spec::FeatureDefinition;
use crate::store::Store;
use crate::store::backend::{PushRequest, PushedRow, PushedRows};
use crate::version::GraphVersions;
use metaxy_sql::literal::check_text;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// How often a push is made anew because another one came before it.
const ATTEMPTS: usize = 100;

/// A push that has not begun; `.await` it.
///
/// The features of one project are pushed as a whole: what the project had at its last push and the
/// graph does not have is marked as removed. Definitions are recorded as by a write, so that rows that
/// carry their versions are understood. Features that come from a [lock file](super::LockFile), or from a push of
/// another project, are that project's and are left out.
#[must_use = "a push begins with `.await`"]
#[derive(Clone, Debug)]
pub struct Push {
    store: Store,
    projects: Vec<String>,
    all_projects: bool,
    tags: Vec<(String, String)>,
    dry_run: bool,
}

/// What a push did, or would do.
///
/// As JSON: `{"time", "dry_run", "projects": [..]}` with the projects as [`PushedProject`] has them; the
/// time in microseconds since 1970-01-01 UTC, or `null` if nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pushed {
    /// The time of the push, in microseconds since 1970-01-01 UTC; `None` if nothing was appended.
    pub time: Option<i64>,
    /// Whether it only says what it would do.
    pub dry_run: bool,
    /// The projects, by name.
    pub projects: Vec<PushedProject>,
}

/// What a push did to a project.
///
/// As JSON: `{"project", "before", "after", "added": [..], "changed": [..], "removed": [..],
/// "unchanged": [..]}`; `before` is `null` at the first push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PushedProject {
    /// The project.
    pub project: String,
    /// Its version at the last push.
    pub before: Option<String>,
    /// Its version now.
    pub after: String,
    /// The features that it did not have.
    pub added: Vec<FeatureKey>,
    /// Those whose definition or version was another one.
    pub changed: Vec<FeatureKey>,
    /// Those that it does not have any more.
    pub removed: Vec<FeatureKey>,
    /// Those that are as they were.
    pub unchanged: Vec<FeatureKey>,
}

impl Pushed {
    /// Whether the graph is the one that was there already.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.projects.iter().all(PushedProject::is_unchanged)
    }
}

impl PushedProject {
    /// Whether the project is as it was.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// A line per project: `example: 4a4122e5 -> 8b29b200, 1 added (a/b), 3 unchanged`.
impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, project) in self.projects.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            let PushedProject { project: name, before, after, .. } = project;
            match before {
                _ if project.is_unchanged() => write!(f, "{name}: {after} is pushed already")?,
                Some(before) if before == after => write!(f, "{name}: {after}")?,
                Some(before) => write!(f, "{name}: {before} -> {after}")?,
                None => write!(f, "{name}: {after}")?,
            }
            write_changes(f, [&project.added, &project.changed, &project.removed])?;
            if !project.unchanged.is_empty() {
                write!(f, ", {} unchanged", project.unchanged.len())?;
            }
        }
        Ok(())
    }
}

impl Push {
    /// A word about the push that its history keeps: `tag("git", "4b825dc")`. The tag `metaxy` is taken.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// Only the features of this project; may be said several times. It has to be said, or
    /// [`all_projects`](Self::all_projects), if the graph has features of several.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.projects.push(project.into());
        self
    }

    /// All projects of the graph. Each has to be there as a whole: what the graph lacks of it is marked
    /// as removed.
    pub fn all_projects(mut self, all: bool) -> Self {
        self.all_projects = all;
        self
    }

    /// Whether to say only what would be done.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    #[tracing::instrument(skip_all)]
    async fn run(self) -> Result<Pushed> {
        let tags = tags(&self.tags)?;
        let projects = self.chosen()?;
        let graph = self.store.graph();
        let versions = graph.versions(self.store.settings().hash_truncation_length);
        let is_chosen = |d: &&FeatureDefinition| !d.is_external() && projects.contains(&d.project);
        let contexts = graph.iter().filter(is_chosen).map(|d| self.store.feature(&d.spec.key));
        let contexts = contexts.collect::<Result<Vec<_>>>()?;
        for _ in 0..ATTEMPTS {
            let log = Log::new(self.store.backend.pushed(PushedRows::Summary).await?)?;
            let plans: Vec<Plan> =
                projects.iter().map(|p| Plan::new(p, graph, &versions, log.last(p))).collect();
            let mut pushed = Pushed { time: None, dry_run: self.dry_run, projects: Vec::new() };
            if !self.dry_run {
                let mut rows = Vec::new();
                for plan in &plans {
                    rows.extend(plan.rows(graph, &versions, &tags)?);
                }
                rows.extend(self.tombstones(&plans, &tags).await?);
                let is_any = !rows.is_empty();
                let request = PushRequest { features: contexts.clone(), rows, after: log.latest };
                let Some(time) = self.store.backend.push(request).await? else { continue };
                pushed.time = is_any.then_some(time);
            }
            pushed.projects = plans.into_iter().map(|plan| plan.report).collect();
            tracing::debug!(%pushed, "pushed");
            return Ok(pushed);
        }
        Err(Error::Conflict {
            engine: "the store",
            message: format!("{ATTEMPTS} other pushes came first, one after the other"),
        })
    }

    /// The projects that are pushed, by name.
    fn chosen(&self) -> Result<BTreeSet<String>> {
        let own = self.store.graph().iter().filter(|d| !d.is_external());
        let found: BTreeSet<String> = own.map(|d| d.project.clone()).collect();
        for project in &self.projects {
            if !found.contains(project) {
                let (project, found) = (project.clone(), found.into_iter().collect());
                return Err(HistoryError::NoProject { project, found }.into());
            }
        }
        let chosen = match &self.projects[..] {
            [] if found.len() > 1 && !self.all_projects => {
                let projects = found.into_iter().collect();
                let or = ", or take all with `.all_projects(true)`";
                return Err(HistoryError::SeveralProjects { projects, or }.into());
            }
            [] => found,
            _ if self.all_projects => found,
            some => some.iter().cloned().collect(),
        };
        // A graph that is read back from a store may have any; what is pushed here others have to read.
        let pushed = self.store.graph().iter().filter(|d| !d.is_external());
        let mistakes: Vec<_> =
            graph::projects(pushed.filter(|d| chosen.contains(&d.project))).collect();
        match mistakes.is_empty() {
            true => Ok(chosen),
            false => Err(GraphErrors::new(mistakes).into()),
        }
    }

    /// The rows that say that features are removed: the last that they had, with a mark.
    async fn tombstones(&self, plans: &[Plan<'_>], tags: &str) -> Result<Vec<PushedRow>> {
        let removed: Vec<&Arc<PushedRow>> = plans.iter().flat_map(|plan| &plan.removed).collect();
        let rows = whole(&self.store, removed.iter().map(|row| &***row)).await?;
        let tombstone =
            |row: PushedRow| PushedRow { tags: tags.to_owned(), deleted_at: Some(row.time), ..row };
        Ok(rows.into_iter().map(tombstone).collect())
    }
}

/// These rows, with what a summary leaves out.
pub(super) async fn whole<'a>(
    store: &Store,
    rows: impl Iterator<Item = &'a PushedRow>,
) -> Result<Vec<PushedRow>> {
    let mark = |row: &PushedRow| {
        let versions = (row.definition_version.clone(), row.feature_version.clone());
        (row.project.clone(), row.time, row.feature.clone(), versions)
    };
    let mut wanted: HashMap<_, _> = rows.map(|row| (mark(row), row)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let places: BTreeSet<(String, i64)> =
        wanted.values().map(|row| (row.project.clone(), row.time)).collect();
    let found = store.backend.pushed(PushedRows::Whole(places.into_iter().collect())).await?;
    let mut all = Vec::with_capacity(wanted.len());
    for row in found {
        // A row may be there twice, and its own tombstone beside it.
        if row.deleted_at.is_none() && wanted.remove(&mark(&row)).is_some() {
            all.push(row);
        }
    }
    match wanted.into_values().next() {
        None => Ok(all),
        Some(row) => Err(Error::Conflict {
            engine: "the store",
            message: format!("what was pushed of `{}` is not there any more", row.feature),
        }),
    }
}

/// What a push does to one project.
struct Plan<'a> {
    report: PushedProject,
    /// Whether all features are appended, and not only those that differ.
    is_whole: bool,
    /// The rows of what is removed.
    removed: Vec<Arc<PushedRow>>,
    project: &'a str,
}

impl<'a> Plan<'a> {
    fn new(
        project: &'a str,
        graph: &FeatureGraph,
        versions: &GraphVersions,
        last: Option<&Entry>,
    ) -> Self {
        let none = BTreeMap::new();
        let before = last.map_or(&none, |entry| &entry.features);
        let mut report = PushedProject {
            project: project.to_owned(),
            before: last.map(|entry| entry.version.clone()),
            after: versions.project(project).to_owned(),
            added: Vec::new(),
            changed: Vec::new(),
            removed: Vec::new(),
            unchanged: Vec::new(),
        };
        let mut today = BTreeSet::new();
        for definition in members(graph, project) {
            let key = &definition.spec.key;
            today.insert(key);
            let Some(of) = versions.feature(key) else { continue };
            let is_same = |row: &Arc<PushedRow>| {
                row.definition_version == of.definition_version
                    && row.feature_version == of.feature_version
            };
            let place = match before.get(key) {
                None => &mut report.added,
                Some(row) if is_same(row) => &mut report.unchanged,
                Some(_) => &mut report.changed,
            };
            place.push(key.clone());
        }
        let removed: Vec<_> = before.iter().filter(|(key, _)| !today.contains(key)).collect();
        report.removed = removed.iter().map(|(key, _)| (*key).clone()).collect();
        for keys in [&mut report.added, &mut report.changed, &mut report.unchanged] {
            keys.sort();
        }
        let is_whole = last.is_none_or(|entry| entry.version != report.after);
        let removed = removed.into_iter().map(|(_, row)| Arc::clone(row)).collect();
        Self { report, is_whole, removed, project }
    }

    /// The rows of the features that are there.
    fn rows(
        &self,
        graph: &FeatureGraph,
        versions: &GraphVersions,
        tags: &str,
    ) -> Result<Vec<PushedRow>> {
        let mut rows = Vec::new();
        if self.report.is_unchanged() && !self.is_whole {
            return Ok(rows);
        }
        for definition in members(graph, self.project) {
            let key = &definition.spec.key;
            let is_asked = self.is_whole || !self.report.unchanged.contains(key);
            let (Some(of), Some(spec)) = (versions.feature(key), graph.wire_spec(key)) else {
                continue;
            };
            if !is_asked {
                continue;
            }
            check_text(&definition.type_path)?;
            rows.push(PushedRow {
                project: self.report.project.clone(),
                feature: key.to_string(),
                feature_version: of.feature_version.clone(),
                definition_version: of.definition_version.clone(),
                time: 0,
                spec: pyjson::in_order(&spec.to_json()),
                schema: pyjson::in_order(&definition.schema),
                class_path: definition.type_path.clone(),
                project_version: self.report.after.clone(),
                tags: tags.to_owned(),
                deleted_at: None,
            });
        }
        Ok(rows)
    }
}

/// The features of a project that are its own.
fn members<'a>(
    graph: &'a FeatureGraph,
    project: &'a str,
) -> impl Iterator<Item = &'a FeatureDefinition> {
    graph.iter().filter(move |d| d.project == project && !d.is_external())
}

/// Tags as they are kept: a JSON object of texts, with the one that says who made the push.
fn tags(tags: &[(String, String)]) -> Result<String, HistoryError> {
    let mut members = Map::new();
    for (name, value) in tags {
        let problem = match name.as_str() {
            OWN_TAG => "it says which implementation made the push",
            "" => "it has no name",
            _ => {
                members.insert(name.clone(), Value::from(value.as_str()));
                continue;
            }
        };
        return Err(HistoryError::Tag { tag: name.clone(), problem });
    }
    let mut own = Map::new();
    own.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    // A text of JSON within JSON, as Python has it.
    members.insert(OWN_TAG.to_owned(), pyjson::in_order(&own.into()).into());
    Ok(pyjson::in_order(&members.into()))
}

awaited!(Push => Pushed);

impl Store {
    /// Records the graph in the store, so that others can read what its versions mean, and says what is
    /// different since the last time. See [`history`](crate::history).
    ///
    /// ```no_run
    /// # async fn f(store: &metaxy::Store, commit: &str) -> metaxy::Result<()> {
    /// println!("{}", store.push().tag("git", commit).await?);
    /// # Ok(()) }
    /// ```
    pub fn push(&self) -> Push {
        Push {
            store: self.clone(),
            projects: Vec::new(),
            all_projects: false,
            tags: Vec::new(),
            dry_run: false,
        }
    }
}
