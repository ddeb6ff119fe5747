//! Statements for tables that nobody has to look at: as the store would make them.
//!
//! In: features. Out: the text of a resolve, or of the views of a graph. Not here: a connection.

use super::plan::{Planner, TableColumn, TableInfo, Tables};
use crate::error::{Error, Result};
use crate::graph::FeatureGraph;
use crate::key::FeatureKey;
use crate::store::backend::{FeatureContext, ReadOptions, ResolveOptions};
use metaxy_sql::ast::Statement;
use metaxy_sql::plan::Hash;
use metaxy_sql::{ColumnType, Dialect, ScalarType, lower, print, print_alone, system};

/// A graph over tables as they would be made, in a dialect.
pub(crate) struct Offline<'a> {
    graph: &'a FeatureGraph,
    dialect: &'static dyn Dialect,
    hash: Hash,
    tables: Tables,
}

/// A view over a feature, and the text that makes it.
pub(crate) struct View {
    pub(crate) feature: FeatureKey,
    pub(crate) name: String,
    pub(crate) about: &'static str,
    pub(crate) sql: String,
}

impl<'a> Offline<'a> {
    pub(crate) fn new(
        graph: &'a FeatureGraph,
        dialect: &'static dyn Dialect,
        hash: Hash,
    ) -> Result<Self> {
        let mut tables = Tables::new();
        for key in graph.keys() {
            let feature = FeatureContext::new(graph, key, hash)?;
            tables.extend(tables_of(&feature, dialect));
        }
        // What exists in every store in which something was written.
        for table in [system::DEFINITIONS, system::FAILURES] {
            tables.insert(table.to_owned(), TableInfo::default());
        }
        Ok(Self { graph, dialect, hash, tables })
    }

    /// The statement of a resolve.
    pub(crate) fn resolve(&self, key: &FeatureKey, options: &ResolveOptions) -> Result<String> {
        let feature = FeatureContext::new(self.graph, key, self.hash)?;
        let plan = Planner { feature: &feature, tables: &self.tables }.resolve(options)?;
        let statement = lower::resolve(&plan.plan).map(Statement::Query);
        let statement = statement
            .ok_or_else(|| Error::internal(format!("nothing is asked of the tables of `{key}`")))?;
        Ok(print_alone(&statement, self.dialect)?)
    }

    /// The views of a feature: its records, and, if it has upstreams, what is to do.
    pub(crate) fn views(&self, key: &FeatureKey) -> Result<Vec<View>> {
        let feature = FeatureContext::new(self.graph, key, self.hash)?;
        let planner = Planner { feature: &feature, tables: &self.tables };
        let view = |ending: &str, about, query| {
            let name = format!("{}__{ending}", key.table_name());
            if let Some(other) = self.graph.keys().find(|other| other.table_name() == name) {
                let what = format!("views where `{other}` has a table of the name `{name}`");
                return Err(Error::NotSupportedYet { feature: key.clone(), what });
            }
            let sql = print(&lower::view(&name, query)?, self.dialect)?;
            Ok(View { feature: key.clone(), name, about, sql })
        };
        let read = planner.read(&ReadOptions::default())?;
        let records = lower::records(&read);
        let mut views =
            vec![view("current", "the records that are there and not outdated", records)?];
        if !feature.is_root() {
            let plan = planner.resolve(&ResolveOptions::default())?;
            let brought: Vec<String> = plan.brought.into_iter().map(|(name, _)| name).collect();
            let to_do = lower::to_do(&plan.plan, &brought);
            let about = "the records that are new, stale, orphaned or blocked";
            views.extend(to_do.map(|query| view("to_do", about, query)).transpose()?);
        }
        Ok(views)
    }
}

/// The tables of a feature as [`super::tables`] makes them. Ids whose type nobody has declared are taken
/// for texts, which changes no statement.
fn tables_of(feature: &FeatureContext, dialect: &dyn Dialect) -> Vec<(String, TableInfo)> {
    let definition = feature.definition();
    let ids = &definition.spec.id_columns;
    let text = ColumnType::Scalar(ScalarType::Text);
    let columns: Vec<(String, ColumnType)> = match &definition.columns {
        Some(columns) => columns.iter().map(|c| (c.name.clone(), c.ty)).collect(),
        None => ids.iter().map(|id| (id.clone(), text)).collect(),
    };
    let column = |(name, ty): (String, ColumnType)| {
        (name, TableColumn::new(dialect, dialect.column_type(ty)))
    };
    let ours = |names: &[&str]| {
        let typed = names.iter().map(|name| ((*name).to_owned(), lower::column_type(name)));
        typed.collect::<Vec<_>>()
    };
    let table = definition.spec.key.table_name();
    let tries = if feature.is_expansion() { ours(&[system::TRY]) } else { Vec::new() };
    let of_table = columns.iter().cloned().chain(ours(&system::COLUMNS)).chain(tries);
    let info = TableInfo { columns: of_table.map(column).collect(), ..TableInfo::default() };
    let mut tables = vec![(table.clone(), info)];
    if feature.is_expansion() {
        let parents = feature.record_ids();
        let of_seals = columns.into_iter().filter(|(name, _)| parents.contains(name));
        let of_seals = of_seals.chain(ours(&system::SEAL_COLUMNS));
        let info = TableInfo { columns: of_seals.map(column).collect(), ..TableInfo::default() };
        tables.push((system::seals(&table), info));
    }
    tables
}
