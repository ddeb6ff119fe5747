//! Rows of the table of pushes -> what each project was after each push.
//!
//! The rows may be of this library and of Python, whole pushes and parts of them, and some may be there
//! twice. Not here: specs, which rows are looked up for, and how rows are fetched.

use super::HistoryError;
use crate::key::FeatureKey;
use crate::store::backend::PushedRow;
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The tag that every push has: who made it.
pub(super) const OWN_TAG: &str = "metaxy";

/// One push of one project, and what it changed.
///
/// As JSON: `{"project", "version", "time", "tags": {..}, "n_features", "added": [..], "changed": [..],
/// "removed": [..]}`, the time in microseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// The project.
    pub project: String,
    /// Its version since then.
    pub version: String,
    /// When, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// What the push was called; `metaxy` says which implementation made it.
    pub tags: BTreeMap<String, String>,
    /// The features that the project had since then.
    pub n_features: usize,
    /// Those that it did not have before.
    pub added: Vec<FeatureKey>,
    /// Those whose definition or version was another one before.
    pub changed: Vec<FeatureKey>,
    /// Those that it had before.
    pub removed: Vec<FeatureKey>,
}

/// `2026-01-31T12:00:00Z example 4a4122e5: 12 features, 1 added (a/b), tags git=abc`
impl fmt::Display for HistoryEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { project, version, n_features, .. } = self;
        write!(f, "{} {project} {version}: {n_features} feature", text_of(self.time))?;
        f.write_str(if *n_features == 1 { "" } else { "s" })?;
        write_changes(f, [&self.added, &self.changed, &self.removed])?;
        let tags: Vec<String> = (self.tags.iter())
            .filter(|(name, _)| *name != OWN_TAG)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if tags.is_empty() { Ok(()) } else { write!(f, ", tags {}", tags.join(" ")) }
    }
}

/// `, 1 added (a/b)` for each that there is.
pub(super) fn write_changes(
    f: &mut fmt::Formatter<'_>,
    changes: [&Vec<FeatureKey>; 3],
) -> fmt::Result {
    for (keys, what) in changes.into_iter().zip(["added", "changed", "removed"]) {
        if !keys.is_empty() {
            let names: Vec<&str> = keys.iter().map(FeatureKey::as_str).collect();
            write!(f, ", {} {what} ({})", keys.len(), names.join(", "))?;
        }
    }
    Ok(())
}

/// A time as people read it.
pub(super) fn text_of(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        None => format!("{micros} us"),
    }
}

/// A push, and the project as it was since then.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) version: String,
    pub(super) time: i64,
    tags: BTreeMap<String, String>,
    /// The features, by the row that says what they are.
    pub(super) features: BTreeMap<FeatureKey, Arc<PushedRow>>,
    added: Vec<FeatureKey>,
    changed: Vec<FeatureKey>,
    removed: Vec<FeatureKey>,
}

impl Entry {
    pub(super) fn public(&self, project: &str) -> HistoryEntry {
        HistoryEntry {
            project: project.to_owned(),
            version: self.version.clone(),
            time: self.time,
            tags: self.tags.clone(),
            n_features: self.features.len(),
            added: self.added.clone(),
            changed: self.changed.clone(),
            removed: self.removed.clone(),
        }
    }
}

/// The pushes of all projects.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// By project, the latest last.
    pub(super) projects: BTreeMap<String, Vec<Entry>>,
    /// The latest time of all rows.
    pub(super) latest: Option<i64>,
}

/// What a row says of its feature.
fn fingerprint(row: &PushedRow) -> (&str, &str) {
    (&row.definition_version, &row.feature_version)
}

type Rows = BTreeMap<FeatureKey, Arc<PushedRow>>;

/// Rows of one project that came together: those of one version of it, without another between them.
#[derive(Default)]
struct Group {
    rows: Rows,
    removed: BTreeSet<FeatureKey>,
    first: i64,
    last: i64,
}

impl Log {
    pub(super) fn new(rows: Vec<PushedRow>) -> Result<Self, HistoryError> {
        let latest = rows.iter().map(|row| row.time).max();
        let mut by_project: BTreeMap<String, Vec<(FeatureKey, Arc<PushedRow>)>> = BTreeMap::new();
        for row in rows {
            let key = FeatureKey::new(&row.feature);
            let key = key.map_err(|source| HistoryError::Key { source })?;
            by_project.entry(row.project.clone()).or_default().push((key, Arc::new(row)));
        }
        let of = |(project, rows)| (project, entries(rows));
        Ok(Self { projects: by_project.into_iter().map(of).collect(), latest })
    }

    pub(super) fn last(&self, project: &str) -> Option<&Entry> {
        self.projects.get(project)?.last()
    }

    /// Where the feature is at a time: its row, and the project that has it. Of several projects, the
    /// one that has pushed it last.
    pub(super) fn find(&self, key: &FeatureKey, until: i64) -> Option<&Arc<PushedRow>> {
        let of_project =
            |entries: &'_ Vec<Entry>| entries.iter().rposition(|entry| entry.time <= until);
        let found = self
            .projects
            .values()
            .filter_map(|entries| entries[of_project(entries)?].features.get(key));
        found.max_by_key(|row| row.time)
    }

    /// All keys that there are today.
    pub(super) fn keys(&self) -> impl Iterator<Item = &FeatureKey> {
        self.projects.values().filter_map(|entries| entries.last()).flat_map(|e| e.features.keys())
    }
}

/// The pushes of one project, the first one first.
fn entries(mut rows: Vec<(FeatureKey, Arc<PushedRow>)>) -> Vec<Entry> {
    // A tombstone carries the version of the push before its own, and comes after the rows of that.
    rows.sort_by(|(a, x), (b, y)| {
        let place = |row: &PushedRow| (row.time, row.deleted_at.is_some());
        let by_place = place(x).cmp(&place(y));
        by_place.then_with(|| x.project_version.cmp(&y.project_version)).then_with(|| a.cmp(b))
    });
    let mut entries: Vec<Entry> = Vec::new();
    let mut group: Option<(String, Group)> = None;
    for (key, row) in rows {
        let is_tombstone = row.deleted_at.is_some();
        let version = &row.project_version;
        let is_next = match &group {
            None => true,
            Some((_, group)) if is_tombstone => group.last != row.time,
            Some((of, group)) => {
                let known = group.rows.get(&key);
                of != version
                    || !group.removed.is_empty()
                    || known.is_some_and(|known| fingerprint(known) != fingerprint(&row))
            }
        };
        if is_next {
            if let Some((version, group)) = group.take() {
                entries.extend(entry(entries.last(), version, &group));
            }
            let group_of = Group { first: row.time, last: row.time, ..Group::default() };
            group = Some((version.clone(), group_of));
        }
        let Some((_, group)) = &mut group else { continue };
        group.last = row.time;
        if is_tombstone {
            group.removed.insert(key);
        } else {
            // Said twice, it is what was said first.
            group.rows.entry(key).or_insert(row);
        }
    }
    if let Some((version, group)) = group {
        entries.extend(entry(entries.last(), version, &group));
    }
    entries
}

/// What a group of rows makes of a project; nothing if it is what it was.
fn entry(before: Option<&Entry>, version: String, group: &Group) -> Option<Entry> {
    let none = Rows::new();
    let old = before.map_or(&none, |entry| &entry.features);
    // Rows of the version that it has already are those that differ; else they are all there are.
    let is_part = group.rows.is_empty() || before.is_some_and(|entry| entry.version == version);
    let mut features = if is_part { old.clone() } else { Rows::new() };
    features.extend(group.rows.iter().map(|(key, row)| (key.clone(), Arc::clone(row))));
    features.retain(|key, _| !group.removed.contains(key) || group.rows.contains_key(key));
    let differ = |row: &PushedRow, key: &FeatureKey| {
        old.get(key).is_some_and(|old| fingerprint(old) != fingerprint(row))
    };
    let keys = |rows: Vec<&FeatureKey>| rows.into_iter().cloned().collect::<Vec<_>>();
    let added = keys(features.keys().filter(|key| !old.contains_key(*key)).collect());
    let changed = features.iter().filter(|(key, row)| differ(row, key)).map(|(key, _)| key);
    let changed = keys(changed.collect());
    let removed = keys(old.keys().filter(|key| !features.contains_key(*key)).collect());
    // What did not change keeps the row of the push that brought it.
    if added.is_empty() && changed.is_empty() && removed.is_empty() {
        return None;
    }
    let tags = group.rows.values().next().map(|row| tags(&row.tags)).unwrap_or_default();
    Some(Entry { version, time: group.first, tags, features, added, changed, removed })
}

/// The tags of a row: texts as they are, anything else as JSON.
fn tags(text: &str) -> BTreeMap<String, String> {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return BTreeMap::new() };
    let as_text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, as_text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row `feature definition` of a push of a version of the project `p`.
    fn row(time: i64, version: &str, feature: &str, definition: &str) -> PushedRow {
        PushedRow {
            project: "p".to_owned(),
            feature: feature.to_owned(),
            feature_version: definition.to_owned(),
            definition_version: definition.to_owned(),
            time,
            project_version: version.to_owned(),
            tags: format!(r#"{{"n": {time}, "metaxy": "{{}}"}}"#),
            ..PushedRow::default()
        }
    }

    fn tombstone(time: i64, version: &str, feature: &str) -> PushedRow {
        PushedRow { deleted_at: Some(time), ..row(time, version, feature, "1") }
    }

    /// Per push its time, version, features and what it added, changed and removed.
    fn history(mut rows: Vec<PushedRow>) -> Vec<String> {
        let texts = |log: Log| -> Vec<String> {
            let entries = log.projects.get("p").into_iter().flatten();
            let text = |entry: &Entry| {
                let of = entry.public("p");
                let list = |keys: &[FeatureKey]| {
                    keys.iter().map(FeatureKey::as_str).collect::<Vec<_>>().join(" ")
                };
                let all: Vec<String> = (entry.features.iter())
                    .map(|(key, row)| format!("{key}{}", row.definition_version))
                    .collect();
                let [added, changed, removed] =
                    [&of.added, &of.changed, &of.removed].map(|keys| list(keys));
                let (time, version, all) = (of.time, of.version, all.join(" "));
                format!("{time} {version}: {all} | +{added} ~{changed} -{removed}")
            };
            entries.map(text).collect()
        };
        let forward = texts(Log::new(rows.clone()).unwrap());
        rows.reverse();
        assert_eq!(texts(Log::new(rows).unwrap()), forward, "the order of rows says nothing");
        forward
    }

    /// A, B, A: the latest decides.
    #[test]
    fn back_again() {
        let a = |time| row(time, "A", "x", "1");
        let found = history(vec![a(1), row(2, "B", "x", "2"), a(3)]);
        assert_eq!(found, ["1 A: x1 | +x ~ -", "2 B: x2 | + ~x -", "3 A: x1 | + ~x -"]);
    }

    /// Python names all features of a version, and says nothing of one that is gone.
    #[test]
    fn whole_pushes_without_tombstones() {
        let rows = vec![
            row(1, "A", "x", "1"),
            row(1, "A", "y", "1"),
            row(2, "B", "x", "1"),
            row(3, "C", "x", "1"),
            row(3, "C", "y", "1"),
        ];
        let found = history(rows);
        let expected = ["1 A: x1 y1 | +x y ~ -", "2 B: x1 | + ~ -y", "3 C: x1 y1 | +y ~ -"];
        assert_eq!(found, expected);
    }

    #[test]
    fn tombstones() {
        let rows = vec![
            row(1, "A", "x", "1"),
            row(1, "A", "y", "1"),
            row(2, "B", "x", "1"),
            tombstone(2, "A", "y"),
            // Nothing is left.
            tombstone(3, "B", "x"),
            row(4, "B", "x", "1"),
        ];
        let found = history(rows);
        let expected =
            ["1 A: x1 y1 | +x y ~ -", "2 B: x1 | + ~ -y", "3 B:  | + ~ -x", "4 B: x1 | +x ~ -"];
        assert_eq!(found, expected);
    }

    /// Two processes of Python push one graph at once, row by row with clocks of their own; later one
    /// of them appends what differs in a version that is the same.
    #[test]
    fn duplicates_and_parts() {
        let rows = vec![
            row(1, "A", "x", "1"),
            row(2, "A", "x", "1"),
            row(3, "A", "y", "1"),
            row(4, "A", "y", "1"),
            row(9, "A", "y", "2"),
        ];
        assert_eq!(history(rows), ["1 A: x1 y1 | +x y ~ -", "9 A: x1 y2 | + ~y -"]);
    }

    #[test]
    fn tags_are_read_as_far_as_they_can_be() {
        let log = Log::new(vec![row(1, "A", "x", "1")]).unwrap();
        let entry = log.last("p").unwrap().public("p");
        let tags: Vec<_> = entry.tags.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(tags, [("metaxy", "{}"), ("n", "1")]);
        let text = "1970-01-01T00:00:00.000001Z p A: 1 feature, 1 added (x), tags n=1";
        assert_eq!(entry.to_string(), text);
        let none = PushedRow { tags: "x".to_owned(), ..row(1, "A", "x", "1") };
        assert!(Log::new(vec![none]).unwrap().last("p").unwrap().tags.is_empty());
        let bad = PushedRow { feature: "A B".to_owned(), ..row(1, "A", "x", "1") };
        assert!(matches!(Log::new(vec![bad]), Err(HistoryError::Key { .. })));
    }
}
