//! Whole features, from one store to another: rows as they are.
//!
//! What comes from elsewhere is staged in temporary tables, one batch at a time, and then either merged
//! into tables of this store or, for a single statement, stands in for a table that is not here.

use super::Shared;
use super::connection::{Access, Connection, end};
use super::plan::{TableColumn, TableInfo, Tables, declared_types};
use super::rows::as_declared;
use super::tables::{add_columns, ensure_tables, record, recorded};
use crate::error::{Error, Result};
use crate::increment::no_batches;
use crate::key::FeatureKey;
use crate::spec::ColumnSpec;
use crate::store::backend::{BatchStream, Export, ExportFuture, FeatureContext, Layout};
use crate::store::stage::{WriteError, text_maps, write_error};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use futures::StreamExt;
use metaxy_sql::ast::{ColumnDecl, Statement};
use metaxy_sql::plan::Merge;
use metaxy_sql::{ColumnType, Dialect, Ident, lower, system};
use std::sync::Arc;

/// Rows, and seals, of another store, on their way into this one.
const ROWS: &str = "@rows";
const SEALS: &str = "@row seals";
/// What is recorded of definitions here and elsewhere.
const DEFINITIONS: &str = "@definitions";

/// Rows of another store in a temporary table.
struct Staged {
    table: String,
    columns: Vec<(String, ColumnType)>,
}

impl Staged {
    /// As a plan sees a table.
    fn info(&self, dialect: &dyn Dialect) -> TableInfo {
        let column = |(name, ty): &(String, ColumnType)| {
            let type_name = dialect.column_type(*ty);
            (name.clone(), TableColumn { type_name, ty: Some(*ty) })
        };
        TableInfo {
            columns: self.columns.iter().map(column).collect(),
            stand_in: Some(self.table.clone()),
            ..TableInfo::default()
        }
    }
}

/// Everything that is stored of a feature.
pub(super) async fn export(shared: &Shared, feature: &FeatureContext) -> Result<Export> {
    let table = feature.key().table_name();
    let seals_table = system::seals(&table);
    let names = [table.clone(), seals_table.clone(), system::DEFINITIONS.to_owned()];
    let (mut connection, mut found) = begun(shared, &names).await?;
    // First the seals, whose snapshot is then the earlier one: every child that they promise is there.
    let mut seals = no_batches();
    if let Some(info) = found.get(&seals_table).filter(|_| feature.is_expansion()) {
        seals = whole(shared, connection, feature, &seals_table, info).await?;
        (connection, found) = begun(shared, &names).await?;
    }
    let Some(info) = found.get(&table) else {
        return Err(Error::NoTable { feature: feature.key().clone(), table });
    };
    // Of the same snapshot as the rows, where there is one.
    let definitions = match found.contains_key(system::DEFINITIONS) {
        true => recorded(&mut *connection, system::DEFINITIONS, feature.key()).await?,
        false => Vec::new(),
    };
    let rows = whole(shared, connection, feature, &table, info).await?;
    Ok(Export { definitions, rows, seals })
}

/// A connection that reads, and what it sees of some tables. It gives the rows of one of them as well, so
/// that a pool needs no more.
async fn begun(shared: &Shared, names: &[String]) -> Result<(Box<dyn Connection>, Tables)> {
    let mut connection = shared.connect().await?;
    connection.begin(Access::Read).await?;
    let found = connection.tables(names).await?;
    Ok((connection, found))
}

/// All rows of a table; without any, one batch that tells its columns.
async fn whole(
    shared: &Shared,
    connection: Box<dyn Connection>,
    feature: &FeatureContext,
    table: &str,
    info: &TableInfo,
) -> Result<BatchStream> {
    let mut batches = connection.stream(lower::everything(table, info.columns.keys())?).await?;
    let first = match batches.next().await.transpose()? {
        Some(first) => first,
        None => no_rows(info),
    };
    let declared = declared_types(feature);
    let batches = futures::stream::iter([Ok(first)]).chain(batches);
    let dialect = shared.engine.dialect();
    Ok(batches.map(move |batch| as_declared(&batch?, &declared, &*dialect)).boxed())
}

/// A batch with the columns of a table; versions per field are maps, however they are kept.
fn no_rows(info: &TableInfo) -> RecordBatch {
    let by_field = [system::PROVENANCE_BY_FIELD, system::DATA_VERSION_BY_FIELD];
    let field = |(name, column): (&String, &TableColumn)| {
        let is_by_field = by_field.contains(&name.as_str());
        let ty = column.ty.or_else(|| is_by_field.then_some(ColumnType::TextMap));
        Field::new(name, ty.map_or(DataType::Null, ColumnType::to_arrow), true)
    };
    let fields: Vec<_> = info.columns.iter().map(field).collect();
    RecordBatch::new_empty(Arc::new(Schema::new(fields)))
}

/// Puts batches into a temporary table of their columns; nothing if there are none.
async fn stage(
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    table: &str,
    mut batches: BatchStream,
) -> Result<Option<Staged>> {
    let mut staged = None;
    while let Some(batch) = batches.next().await.transpose()? {
        let batch = text_maps(&batch)?;
        if staged.is_none() {
            let columns = columns_of(feature, &batch.schema())?;
            let new = Staged { table: table.to_owned(), columns };
            connection.execute(temporary(&new)?).await?;
            staged = Some(new);
        }
        connection.append(table, batch).await?;
    }
    Ok(staged)
}

fn temporary(staged: &Staged) -> Result<Statement> {
    let decl = |(name, ty): &(String, ColumnType)| {
        Ok(ColumnDecl { name: Ident::new(name)?, ty: (*ty).into(), nullable: true })
    };
    let columns = staged.columns.iter().map(decl).collect::<Result<_>>()?;
    let (table, key, together) = (Ident::new(&staged.table)?, Vec::new(), Vec::new());
    Ok(Statement::CreateTable { table, columns, key, together, temporary: true })
}

/// The columns of rows, in the types of the definition if it has them.
fn columns_of(feature: &FeatureContext, schema: &Schema) -> Result<Vec<(String, ColumnType)>> {
    let declared = |name: &str| {
        let columns = feature.definition().columns.iter().flatten();
        columns.filter(|column| column.name == name).map(|column| column.ty).next()
    };
    let column = |field: &Arc<Field>| {
        let name = field.name();
        let ty = declared(name).or_else(|| ColumnType::from_arrow(field.data_type()));
        let ty = ty.ok_or_else(|| {
            let reason = WriteError::Type {
                column: name.clone(),
                found: field.data_type().to_string(),
                expected: "a type that a column can have".to_owned(),
            };
            write_error(feature, reason)
        })?;
        Ok((name.clone(), ty))
    };
    schema.fields().iter().map(column).collect()
}

/// Appends what another store holds of a feature; the number of rows and seals.
pub(super) async fn import(shared: &Shared, feature: FeatureContext, from: Export) -> Result<u64> {
    let connection = &mut *shared.connect_to_write().await?;
    let rows = stage(connection, &feature, ROWS, from.rows).await?;
    let seals = stage(connection, &feature, SEALS, from.seals).await?;
    let Some(rows) = rows else { return Ok(0) };
    connection.begin(Access::Write(&[feature.key().table_name()])).await?;
    let done = append(shared, connection, &feature, &from.definitions, &rows, seals.as_ref()).await;
    end(connection, done).await
}

/// Appends what is staged.
async fn append(
    shared: &Shared,
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    definitions: &[Vec<String>],
    rows: &Staged,
    seals: Option<&Staged>,
) -> Result<u64> {
    let layout = layout(feature, rows);
    ensure_tables(shared, connection, feature, &layout, false).await?;
    let known = recorded(connection, system::DEFINITIONS, feature.key()).await?;
    record(connection, system::DEFINITIONS, feature, &known, definitions).await?;
    let ids = &feature.definition().spec.id_columns;
    let table = feature.key().table_name();
    let mut n = merge(shared, connection, feature, rows, &table, ids).await?;
    if let Some(seals) = seals {
        let parents: Vec<String> =
            feature.parent_ids().into_iter().map(|place| ids[place].clone()).collect();
        n += merge(shared, connection, feature, seals, &system::seals(&table), &parents).await?;
    }
    Ok(n)
}

/// The layout of the table that rows of another store need.
fn layout(feature: &FeatureContext, rows: &Staged) -> Layout {
    let definition = feature.definition();
    let ids = &definition.spec.id_columns;
    let of_rows = rows.columns.iter().filter(|(name, _)| !name.starts_with(system::PREFIX));
    let mut columns: Vec<ColumnSpec> = of_rows
        .map(|(name, ty)| ColumnSpec { name: name.clone(), ty: *ty, nullable: !ids.contains(name) })
        .collect();
    for declared in definition.columns.iter().flatten() {
        match columns.iter_mut().find(|column| column.name == declared.name) {
            Some(column) => column.nullable = declared.nullable,
            // Rows of an older definition lack it.
            None => columns.push(ColumnSpec { nullable: true, ..declared.clone() }),
        }
    }
    let id = |name: &String| columns.iter().find(|column| column.name == *name).cloned();
    Layout {
        ids: ids.iter().filter_map(id).collect(),
        columns: columns.iter().filter(|column| !ids.contains(&column.name)).cloned().collect(),
        fields: feature.field_names(),
        parents: feature.is_expansion().then(|| feature.parent_ids()),
    }
}

/// Appends staged rows that a table does not have yet; how many.
async fn merge(
    shared: &Shared,
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    staged: &Staged,
    table: &str,
    ids: &[String],
) -> Result<u64> {
    let found = connection.tables(&[table.to_owned()]).await?;
    let Some(info) = found.get(table) else {
        return Err(Error::NoTable { feature: feature.key().clone(), table: table.to_owned() });
    };
    info.keeps_maps(feature.key(), table)?;
    let lacking = staged.columns.iter().filter(|(name, _)| !info.columns.contains_key(name));
    let lacking = lacking.map(|(name, ty)| (name.as_str(), *ty)).collect();
    add_columns(shared, connection, feature.key(), table, lacking).await?;
    let named = [
        system::UPDATED_AT,
        system::DELETED_AT,
        system::WRITE_TOKEN,
        system::FEATURE_VERSION,
        system::TRY,
    ];
    let columns: Vec<String> = staged.columns.iter().map(|(name, _)| name.clone()).collect();
    let same = named.into_iter().filter(|name| columns.iter().any(|column| column == name));
    let same = same.map(str::to_owned).collect();
    let (table, stage, ids) = (table.to_owned(), staged.table.clone(), ids.to_vec());
    let plan = Merge { table, stage, columns, ids, same };
    connection.execute(lower::merge(&plan)?).await
}

/// Records of other stores, staged where a statement of this connection can read them.
pub(super) struct Foreign {
    /// The names of tables that are not here, and what stands in for them.
    tables: Vec<(String, Staged)>,
    definitions: Vec<(FeatureContext, Vec<Vec<String>>)>,
}

impl Foreign {
    /// Stages records of other stores.
    pub(super) async fn stage(
        connection: &mut dyn Connection,
        feature: &FeatureContext,
        foreign: Vec<(FeatureKey, ExportFuture)>,
    ) -> Result<Self> {
        let mut all = Self { tables: Vec::new(), definitions: Vec::new() };
        for (i, (key, export)) in foreign.into_iter().enumerate() {
            let of = feature.of(&key)?;
            let table = key.table_name();
            let export = export.await?;
            let parts = [
                (table.clone(), format!("@foreign {i}"), export.rows),
                (system::seals(&table), format!("@foreign seals {i}"), export.seals),
            ];
            for (name, stand_in, batches) in parts {
                let staged = stage(connection, &of, &stand_in, batches).await?;
                all.tables.extend(staged.map(|staged| (name, staged)));
            }
            all.definitions.push((of, export.definitions));
        }
        Ok(all)
    }

    /// Puts what is staged into the place of tables that are not here.
    pub(super) async fn stand_in(
        self,
        dialect: &dyn Dialect,
        connection: &mut dyn Connection,
        found: &mut Tables,
    ) -> Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        let has_own = found.contains_key(system::DEFINITIONS);
        let Statement::CreateTable { columns, key, together, .. } = lower::definitions() else {
            return Err(Error::internal("a table is made by another statement"));
        };
        let names = columns.iter().map(|column| column.name.clone()).collect();
        let table = Ident::new(DEFINITIONS)?;
        let name = table.clone();
        let make = Statement::CreateTable { table: name, columns, key, together, temporary: true };
        connection.execute(make).await?;
        if has_own {
            let own = lower::everything(
                system::DEFINITIONS,
                &system::definitions::COLUMNS.map(str::to_owned),
            )?;
            let Statement::Query(query) = own else {
                return Err(Error::internal("rows are given by another statement"));
            };
            connection.execute(Statement::Insert { table, columns: names, query }).await?;
        }
        for (feature, definitions) in &self.definitions {
            let known = recorded(connection, DEFINITIONS, feature.key()).await?;
            record(connection, DEFINITIONS, feature, &known, definitions).await?;
        }
        let definitions = found.entry(system::DEFINITIONS.to_owned()).or_default();
        definitions.stand_in = Some(DEFINITIONS.to_owned());
        for (name, staged) in &self.tables {
            found.insert(name.clone(), staged.info(dialect));
        }
        Ok(())
    }
}
