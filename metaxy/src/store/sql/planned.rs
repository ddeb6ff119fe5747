//! Plans: each feature is resolved as if everything upstream of it were computed.
//!
//! What an upstream would be is kept in a temporary table that stands in for its own. Nothing that
//! others see is changed, so that a store that may only be read can be planned.

use super::Shared;
use super::connection::{Access, Connection, end_dry};
use super::plan::{Planner, TableColumn, TableInfo, Tables};
use super::rows::Answer;
use super::session::{now, token};
use super::tables::{Catalog, recorded};
use super::temporary::{Begun, INCREMENT, begin, keep, keep_increment, make_increment};
use crate::error::Result;
use crate::increment::Counts;
use crate::plan::Todo;
use crate::store::backend::{FeatureContext, Planned, ResolveOptions, WriteOptions};
use indexmap::IndexMap;
use metaxy_sql::plan::{AsComputed, Expected, Time};
use metaxy_sql::{ColumnType, Dialect, lower, system};
use std::sync::Arc;

/// The records of a root, as samples of themselves.
const SAMPLES: &str = "@samples";

/// The stand-in of the n-th feature.
fn stand_in(n: usize) -> String {
    format!("@planned {n}")
}

/// What is to be done in these features, which are in topological order.
pub(super) async fn plan(shared: &Shared, features: &[FeatureContext]) -> Result<Vec<Planned>> {
    let connection = &mut *shared.connect().await?;
    connection.begin(Access::Read).await?;
    let catalog = Catalog::of(connection, features).await?;
    let mut planning = Planning {
        catalog,
        dialect: shared.engine.dialect(),
        connection,
        stand_ins: Tables::new(),
        time: now(),
        token: token(),
    };
    let mut planned = Vec::with_capacity(features.len());
    let mut done = Ok(());
    for (n, feature) in features.iter().enumerate() {
        match planning.feature(n, feature, features).await {
            Ok(line) => planned.push(line),
            Err(error) => {
                done = Err(error);
                break;
            }
        }
    }
    end_dry(connection, done).await?;
    Ok(planned)
}

struct Planning<'a> {
    catalog: Catalog,
    dialect: Arc<dyn Dialect>,
    connection: &'a mut dyn Connection,
    /// What is read instead of the tables of features in which something would be computed.
    stand_ins: Tables,
    time: i64,
    token: i64,
}

impl Planning<'_> {
    async fn feature(
        &mut self,
        n: usize,
        feature: &FeatureContext,
        all: &[FeatureContext],
    ) -> Result<Planned> {
        let key = feature.key().clone();
        let found = self.catalog.tables_of(feature)?;
        if feature.is_root() {
            let todo = self.root(feature, &found).await?;
            if todo.counts.stale > 0 {
                self.stand_in(n, feature, &found, all, true).await?;
            }
            return Ok(Planned { feature: key, now: todo.clone(), then: todo });
        }
        let now = self.todo(feature, &found).await?;
        let mut after = found.clone();
        let mut is_other = false;
        for table in Planner::table_names(feature) {
            if let Some(stand_in) = self.stand_ins.get(&table).filter(|_| table != key.table_name())
            {
                after.insert(table, stand_in.clone());
                is_other = true;
            }
        }
        let then = if is_other { self.todo(feature, &after).await? } else { now.clone() };
        // How many records parents give is not known before.
        if then.counts.to_compute() > 0 && !feature.is_expansion() {
            self.stand_in(n, feature, &found, all, false).await?;
        }
        Ok(Planned { feature: key, now, then })
    }

    /// Keeps the increment of a feature with these tables; what it holds, in numbers.
    async fn todo(&mut self, feature: &FeatureContext, tables: &Tables) -> Result<Todo> {
        let mut plan = Planner { feature, tables }.resolve(&ResolveOptions::default())?;
        if let Expected::Inputs(inputs) = &mut plan.plan.expected {
            // Nobody looks at what would come along.
            inputs.iter_mut().for_each(|input| input.columns.clear());
        }
        let begun = match begin(self.connection, &*self.dialect, &plan.plan).await? {
            None => return Ok(Todo::default()),
            Some(Begun { counts: Some(counts), is_done: true, .. }) => {
                return Ok(Todo { counts, ..Todo::default() });
            }
            Some(begun) => begun,
        };
        let counts = keep_increment(self.connection, begun).await?;
        self.groups(counts, feature, plan.inputs.len()).await
    }

    /// Keeps as an increment which records of a root another definition wrote.
    async fn root(&mut self, feature: &FeatureContext, found: &Tables) -> Result<Todo> {
        let planner = Planner { feature, tables: found };
        let Some(records) = planner.records(feature.key())? else { return Ok(Todo::default()) };
        if !self.is_defined_otherwise(&planner, found).await? {
            return Ok(Todo::default());
        }
        let samples = lower::as_samples(&records, &feature.field_names());
        keep(self.connection, SAMPLES, samples).await?;
        let resolve = planner.resolve_samples(SAMPLES, true)?;
        let counts = make_increment(self.connection, &*self.dialect, &resolve).await?;
        self.groups(counts, feature, 0).await
    }

    /// Whether a definition of a feature is recorded that says otherwise than today's of one of its
    /// fields. Most often there is none, and nothing has to be read.
    async fn is_defined_otherwise(
        &mut self,
        planner: &Planner<'_>,
        found: &Tables,
    ) -> Result<bool> {
        if !found.contains_key(system::DEFINITIONS) {
            // Rows of other programs: nobody knows what wrote them.
            return Ok(true);
        }
        let key = planner.feature.key();
        // A version covers what a definition says of every field.
        if self.catalog.is_recorded(key) && self.catalog.is_sole_definition(planner.feature) {
            return Ok(false);
        }
        let rows = recorded(self.connection, system::DEFINITIONS, key).await?;
        let today = planner.field_definitions();
        let says_the_same = |row: &Vec<String>| {
            let [_, field, _, code_version, parents, _] = row.as_slice() else { return false };
            today.iter().any(|now| {
                now.name == *field && now.code_version == *code_version && now.parents == *parents
            })
        };
        Ok(rows.is_empty() || !rows.iter().all(says_the_same))
    }

    async fn groups(
        &mut self,
        counts: Counts,
        feature: &FeatureContext,
        n_inputs: usize,
    ) -> Result<Todo> {
        let fields = feature.field_names();
        let upstreams = feature.definition().spec.deps.iter().map(|dep| &dep.feature);
        let upstreams: Vec<_> = upstreams.take(n_inputs).collect();
        let mut todo = Todo { counts, ..Todo::default() };
        let statement = lower::groups(INCREMENT, fields.len(), n_inputs);
        for batch in self.connection.rows(statement).await? {
            todo.groups.extend(Answer(&batch).groups(&fields, &upstreams)?);
        }
        if feature.is_expansion() {
            // Those are its children's, of which nothing is known.
            todo.groups.iter_mut().for_each(|group| group.own_versions = 0);
        }
        todo.sort();
        Ok(todo)
    }

    /// Lets the table that a feature would have stand in for the one that it has, if anybody will look:
    /// the increment that is kept is taken to be computed.
    async fn stand_in(
        &mut self,
        n: usize,
        feature: &FeatureContext,
        found: &Tables,
        all: &[FeatureContext],
        values_change: bool,
    ) -> Result<()> {
        let graph = feature.graph();
        let downstream = graph.downstreams(feature.key());
        let is_planned = |key| all.iter().any(|feature| feature.key() == key);
        if !downstream.iter().any(|definition| is_planned(&definition.spec.key)) {
            return Ok(());
        }
        let planner = Planner { feature, tables: found };
        let table = feature.key().table_name();
        let records = planner.records(feature.key())?;
        let columns = self.columns(feature, records.as_ref().and_then(|_| found.get(&table)));
        let plan = AsComputed {
            records,
            ids: feature.definition().spec.id_columns.clone(),
            columns: columns.iter().map(|(name, column)| (name.clone(), column.ty)).collect(),
            increment: INCREMENT.to_owned(),
            fields: feature.field_names(),
            values_change,
            stamp: planner.stamp(Time::At(self.time), self.token, &WriteOptions::default()),
            hash: feature.hash(),
        };
        let name = stand_in(n);
        keep(self.connection, &name, lower::as_computed(&plan)).await?;
        self.stand_ins.insert(
            table,
            TableInfo {
                columns,
                stand_in: Some(name),
                sole_definition: self.catalog.is_sole_definition(feature),
                ..TableInfo::default()
            },
        );
        Ok(())
    }

    /// The columns of a stand-in: those of the table, or those that it would be made with.
    fn columns(
        &self,
        feature: &FeatureContext,
        table: Option<&TableInfo>,
    ) -> IndexMap<String, TableColumn> {
        let of_type = |ty: Option<ColumnType>| TableColumn {
            type_name: ty.map(|ty| self.dialect.column_type(ty)).unwrap_or_default(),
            ty,
        };
        let mut columns = match table {
            Some(info) => info.columns.clone(),
            None => {
                let definition = feature.definition();
                let declared = definition.columns.iter().flatten();
                let declared = declared.map(|c| (c.name.clone(), of_type(Some(c.ty))));
                let ids = definition.spec.id_columns.iter();
                ids.map(|id| (id.clone(), of_type(None))).chain(declared).collect()
            }
        };
        // However the table keeps them, these are maps here.
        let ours = system::COLUMNS.into_iter().filter(|column| {
            table.is_none()
                || [system::PROVENANCE_BY_FIELD, system::DATA_VERSION_BY_FIELD].contains(column)
        });
        for column in ours {
            columns.insert(column.to_owned(), of_type(Some(lower::column_type(column))));
        }
        columns
    }
}
