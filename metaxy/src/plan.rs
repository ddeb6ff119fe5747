//! [`Plan`]: what is to be done in all features of a store, and what that leads to downstream.
//!
//! A resolve says what is new or stale today. When that is computed, features downstream become stale
//! in turn. A plan says that before anything is computed: each feature is resolved as if all that is
//! upstream of it were up to date. It happens inside the store, in temporary tables: nothing is
//! written, and nothing but numbers leaves it.
//!
//! A record that is computed again is taken to get a new data version in the fields that are stale, as
//! it does unless its data versions are given by whoever computes it; columns are taken to stay as they
//! are. Where that may be otherwise a plan says so ([`PlannedFeature::unknown`]).

use crate::error::Result;
use crate::graph::FeatureGraph;
use crate::increment::{Counts, Reason};
use crate::key::FeatureKey;
use crate::spec::{FeatureDep, Lineage};
use crate::store::Store;
use crate::store::backend::{FeatureContext, Measured, Planned};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The member of a feature's `metadata` that says what computing one of its records costs, in whatever
/// unit all features of a graph agree on: GPU seconds, for instance. A feature without one costs what
/// was [measured](Cost::Measured), in seconds.
pub const COST: &str = "cost";

/// What is to be done in each feature, upstreams first.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The features, each after what it is computed from.
    pub features: Vec<PlannedFeature>,
}

/// What is to be done in a feature.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlannedFeature {
    /// The feature.
    pub feature: FeatureKey,
    /// Whether it has no upstream. What is new in a root only samples tell; what is known is which
    /// records another definition wrote.
    pub is_root: bool,
    /// What a resolve says today.
    pub now: Todo,
    /// What a resolve will say when everything upstream is computed. The records to compute on the way
    /// to a store that is up to date are these, all of them.
    pub then: Todo,
    /// What computing one of its records costs; of an expansion, one of its parents.
    pub cost: Option<Cost>,
    /// What is not known before it is computed, and what it means for the numbers.
    pub unknown: Vec<Unknown>,
}

/// What computing a record costs, and who says so.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cost {
    /// The number [`COST`] of the feature's metadata.
    Declared(f64),
    /// The seconds that a record took on average, as writers have said
    /// ([`Writer::took`](crate::store::Writer::took)): the latest thousand times at most, of today's
    /// definition, or, if there is none, of the one that was measured last.
    Measured(f64),
}

impl Cost {
    /// The number.
    #[must_use]
    pub const fn per_record(self) -> f64 {
        match self {
            Self::Declared(cost) | Self::Measured(cost) => cost,
        }
    }

    /// What the durations of a feature say, the latest first.
    fn measured(feature: &FeatureContext, all: &[Measured]) -> Option<Self> {
        let own = all.iter().filter(|one| one.feature == *feature.key() && one.records > 0);
        let own: Vec<&Measured> = own.collect();
        let today = &feature.versions().feature_version;
        let version = match own.iter().any(|one| one.feature_version == *today) {
            true => today,
            false => &own.first()?.feature_version,
        };
        let of_version = own.iter().filter(|one| one.feature_version == *version);
        let (records, took) = of_version.fold((0, 0.0), |(records, took), one| {
            (records + one.records, took + one.took.as_secs_f64())
        });
        #[expect(clippy::cast_precision_loss, reason = "a mean over 2^53 records is no exact one")]
        Some(Self::Measured(took / records as f64))
    }
}

/// What is to be done, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Todo {
    /// The number of records of each class.
    pub counts: Counts,
    /// The records that are not up to date, those of one kind together, the largest groups first.
    pub groups: Vec<Group>,
}

/// Records that are to be treated for the same reasons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Group {
    /// What they are.
    pub class: Class,
    /// Of stale records, the fields that are stale and why.
    pub fields: BTreeMap<String, Vec<Reason>>,
    /// Of orphaned and blocked records, why: as in [`CAUSE`](crate::increment::CAUSE).
    pub cause: Option<String>,
    /// How many there are.
    pub records: u64,
    /// How many of them are stale and have a data version of their own, which they may keep.
    pub own_versions: u64,
}

/// What a record that is not up to date is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Class {
    /// It is to be computed for the first time.
    New,
    /// It is to be computed again.
    Stale,
    /// It is there, and nothing that it could be computed from.
    Orphaned,
    /// It is there, and what it is computed from is to be computed first.
    Blocked,
}

/// Something about an upstream that is not known before it is computed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unknown {
    /// How many records the parents of an expansion give: the numbers are those of the records that are
    /// there.
    Children {
        /// The expansion.
        of: FeatureKey,
        /// How many parents are to be expanded.
        parents: u64,
    },
    /// Whether the values of a root will differ: they are taken to.
    Values {
        /// The root.
        of: FeatureKey,
        /// How many of its records another definition wrote.
        records: u64,
    },
    /// Whether records that have data versions of their own will get others: they are taken to.
    OwnVersions {
        /// The feature.
        of: FeatureKey,
        /// How many of its records are stale and have one.
        records: u64,
    },
    /// What is in columns by which an upstream is filtered or grouped: they are taken to stay as they
    /// are, and to be NULL in new records.
    Columns {
        /// The upstream.
        of: FeatureKey,
        /// How many of its records are to be computed.
        records: u64,
    },
}

impl Todo {
    /// Puts the largest groups first.
    pub(crate) fn sort(&mut self) {
        self.groups.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.cmp(b)));
    }
}

impl Class {
    /// The name, as in [`STATUS`](crate::increment::STATUS).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Stale => "stale",
            Self::Orphaned => "orphaned",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Children { of, parents } => write!(
                f,
                "how many records {parents} parents of `{of}` give: only those that are there are counted"
            ),
            Self::Values { of, records } => write!(
                f,
                "whether the values of {records} records of `{of}` will differ: they are taken to"
            ),
            Self::OwnVersions { of, records } => write!(
                f,
                "whether {records} records of `{of}` keep their data versions: they are taken not to"
            ),
            Self::Columns { of, records } => write!(
                f,
                "what {records} records of `{of}` will have in columns that are filtered or grouped by: \
                 they are taken to stay"
            ),
        }
    }
}

impl PlannedFeature {
    /// The number of records to compute on the way to a store that is up to date.
    #[must_use]
    pub fn to_compute(&self) -> u64 {
        self.then.counts.to_compute()
    }

    /// What that costs, if the feature says what one record does.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a price of 2^53 records is no exact one")]
    pub fn total_cost(&self) -> Option<f64> {
        Some(self.cost?.per_record() * self.to_compute() as f64)
    }

    /// How many records are stale because of each field, by key.
    #[must_use]
    pub fn stale_fields(&self) -> BTreeMap<&str, u64> {
        let mut fields = BTreeMap::new();
        for group in &self.then.groups {
            for field in group.fields.keys() {
                *fields.entry(field.as_str()).or_default() += group.records;
            }
        }
        fields
    }
}

impl Plan {
    /// The number of records to compute, in all features; of roots nothing is computed.
    #[must_use]
    pub fn to_compute(&self) -> u64 {
        self.computed().map(PlannedFeature::to_compute).sum()
    }

    /// What that costs: the sum over the features that say what one record does.
    #[must_use]
    pub fn total_cost(&self) -> f64 {
        self.computed().filter_map(PlannedFeature::total_cost).sum()
    }

    /// The features with records to compute that do not say what one costs.
    #[must_use]
    pub fn without_cost(&self) -> Vec<&FeatureKey> {
        let without = self.computed().filter(|f| f.cost.is_none() && f.to_compute() > 0);
        without.map(|feature| &feature.feature).collect()
    }

    /// The line of a feature, if it is planned.
    #[must_use]
    pub fn of(&self, key: &FeatureKey) -> Option<&PlannedFeature> {
        self.features.iter().find(|feature| feature.feature == *key)
    }

    fn computed(&self) -> impl Iterator<Item = &PlannedFeature> {
        self.features.iter().filter(|feature| !feature.is_root)
    }

    fn new(
        graph: &FeatureGraph,
        planned: Vec<Planned>,
        measured: &BTreeMap<FeatureKey, Cost>,
    ) -> Self {
        let mut plan = Self { features: Vec::with_capacity(planned.len()) };
        for Planned { feature, now, then } in planned {
            let Some(definition) = graph.get(&feature) else { continue };
            let spec = &definition.spec;
            let mut unknown = BTreeSet::new();
            for dep in &spec.deps {
                let Some(upstream) = plan.of(&dep.feature) else { continue };
                unknown.extend(upstream.unknown.iter().cloned());
                unknown.extend(upstream.leaves_open(graph, dep));
            }
            plan.features.push(PlannedFeature {
                is_root: spec.deps.is_empty(),
                cost: match spec.metadata.get(COST).and_then(serde_json::Value::as_f64) {
                    Some(cost) => Some(Cost::Declared(cost)),
                    None => measured.get(&feature).copied(),
                },
                unknown: unknown.into_iter().collect(),
                feature,
                now,
                then,
            });
        }
        plan
    }
}

impl PlannedFeature {
    /// What a feature downstream cannot know before this one is computed.
    fn leaves_open(&self, graph: &FeatureGraph, dep: &FeatureDep) -> Vec<Unknown> {
        let (of, records) = (self.feature.clone(), self.to_compute());
        if records == 0 {
            return Vec::new();
        }
        let spec = graph.get(&of).map(|definition| &definition.spec);
        let is_expansion = spec.is_some_and(|spec| {
            spec.deps.iter().any(|dep| matches!(dep.lineage, Lineage::Expansion { .. }))
        });
        if is_expansion {
            return vec![Unknown::Children { of, parents: records }];
        }
        if self.is_root {
            return vec![Unknown::Values { of, records }];
        }
        let mut open = Vec::new();
        let own: u64 = self.then.groups.iter().map(|group| group.own_versions).sum();
        if own > 0 {
            open.push(Unknown::OwnVersions { of: of.clone(), records: own });
        }
        let is_id = |column: &String| {
            spec.is_some_and(|spec| spec.id_columns.iter().any(|id| dep.renamed(id) == column))
        };
        let groups_by_columns = matches!(
            &dep.lineage, Lineage::Aggregation { on: Some(on) } if !on.iter().all(is_id)
        );
        if groups_by_columns || dep.filters.iter().flatten().next().is_some() {
            open.push(Unknown::Columns { of, records });
        }
        open
    }
}

impl Store {
    /// What is to be done in all features, and what that leads to downstream, in numbers. Nothing is
    /// written.
    ///
    /// What a change would cost that is not made yet, a graph with the change tells:
    ///
    /// ```no_run
    /// # async fn f(store: &metaxy::Store) -> metaxy::Result<()> {
    /// let changed = store.graph().with_code_version("example/crop.frames", "2")?;
    /// let plan = store.with_graph(changed).plan().await?;
    /// println!("{} records, {} GPU seconds", plan.to_compute(), plan.total_cost());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When a feature cannot be resolved, has an upstream in a fallback store, or the store fails.
    pub async fn plan(&self) -> Result<Plan> {
        let keys: Vec<FeatureKey> = self.graph().keys().cloned().collect();
        self.plan_of(&keys).await
    }

    /// [`plan`](Self::plan) for some features: they are planned as if nothing were computed in the others.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), and when the graph does not have a feature.
    #[tracing::instrument(name = "plan", skip_all)]
    pub async fn plan_of(&self, keys: &[FeatureKey]) -> Result<Plan> {
        keys.iter().try_for_each(|key| self.graph().expect(key).map(drop))?;
        self.needs_all_upstreams_here(keys, "a plan").await?;
        let in_order = self.graph().keys().filter(|key| keys.contains(key));
        let features = in_order.map(|key| self.feature(key)).collect::<Result<Vec<_>>>()?;
        let computed = features.iter().filter(|feature| !feature.is_root());
        let computed = computed.map(|feature| feature.key().clone()).collect();
        let durations = self.backend().measured(computed).await?;
        let measured = features.iter().filter_map(|feature| {
            Some((feature.key().clone(), Cost::measured(feature, &durations)?))
        });
        let measured = measured.collect();
        Ok(Plan::new(self.graph(), self.backend().plan(features).await?, &measured))
    }
}
