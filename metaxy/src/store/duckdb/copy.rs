//! Whole features, from one store to another: rows as they are.
//!
//! What comes from elsewhere is staged in temporary tables, one batch at a time, and then either merged
//! into tables of this store or, for a single statement, stands in for a table that is not here.

use super::database::Link;
use super::session::{add_columns, append_to, ensure_tables, transaction};
use super::{
    DuckDb, Shared, database_error, id_columns_text, in_utc, on_thread, run, run_ast, tables, texts,
};
use crate::error::{Error, Result};
use crate::increment::no_batches;
use crate::key::FeatureKey;
use crate::spec::ColumnSpec;
use crate::store::backend::{BatchStream, Export, FeatureContext, Layout};
use crate::store::plan::{TableInfo, Tables};
use crate::store::stage::{WriteError, text_maps, write_error};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use duckdb::Connection;
use futures::StreamExt;
use metaxy_sql::ast::{ColumnDecl, Statement};
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
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
    fn info(&self) -> TableInfo {
        let ty = |ty| DuckDbDialect.column_type(ty);
        TableInfo {
            columns: self.columns.iter().map(|(name, of)| (name.clone(), ty(*of))).collect(),
            stand_in: Some(self.table.clone()),
        }
    }
}

/// Everything that is stored of a feature.
pub(super) async fn export(store: &DuckDb, feature: &FeatureContext) -> Result<Export> {
    let table = feature.key().table_name();
    let seals_table = system::seals(&table);
    let names = vec![table.clone(), seals_table.clone()];
    let shared = Arc::clone(&store.shared);
    let found = on_thread(move || tables(&*shared.database.connect()?, &names)).await?;
    if !found.contains_key(&table) {
        return Err(Error::NoTable { feature: feature.key().clone(), table });
    }
    // First the seals, whose snapshot is then the earlier one: every child that they promise is there.
    let seals = if feature.is_expansion() && found.contains_key(&seals_table) {
        whole(store, seals_table).await?
    } else {
        no_batches()
    };
    let rows = whole(store, table).await?;
    let (shared, key) = (Arc::clone(&store.shared), feature.key().clone());
    let definitions =
        on_thread(move || recorded(&*shared.database.connect()?, system::DEFINITIONS, &key))
            .await?;
    Ok(Export { definitions, rows, seals })
}

/// All rows of a table; without any, one batch that tells its columns.
async fn whole(store: &DuckDb, table: String) -> Result<BatchStream> {
    let sql = format!("SELECT * FROM {}", DuckDbDialect.quote_ident(&Ident::new(table)?)?);
    let text = sql.clone();
    let mut batches = store.batches(move |_| Ok(text)).await?;
    let first = match batches.next().await.transpose()? {
        Some(first) => first,
        None => {
            let shared = Arc::clone(&store.shared);
            on_thread(move || no_rows(&*shared.database.connect()?, &sql)).await?
        }
    };
    Ok(futures::stream::iter([Ok(first)]).chain(batches).boxed())
}

/// A batch with the columns of a statement.
fn no_rows(connection: &Connection, sql: &str) -> Result<RecordBatch> {
    let mut statement = connection.prepare(sql).map_err(database_error)?;
    let schema = statement.stream_arrow([]).map_err(database_error)?.get_schema();
    in_utc(&RecordBatch::new_empty(schema))
}

/// What is recorded of the definitions of a feature.
fn recorded(connection: &Connection, table: &str, key: &FeatureKey) -> Result<Vec<Vec<String>>> {
    use system::definitions::{COLUMNS, FEATURE_KEY};
    if tables(connection, &[table.to_owned()])?.is_empty() {
        return Ok(Vec::new());
    }
    let key = DuckDbDialect.quote_text(key.as_str())?;
    let columns = COLUMNS[1..].join(", ");
    texts(connection, &format!("SELECT {columns} FROM {table} WHERE {FEATURE_KEY} = {key}"))
}

/// Records definitions that are not known yet.
fn record(
    connection: &Connection,
    table: &str,
    feature: &FeatureContext,
    known: &[Vec<String>],
    definitions: &[Vec<String>],
) -> Result<()> {
    let today = id_columns_text(&feature.definition().spec.id_columns);
    if let Some(other) = definitions.iter().filter_map(|row| row.last()).find(|ids| **ids != today)
    {
        let (feature, recorded) = (feature.key().clone(), other.clone());
        return Err(Error::OtherIds { feature, today, recorded });
    }
    let mut values = Vec::new();
    for row in definitions.iter().filter(|row| !known.contains(row)) {
        let row = [feature.key().as_str()].into_iter().chain(row.iter().map(String::as_str));
        let row = row.map(|text| DuckDbDialect.quote_text(text)).collect::<Result<Vec<_>, _>>()?;
        values.push(format!("({})", row.join(", ")));
    }
    if values.is_empty() {
        return Ok(());
    }
    let columns = system::definitions::COLUMNS.join(", ");
    let table = DuckDbDialect.quote_ident(&Ident::new(table)?)?;
    run(connection, &format!("INSERT INTO {table} ({columns}) VALUES {}", values.join(", ")))?;
    Ok(())
}

/// Puts batches into a temporary table of their columns; nothing if there are none.
async fn stage(
    mut link: Link,
    feature: &FeatureContext,
    table: &str,
    mut batches: BatchStream,
) -> Result<(Link, Option<Staged>)> {
    let mut staged = None;
    while let Some(batch) = batches.next().await.transpose()? {
        let batch = text_maps(&batch)?;
        let begin = staged.is_none();
        if begin {
            let columns = columns_of(feature, &batch.schema())?;
            staged = Some(Staged { table: table.to_owned(), columns });
        }
        let make = staged.as_ref().filter(|_| begin).map(temporary).transpose()?;
        let table = table.to_owned();
        link = on_thread(move || {
            if let Some(make) = make {
                run_ast(&link, &make)?;
            }
            append_to(&link, &table, batch)?;
            Ok(link)
        })
        .await?;
    }
    Ok((link, staged))
}

fn temporary(staged: &Staged) -> Result<Statement> {
    let decl = |(name, ty): &(String, ColumnType)| {
        Ok(ColumnDecl { name: Ident::new(name)?, ty: *ty, nullable: true })
    };
    let columns = staged.columns.iter().map(decl).collect::<Result<_>>()?;
    let (table, key) = (Ident::new(&staged.table)?, Vec::new());
    Ok(Statement::CreateTable { table, columns, key, temporary: true })
}

/// The columns of rows, in the types of the definition if it has them.
fn columns_of(feature: &FeatureContext, schema: &Schema) -> Result<Vec<(String, ColumnType)>> {
    let declared = |name: &str| {
        let columns = feature.definition().columns.iter().flatten();
        columns.filter(|column| column.name == name).map(|column| column.ty).next()
    };
    let column = |field: &Arc<arrow::datatypes::Field>| {
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
pub(super) async fn import(
    shared: Arc<Shared>,
    feature: FeatureContext,
    from: Export,
) -> Result<u64> {
    let Export { definitions, rows, seals } = from;
    let of = Arc::clone(&shared);
    let link = on_thread(move || of.database.connect()).await?;
    let (link, rows) = stage(link, &feature, ROWS, rows).await?;
    let (link, seals) = stage(link, &feature, SEALS, seals).await?;
    on_thread(move || {
        let Some(rows) = rows else { return Ok(0) };
        transaction(&shared, &link, || {
            let layout = layout(&feature, &rows);
            ensure_tables(&shared, &link, &feature, &layout, false)?;
            let known = recorded(&link, system::DEFINITIONS, feature.key())?;
            record(&link, system::DEFINITIONS, &feature, &known, &definitions)?;
            let ids = &feature.definition().spec.id_columns;
            let table = feature.key().table_name();
            let mut n = merge(&shared, &link, &feature, &rows, &table, ids)?;
            if let Some(seals) = &seals {
                let parents: Vec<String> =
                    feature.parent_ids().into_iter().map(|place| ids[place].clone()).collect();
                n += merge(&shared, &link, &feature, seals, &system::seals(&table), &parents)?;
            }
            Ok(n)
        })
    })
    .await
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
fn merge(
    shared: &Shared,
    connection: &Connection,
    feature: &FeatureContext,
    staged: &Staged,
    table: &str,
    ids: &[String],
) -> Result<u64> {
    let found = tables(connection, &[table.to_owned()])?;
    let Some(info) = found.get(table) else {
        return Err(Error::NoTable { feature: feature.key().clone(), table: table.to_owned() });
    };
    info.keeps_maps(feature.key(), table)?;
    let lacking = staged.columns.iter().filter(|(name, _)| !info.columns.contains_key(name));
    let lacking = lacking.map(|(name, ty)| (name.as_str(), *ty)).collect();
    add_columns(shared, connection, feature.key(), table, lacking)?;
    let named = [
        system::UPDATED_AT,
        system::DELETED_AT,
        system::WRITE_TOKEN,
        system::FEATURE_VERSION,
        system::TRY,
    ];
    let columns: Vec<String> = staged.columns.iter().map(|(name, _)| name.clone()).collect();
    let same = ids.iter().map(String::as_str).chain(named);
    let same = same.filter(|name| columns.iter().any(|column| column == name)).map(str::to_owned);
    let same = same.collect();
    let plan = Merge { table: table.to_owned(), stage: staged.table.clone(), columns, same };
    run_ast(connection, &lower::merge(&plan)?)
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
        mut link: Link,
        feature: &FeatureContext,
        foreign: Vec<(FeatureKey, Export)>,
    ) -> Result<(Link, Self)> {
        let mut all = Self { tables: Vec::new(), definitions: Vec::new() };
        for (i, (key, export)) in foreign.into_iter().enumerate() {
            let of = feature.of(&key)?;
            let table = key.table_name();
            let parts = [
                (table.clone(), format!("@foreign {i}"), export.rows),
                (system::seals(&table), format!("@foreign seals {i}"), export.seals),
            ];
            for (name, stand_in, batches) in parts {
                let (back, staged) = stage(link, &of, &stand_in, batches).await?;
                link = back;
                all.tables.extend(staged.map(|staged| (name, staged)));
            }
            all.definitions.push((of, export.definitions));
        }
        Ok((link, all))
    }

    /// Puts what is staged into the place of tables that are not here.
    pub(super) fn stand_in(&self, connection: &Connection, found: &mut Tables) -> Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        let statement = match found.get(system::DEFINITIONS) {
            Some(_) => format!(
                "CREATE TEMPORARY TABLE \"{DEFINITIONS}\" AS SELECT * FROM {}",
                system::DEFINITIONS
            ),
            None => {
                let columns: Vec<_> =
                    system::definitions::COLUMNS.map(|name| format!("{name} VARCHAR")).into();
                format!("CREATE TEMPORARY TABLE \"{DEFINITIONS}\" ({})", columns.join(", "))
            }
        };
        run(connection, &statement)?;
        for (feature, definitions) in &self.definitions {
            let known = match found.get(system::DEFINITIONS) {
                Some(_) => recorded(connection, system::DEFINITIONS, feature.key())?,
                None => Vec::new(),
            };
            record(connection, DEFINITIONS, feature, &known, definitions)?;
        }
        let definitions = found.entry(system::DEFINITIONS.to_owned()).or_default();
        definitions.stand_in = Some(DEFINITIONS.to_owned());
        for (name, staged) in &self.tables {
            found.insert(name.clone(), staged.info());
        }
        Ok(())
    }
}
