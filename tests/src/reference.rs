//! The definition of correct: what `resolve_update`, `sync`, `read` and the deletions mean, said in
//! plain Rust over rows in memory.
//!
//! In: a graph, and a history of rows per feature. Out: which records are new, stale, orphaned or
//! blocked, why, and the versions that a write of them gives. Every engine is compared with this
//! page, so it is made to be read: no SQL, nothing fast, and each rule is written once, in the order
//! of its story:
//!
//! 1. the row of a record is its latest, and a tombstone is a row (`Reference::latest`);
//! 2. a row may be outdated for who reads it (`Reference::is_outdated`);
//! 3. rows of upstreams meet, and give the records that should be there, with their provenance
//!    (`Reference::expected`);
//! 4. what should be there and what is there give the class of each record
//!    (`Reference::compare`).
//!
//! Not here yet: aggregations, expansions, optional upstreams and filters. They all change step 3
//! alone: which rows meet, and how many of them become one record.

use metaxy::graph::ParentField;
use metaxy::spec::{FeatureDep, FeatureSpec, FieldSpec};
use metaxy::{Counts, FeatureGraph, FeatureKey, HashAlgorithm, Reason};
use sha2::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A value of an id or of a column.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value}"),
        }
    }
}

/// The ids of a record, in the order of the feature's id columns.
pub type Ids = Vec<Value>;

/// Values by the name of a column.
pub type Columns = BTreeMap<String, Value>;

/// A text per field, by the key of the field in the by-field columns.
pub type ByField = BTreeMap<String, String>;

/// A row of a feature's history. None is ever changed or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record that it is about.
    pub ids: Ids,
    /// What is kept with it.
    pub columns: Columns,
    /// What it was computed from.
    pub provenance: ByField,
    /// What downstream sees of it.
    pub data_version: ByField,
    /// The definition that wrote it.
    pub feature_version: String,
    /// When it was written; the rows of one write share it, and later writes have later ones.
    pub time: u64,
    /// Whether it is a tombstone: from here on the record is deleted.
    pub is_tombstone: bool,
}

/// A row as it is given to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The record that it is about.
    pub ids: Ids,
    /// What is kept with it.
    pub columns: Columns,
    /// What it was computed from; in a root, the caller's versions.
    pub provenance: ByField,
    /// What downstream is to see of it, where the caller says so.
    pub data_version: ByField,
}

/// What a definition says of a field: all that decides whether a row is outdated.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldDefinition {
    code_version: String,
    /// `feature/key.field/key` of each field that it is computed from.
    parents: BTreeSet<String>,
}

/// What a definition says of each of its fields.
type Definition = BTreeMap<String, FieldDefinition>;

/// How texts are hashed: the settings of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// The algorithm.
    pub algorithm: HashAlgorithm,
    /// How many characters are kept.
    pub length: usize,
}

impl Hashing {
    /// The hash of a text (wire format, section 2.2).
    ///
    /// # Panics
    /// With an algorithm that did not exist when this was written.
    #[must_use]
    pub fn of(self, text: &str) -> String {
        use xxhash_rust::{xxh3::xxh3_64, xxh32::xxh32, xxh64::xxh64};
        let bytes = text.as_bytes();
        let mut hash = match self.algorithm {
            HashAlgorithm::XxHash64 => xxh64(bytes, 0).to_string(),
            HashAlgorithm::XxHash32 => xxh32(bytes, 0).to_string(),
            HashAlgorithm::Xxh3_64 => xxh3_64(bytes).to_string(),
            HashAlgorithm::Md5 => hex::encode(md5::Md5::digest(bytes)),
            HashAlgorithm::Sha256 => hex::encode(sha2::Sha256::digest(bytes)),
            other => panic!("the reference does not hash with {other}"),
        };
        hash.truncate(self.length);
        hash
    }

    /// The hash over a by-field map: its values alone, by the order of their keys (wire format,
    /// section 2.1).
    #[must_use]
    pub fn over(self, by_field: &ByField) -> String {
        self.of(&by_field.values().map(String::as_str).collect::<Vec<_>>().join("|"))
    }
}

/// A rule that can be left out, to show that a test notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// First the latest row of a record, then any test of it: an older row is never revived.
    LatestFirst,
    /// A tombstone hides the rows before it.
    Tombstones,
    /// Another code version makes a row outdated.
    OutdatedByCode,
    /// Another set of parent fields makes a row outdated.
    OutdatedByParents,
    /// A row is outdated only if that concerns the fields that are read (H5).
    OnlyFieldsThatAreRead,
    /// A row is not outdated because of what changed further up: that arrives as a data version.
    NotTransitive,
    /// What is computed from outdated rows is blocked.
    Blocked,
    /// A field outside the stale set keeps its data version.
    KeptDataVersions,
    /// What is hashed are data versions and not provenances.
    DataVersionsAreHashed,
    /// Another code version makes a record of a root stale, with the same value too.
    RootCodeVersion,
    /// Upstreams with different ids are joined on those that they share (H4).
    SharedIds,
    /// An orphan is gone only if its upstream record was deleted.
    MissingIsNotGone,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::LatestFirst,
        Self::Tombstones,
        Self::OutdatedByCode,
        Self::OutdatedByParents,
        Self::OnlyFieldsThatAreRead,
        Self::NotTransitive,
        Self::Blocked,
        Self::KeptDataVersions,
        Self::DataVersionsAreHashed,
        Self::RootCodeVersion,
        Self::SharedIds,
        Self::MissingIsNotGone,
    ];
}

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is there, and nothing that it could be computed from.
    Orphaned(Cause),
    /// It is there, and what it would be computed from is itself outdated: in these upstreams, which
    /// need that first.
    Blocked(Vec<(FeatureKey, Need)>),
    /// It is not there, and what it would be computed from is itself outdated.
    Waiting,
    /// It is not there.
    New,
    /// It is there, computed from something else: these fields, and why.
    Stale(BTreeMap<String, Vec<Reason>>),
    /// It is there as it should be.
    Unchanged,
}

/// What became of the upstream record of an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was deleted.
    Gone,
    /// There is no trace of it; it may not have been computed yet.
    Missing,
}

/// What an upstream record needs before it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It is stale.
    Stale,
    /// It is itself blocked.
    Blocked,
    /// It is orphaned.
    Orphaned,
    /// It lacks a data version that is read.
    NoDataVersion,
}

/// A record that should be there or is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which.
    pub ids: Ids,
    /// What becomes of it.
    pub class: Class,
    /// The columns that come along from upstreams; none for an orphan.
    pub brought: Columns,
    /// What it would be computed from; for an orphan, what it was computed from.
    pub provenance: ByField,
    /// The data versions that a write gives it unless told otherwise.
    pub data_version: ByField,
    /// The row that is there.
    pub stored: Option<Row>,
}

/// The records of a feature by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Increment {
    /// The number of records of each class.
    pub counts: Counts,
    /// All of them, by ids.
    pub records: BTreeMap<Ids, Record>,
}

/// The records of a root as they should be.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The records.
    pub rows: Vec<NewRow>,
    /// Whether those that are not among them should not be there.
    pub are_complete: bool,
}

/// What a record should be, before it is compared with what is there.
#[derive(Clone, Debug, Default)]
struct Expected<'a> {
    /// The row of each upstream that it is computed from.
    inputs: Vec<(&'a FeatureDep, &'a Row)>,
    /// What has to happen upstream before it can be computed.
    needs: Vec<(FeatureKey, Need)>,
    /// The provenance of each field; none if an input lacks a data version.
    provenance: ByField,
    /// The data versions that a sample gives.
    given: ByField,
}

/// A store in memory.
#[derive(Clone, Debug)]
pub struct Reference {
    hashing: Hashing,
    without: Option<Rule>,
    /// Per feature all rows, in the order of their writes.
    history: BTreeMap<FeatureKey, Vec<Row>>,
    /// Per feature what each feature version said, since the first row that it wrote.
    definitions: BTreeMap<(FeatureKey, String), Definition>,
    time: u64,
}

impl Reference {
    /// A store without rows.
    #[must_use]
    pub fn new(hashing: Hashing) -> Self {
        let (history, definitions) = Default::default();
        Self { hashing, without: None, history, definitions, time: 0 }
    }

    /// The same store without one of the rules: it is then wrong.
    #[must_use]
    pub fn without(self, rule: Rule) -> Self {
        Self { without: Some(rule), ..self }
    }

    /// The rule that is left out.
    #[must_use]
    pub fn rule_left_out(&self) -> Option<Rule> {
        self.without
    }

    fn holds(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    // ---- 1. The row of a record -----------------------------------------------------------------

    /// The latest row of each record over all definitions that ever wrote it, tombstones included.
    fn latest(&self, graph: &FeatureGraph, feature: &FeatureKey) -> BTreeMap<&Ids, &Row> {
        let today = self.feature_version(graph, feature);
        let mut latest: BTreeMap<&Ids, &Row> = BTreeMap::new();
        for row in self.history.get(feature).into_iter().flatten() {
            if !self.holds(Rule::LatestFirst) && row.feature_version != today
                || !self.holds(Rule::Tombstones) && row.is_tombstone
            {
                continue;
            }
            let order = |row: &Row| (row.time, row.is_tombstone);
            let before = latest.get(&row.ids);
            if before.is_none_or(|before| order(before) <= order(row)) {
                latest.insert(&row.ids, row);
            }
        }
        latest
    }

    /// The row of each record that is not deleted, outdated or not.
    #[must_use]
    pub fn live(&self, graph: &FeatureGraph, feature: &FeatureKey) -> BTreeMap<&Ids, &Row> {
        let mut rows = self.latest(graph, feature);
        rows.retain(|_, row| !row.is_tombstone);
        rows
    }

    /// The records whose row is current for all fields of the feature.
    #[must_use]
    pub fn read(&self, graph: &FeatureGraph, feature: &FeatureKey) -> Vec<&Row> {
        let all: BTreeSet<String> = fields(spec(graph, feature)).collect();
        let mut rows: Vec<_> = self.live(graph, feature).into_values().collect();
        rows.retain(|row| !self.is_outdated(graph, feature, row, &all));
        rows
    }

    // ---- 2. Outdated ----------------------------------------------------------------------------

    /// Whether a row is outdated for a reader of these fields: the definition that wrote it gave one
    /// of them another code version or other parents than today's, or nobody knows what it gave.
    ///
    /// Field versions are not compared: they say that something changed further up, and whether that
    /// concerns a record only its data versions tell.
    fn is_outdated(
        &self,
        graph: &FeatureGraph,
        feature: &FeatureKey,
        row: &Row,
        read: &BTreeSet<String>,
    ) -> bool {
        if row.feature_version == self.feature_version(graph, feature) {
            return false;
        }
        if !self.holds(Rule::NotTransitive) {
            return true;
        }
        let version = (feature.clone(), row.feature_version.clone());
        let Some(recorded) = self.definitions.get(&version) else { return true };
        let today = definition(graph, feature);
        let mut read = today
            .iter()
            .filter(|(field, _)| read.contains(*field) || !self.holds(Rule::OnlyFieldsThatAreRead));
        read.any(|(field, today)| self.differs(recorded.get(field), today))
    }

    /// Whether a recorded definition says of a field what today's does not.
    fn differs(&self, recorded: Option<&FieldDefinition>, today: &FieldDefinition) -> bool {
        let Some(recorded) = recorded else { return true };
        recorded.code_version != today.code_version && self.holds(Rule::OutdatedByCode)
            || recorded.parents != today.parents && self.holds(Rule::OutdatedByParents)
    }

    // ---- 3. Expected ----------------------------------------------------------------------------

    /// The records that the rows of the upstreams give.
    fn expected<'a>(
        &'a self,
        graph: &'a FeatureGraph,
        feature: &FeatureKey,
    ) -> BTreeMap<Ids, Expected<'a>> {
        let spec = spec(graph, feature);
        let mut joined: Vec<(Columns, Vec<(&FeatureDep, &Row)>)> = vec![Default::default()];
        for dep in &spec.deps {
            let rows = self.live(graph, &dep.feature);
            let mut met = Vec::new();
            for (ids, inputs) in &joined {
                for row in rows.values() {
                    if let Some(ids) = self.meet(ids, &ids_here(graph, dep, row)) {
                        let inputs = inputs.iter().copied().chain([(dep, *row)]);
                        met.push((ids, inputs.collect()));
                    }
                }
            }
            joined = met;
        }
        let records = joined.into_iter().map(|(ids, inputs)| {
            let ids: Ids = spec.id_columns.iter().map(|id| ids[id].clone()).collect();
            let needs = inputs.iter().filter_map(|(dep, row)| {
                Some((dep.feature.clone(), self.need(graph, spec, &dep.feature, row)?))
            });
            let needs = needs.collect();
            let provenance = spec.fields.iter().filter_map(|field| {
                let text = self.pre_image(graph, spec, field, &field.code_version, &inputs)?;
                Some((struct_key(field), self.hashing.of(&text)))
            });
            let provenance = provenance.collect();
            (ids, Expected { inputs, needs, provenance, given: ByField::new() })
        });
        records.collect()
    }

    /// The ids of two rows together, if they agree on those that they share.
    fn meet(&self, left: &Columns, right: &Columns) -> Option<Columns> {
        let agree = right.iter().all(|(name, value)| left.get(name).is_none_or(|v| v == value));
        let all_shared = left.is_empty() || left.keys().eq(right.keys());
        if !agree || !all_shared && !self.holds(Rule::SharedIds) {
            return None;
        }
        Some(left.iter().chain(right).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// What is hashed for a field (wire format, section 2.1), under a code version; none if an input
    /// lacks a data version.
    fn pre_image(
        &self,
        graph: &FeatureGraph,
        feature: &FeatureSpec,
        field: &FieldSpec,
        code_version: &str,
        inputs: &[(&FeatureDep, &Row)],
    ) -> Option<String> {
        let mut text = format!("{}|{code_version}", field.wire_key());
        for parent in graph.parents(&feature.key, &field.key) {
            let (_, row) = inputs.iter().find(|(dep, _)| dep.feature == parent.feature)?;
            let versions = if self.holds(Rule::DataVersionsAreHashed) {
                &row.data_version
            } else {
                &row.provenance
            };
            let version = versions.get(&parent.wire_field.struct_key())?;
            text.extend(["|", &parent.label(), "|", version]);
        }
        Some(text)
    }

    /// What an upstream row needs before the feature can be computed from it; nothing if it is fit.
    fn need(
        &self,
        graph: &FeatureGraph,
        reader: &FeatureSpec,
        upstream: &FeatureKey,
        row: &Row,
    ) -> Option<Need> {
        let read: BTreeSet<String> = reader
            .fields
            .iter()
            .flat_map(|field| graph.parents(&reader.key, &field.key))
            .filter(|parent| parent.feature == *upstream)
            .map(|parent| parent.wire_field.struct_key())
            .collect();
        if self.is_outdated(graph, upstream, row, &read) && self.holds(Rule::Blocked) {
            // Samples of a root are the caller's, so that all that is known is that it is outdated.
            if spec(graph, upstream).deps.is_empty() {
                return Some(Need::Stale);
            }
            return Some(match self.expected(graph, upstream).get(&row.ids) {
                None => Need::Orphaned,
                Some(expected) if !expected.needs.is_empty() => Need::Blocked,
                Some(_) => Need::Stale,
            });
        }
        let lacks = read.iter().any(|field| !row.data_version.contains_key(field));
        lacks.then_some(Need::NoDataVersion)
    }

    // ---- 4. Classes -----------------------------------------------------------------------------

    /// The class of every record of a feature that has upstreams.
    #[must_use]
    pub fn resolve(&self, graph: &FeatureGraph, feature: &FeatureKey) -> Increment {
        self.compare(graph, feature, &self.expected(graph, feature), true)
    }

    /// The class of every record of a root, compared with samples.
    #[must_use]
    pub fn resolve_samples(
        &self,
        graph: &FeatureGraph,
        root: &FeatureKey,
        samples: &Samples,
    ) -> Increment {
        let expected = samples.rows.iter().map(|sample| {
            let (provenance, given) = (sample.provenance.clone(), sample.data_version.clone());
            (sample.ids.clone(), Expected { provenance, given, ..Expected::default() })
        });
        self.compare(graph, root, &expected.collect(), samples.are_complete)
    }

    /// The first class that fits each record.
    fn compare(
        &self,
        graph: &FeatureGraph,
        feature: &FeatureKey,
        expected: &BTreeMap<Ids, Expected<'_>>,
        is_complete: bool,
    ) -> Increment {
        let today = self.feature_version(graph, feature);
        let current = self.live(graph, feature);
        let all: BTreeSet<&Ids> = expected.keys().chain(current.keys().copied()).collect();
        let mut increment = Increment::default();
        for ids in all {
            let stored = current.get(ids).copied();
            let expected = expected.get(ids);
            let class = match (expected, stored) {
                (None, _) if !is_complete => Class::Unchanged,
                (None, _) => Class::Orphaned(self.cause(graph, feature, ids)),
                (Some(expected), None) if !expected.needs.is_empty() => Class::Waiting,
                (Some(expected), Some(_)) if !expected.needs.is_empty() => {
                    Class::Blocked(expected.needs.clone())
                }
                (Some(_), None) => Class::New,
                (Some(expected), Some(row)) => {
                    let fields = self.stale_fields(graph, feature, expected, row);
                    if fields.is_empty() { Class::Unchanged } else { Class::Stale(fields) }
                }
            };
            let counts = &mut increment.counts;
            match class {
                Class::Orphaned(_) => counts.orphaned += 1,
                Class::Blocked(_) => counts.blocked += 1,
                Class::Waiting => counts.waiting += 1,
                Class::New => counts.new += 1,
                Class::Stale(_) => counts.stale += 1,
                Class::Unchanged => {
                    counts.unchanged += 1;
                    let is_older = stored.is_some_and(|row| row.feature_version != today);
                    counts.unchanged_older += u64::from(is_older);
                }
            }
            let record = self.record(graph, feature, ids, class, expected, stored);
            increment.records.insert(ids.clone(), record);
        }
        increment
    }

    /// The fields of a record that are not what they should be, and why.
    fn stale_fields(
        &self,
        graph: &FeatureGraph,
        feature: &FeatureKey,
        expected: &Expected<'_>,
        row: &Row,
    ) -> BTreeMap<String, Vec<Reason>> {
        let spec = spec(graph, feature);
        let is_root = spec.deps.is_empty();
        let is_todays = row.feature_version == self.feature_version(graph, feature);
        let recorded = self.definitions.get(&(feature.clone(), row.feature_version.clone()));
        let today = definition(graph, feature);
        let mut stale = BTreeMap::new();
        for field in &spec.fields {
            let name = struct_key(field);
            let recorded = recorded.and_then(|definition| definition.get(&name));
            let other_code = !is_todays && self.differs(recorded, &today[&name]);
            let stored = row.provenance.get(&name);
            // What a sample gives is what downstream is to see: a new one counts like a new value.
            let given = expected.given.get(&name);
            let other_given = given.is_some() && given != row.data_version.get(&name);
            let is_stale = stored != expected.provenance.get(&name)
                || other_given
                || is_root && other_code && self.holds(Rule::RootCodeVersion);
            if !is_stale {
                continue;
            }
            let Some(stored) = stored else {
                stale.insert(name, vec![Reason::Added]);
                continue;
            };
            // What the recorded definition would make of today's inputs. With other parents that
            // cannot be known: what it read may not be here.
            let other_inputs = if is_todays || is_root {
                expected.provenance.get(&name) != Some(stored) || other_given
            } else {
                recorded.is_some_and(|recorded| {
                    let old = &recorded.code_version;
                    let old = self.pre_image(graph, spec, field, old, &expected.inputs);
                    recorded.parents == today[&name].parents
                        && old.is_some_and(|text| self.hashing.of(&text) != *stored)
                })
            };
            let mut reasons = Vec::new();
            reasons.extend(other_code.then_some(Reason::Code));
            reasons.extend(other_inputs.then_some(Reason::Upstream));
            stale.insert(name, reasons);
        }
        stale
    }

    /// What became of an orphan's upstream record: one deletion says that it is gone.
    fn cause(&self, graph: &FeatureGraph, feature: &FeatureKey, ids: &Ids) -> Cause {
        let spec = spec(graph, feature);
        let own: Columns = spec.id_columns.iter().cloned().zip(ids.iter().cloned()).collect();
        let is_deleted = |dep: &FeatureDep| {
            self.latest(graph, &dep.feature).into_values().any(|row| {
                let there = ids_here(graph, dep, row);
                row.is_tombstone && there.iter().all(|(name, value)| own[name] == *value)
            })
        };
        // What complete samples lack was deleted by the caller.
        let is_gone = spec.deps.is_empty() || spec.deps.iter().any(is_deleted);
        if is_gone || !self.holds(Rule::MissingIsNotGone) { Cause::Gone } else { Cause::Missing }
    }

    /// A record with everything that is said of it.
    fn record(
        &self,
        graph: &FeatureGraph,
        feature: &FeatureKey,
        ids: &Ids,
        class: Class,
        expected: Option<&Expected<'_>>,
        stored: Option<&Row>,
    ) -> Record {
        let mut provenance = ByField::new();
        let mut data_version = ByField::new();
        for field in fields(spec(graph, feature)) {
            let now = expected.and_then(|expected| expected.provenance.get(&field));
            let before = stored.and_then(|row| row.provenance.get(&field));
            let Some(version) = now.or(before) else { continue };
            // A field that is not stale keeps the data version that is stored, and so does one of
            // which is not known what it should be.
            let keeps = now.is_none() || now == before && self.holds(Rule::KeptDataVersions);
            let kept = stored.filter(|_| keeps).and_then(|row| row.data_version.get(&field));
            provenance.insert(field.clone(), version.clone());
            data_version.insert(field, kept.unwrap_or(version).clone());
        }
        let inputs = expected.into_iter().flat_map(|expected| &expected.inputs);
        let brought = inputs.flat_map(|(dep, row)| brought(graph, dep, row)).collect();
        let (ids, stored) = (ids.clone(), stored.cloned());
        Record { ids, class, brought, provenance, data_version, stored }
    }

    // ---- Writes ---------------------------------------------------------------------------------

    /// Appends rows, all with one time.
    pub fn write(&mut self, graph: &FeatureGraph, feature: &FeatureKey, rows: Vec<NewRow>) {
        if rows.is_empty() {
            return;
        }
        let live = self.live(graph, feature);
        let feature_version = self.feature_version(graph, feature);
        let time = self.time + 1;
        let rows = rows.into_iter().map(|row| {
            let stored = live.get(&row.ids).copied();
            let data_version = self.written_data_version(graph, feature, &row, stored);
            let NewRow { ids, columns, provenance, .. } = row;
            let feature_version = feature_version.clone();
            let is_tombstone = false;
            Row { ids, columns, provenance, data_version, feature_version, time, is_tombstone }
        });
        let rows: Vec<Row> = rows.collect();
        self.time = time;
        self.history.entry(feature.clone()).or_default().extend(rows);
        let definitions = self.definitions.entry((feature.clone(), feature_version));
        definitions.or_insert_with(|| definition(graph, feature));
    }

    /// The data versions of a row that is written: those that are given; then, outside of the stale
    /// set, those that are stored; then the provenances.
    fn written_data_version(
        &self,
        graph: &FeatureGraph,
        feature: &FeatureKey,
        row: &NewRow,
        stored: Option<&Row>,
    ) -> ByField {
        let mut data_version = row.provenance.clone();
        for field in fields(spec(graph, feature)) {
            let Some(stored) = stored.filter(|_| self.holds(Rule::KeptDataVersions)) else { break };
            // In a root the provenance does not tell of another code version.
            let of_field = BTreeSet::from([field.clone()]);
            let is_stale = stored.provenance.get(&field) != row.provenance.get(&field)
                || self.is_outdated(graph, feature, stored, &of_field);
            let kept = stored.data_version.get(&field).filter(|_| !is_stale);
            data_version.extend(kept.map(|version| (field, version.clone())));
        }
        data_version.extend(row.data_version.clone());
        data_version
    }

    /// Marks records as deleted; those that are not there are left alone. Gives their number.
    pub fn delete(&mut self, graph: &FeatureGraph, feature: &FeatureKey, ids: &[Ids]) -> u64 {
        self.time += 1;
        let time = self.time;
        let live = self.live(graph, feature);
        let live = live.into_values().filter(|row| ids.contains(&row.ids));
        let tombstones: Vec<Row> =
            live.map(|row| Row { time, is_tombstone: true, ..row.clone() }).collect();
        let n_deleted = tombstones.len() as u64;
        self.history.entry(feature.clone()).or_default().extend(tombstones);
        n_deleted
    }

    /// Deletes orphans: those whose upstream record is gone, and if asked for those of which there
    /// is no trace. Gives their number.
    pub fn delete_orphans(
        &mut self,
        graph: &FeatureGraph,
        feature: &FeatureKey,
        and_missing: bool,
    ) -> u64 {
        let records = self.resolve(graph, feature).records.into_values();
        let orphans = records.filter(|record| match record.class {
            Class::Orphaned(cause) => cause == Cause::Gone || and_missing,
            _ => false,
        });
        let ids: Vec<Ids> = orphans.map(|record| record.ids).collect();
        self.delete(graph, feature, &ids)
    }

    /// Compares samples with a root, appends what differs, and if asked for deletes what they lack.
    /// Gives the increment, the number of rows and the number of tombstones.
    pub fn sync(
        &mut self,
        graph: &FeatureGraph,
        root: &FeatureKey,
        samples: &Samples,
        delete_orphans: bool,
    ) -> (Increment, u64, u64) {
        let increment = self.resolve_samples(graph, root, samples);
        let class = |ids: &Ids| &increment.records[ids].class;
        let is_wanted = |ids: &Ids| matches!(class(ids), Class::New | Class::Stale(_));
        let rows = samples.rows.iter().filter(|sample| is_wanted(&sample.ids));
        let rows: Vec<NewRow> = rows.cloned().collect();
        let n_rows = rows.len() as u64;
        self.write(graph, root, rows);
        let is_orphan = |record: &&Record| matches!(record.class, Class::Orphaned(_));
        let orphans = increment.records.values().filter(is_orphan);
        let ids: Vec<Ids> = orphans.map(|record| record.ids.clone()).collect();
        let n_deleted = if delete_orphans { self.delete(graph, root, &ids) } else { 0 };
        (increment, n_rows, n_deleted)
    }

    fn feature_version(&self, graph: &FeatureGraph, feature: &FeatureKey) -> String {
        let versions = graph.versions(self.hashing.length);
        versions.feature(feature).expect("a feature of the graph").feature_version.clone()
    }
}

fn spec<'a>(graph: &'a FeatureGraph, feature: &FeatureKey) -> &'a FeatureSpec {
    &graph.get(feature).expect("a feature of the graph").spec
}

/// The key of a field in the by-field columns.
fn struct_key(field: &FieldSpec) -> String {
    field.wire_key().struct_key()
}

fn fields(spec: &FeatureSpec) -> impl Iterator<Item = String> {
    spec.fields.iter().map(struct_key)
}

/// What today's definition says of each field.
fn definition(graph: &FeatureGraph, feature: &FeatureKey) -> Definition {
    let spec = spec(graph, feature);
    let definition = spec.fields.iter().map(|field| {
        let parents = graph.parents(feature, &field.key).iter().map(ParentField::label).collect();
        let code_version = field.code_version.clone();
        (struct_key(field), FieldDefinition { code_version, parents })
    });
    definition.collect()
}

/// The ids of an upstream row by the names that the feature gives them.
fn ids_here(graph: &FeatureGraph, dep: &FeatureDep, row: &Row) -> Columns {
    let names = &spec(graph, &dep.feature).id_columns;
    let named = names.iter().zip(&row.ids);
    named.map(|(name, value)| (dep.renamed(name).to_owned(), value.clone())).collect()
}

/// The columns that an upstream row brings: its own, renamed, then selected.
fn brought(graph: &FeatureGraph, dep: &FeatureDep, row: &Row) -> Columns {
    let ids = ids_here(graph, dep, row);
    let definition = graph.get(&dep.feature).expect("a feature of the graph");
    let declared = definition.columns.as_ref();
    let is_declared = |name: &str| declared.is_none_or(|all| all.iter().any(|c| c.name == name));
    row.columns
        .iter()
        .filter(|(name, _)| is_declared(name))
        .map(|(name, value)| (dep.renamed(name).to_owned(), value.clone()))
        .filter(|(name, _)| !ids.contains_key(name))
        .filter(|(name, _)| dep.select.as_ref().is_none_or(|select| select.contains(name)))
        .collect()
}
