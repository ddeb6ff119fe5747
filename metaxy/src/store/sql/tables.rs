//! The tables of features and of the store: found, checked, made.

use super::connection::{Access, Connection, end};
use super::plan::{Planner, Tables, parents_text};
use super::retry::Tries;
use super::{Shared, text_batch, texts};
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::spec::FeatureSpec;
use crate::store::backend::{FeatureContext, Layout};
use crate::store::stage::{WriteError, write_error};
use arrow::array::RecordBatch;
use metaxy_sql::ast::{ColumnDecl, Statement};
use metaxy_sql::{ColumnType, Dialect, Ident, lower, system};

/// The tables of a feature and of what it is computed from, as far as they are there; refused if one
/// of them was written with other ids than it has today.
pub(super) async fn tables_of(
    connection: &mut dyn Connection,
    feature: &FeatureContext,
) -> Result<Tables> {
    Catalog::of(connection, [feature]).await?.tables_of(feature)
}

/// The same, with what the database can tell of their rows.
pub(super) async fn tables_to_resolve(
    connection: &mut dyn Connection,
    feature: &FeatureContext,
) -> Result<Tables> {
    let mut tables = tables_of(connection, feature).await?;
    let can_be_asked = |spec: &FeatureSpec| {
        let info = tables.get(&spec.key.table_name());
        info.is_some_and(|info| spec.id_columns.iter().all(|id| info.columns.contains_key(id)))
    };
    let specs = with_upstreams(feature).filter(|spec| can_be_asked(spec));
    let of: Vec<_> = specs.map(|spec| (spec.key.table_name(), spec.id_columns.clone())).collect();
    for ((table, _), statistics) in of.iter().zip(connection.statistics(&of).await?) {
        if let Some(info) = tables.get_mut(table) {
            info.statistics = statistics;
        }
    }
    Ok(tables)
}

/// The tables of some features and of what these are computed from, looked up once for all of them.
pub(super) struct Catalog {
    tables: Tables,
    /// What definitions have had: key, id columns and version.
    recorded: Vec<Vec<String>>,
}

impl Catalog {
    pub(super) async fn of(
        connection: &mut dyn Connection,
        features: impl IntoIterator<Item = &FeatureContext> + Clone,
    ) -> Result<Self> {
        let mut names: Vec<String> =
            features.clone().into_iter().flat_map(Planner::table_names).collect();
        names.sort();
        names.dedup();
        let tables = connection.tables(&names).await?;
        let mut keys: Vec<&str> = Vec::new();
        if tables.contains_key(system::DEFINITIONS) {
            let all = features.into_iter().flat_map(with_upstreams);
            keys.extend(all.map(|spec| spec.key.as_str()));
            keys.sort_unstable();
            keys.dedup();
        }
        let recorded = match keys.is_empty() {
            true => Vec::new(),
            false => {
                let statement = lower::ids_and_versions_of_definitions(system::DEFINITIONS, keys);
                let mut recorded = texts(connection, statement).await?;
                recorded.sort_unstable();
                recorded.dedup();
                recorded
            }
        };
        Ok(Self { tables, recorded })
    }

    /// Those of one of the features. Tables that were written with other id columns are refused: their rows
    /// cannot be compared with records of today.
    pub(super) fn tables_of(&self, feature: &FeatureContext) -> Result<Tables> {
        let names = Planner::table_names(feature).into_iter();
        let found = names.filter_map(|name| Some((name.clone(), self.tables.get(&name)?.clone())));
        let mut found: Tables = found.collect();
        for spec in with_upstreams(feature) {
            let Some(info) = found.get_mut(&spec.key.table_name()) else { continue };
            let today = id_columns_text(&spec.id_columns);
            if let Some(recorded) =
                self.recorded_of(&spec.key).map(|(ids, _)| ids).find(|ids| **ids != today)
            {
                let recorded = recorded.clone();
                return Err(Error::OtherIds { feature: spec.key.clone(), today, recorded });
            }
            info.sole_definition = self.is_sole_definition(&feature.of(&spec.key)?);
        }
        Ok(found)
    }

    /// Whether any definition of a feature is recorded.
    pub(super) fn is_recorded(&self, key: &FeatureKey) -> bool {
        self.recorded_of(key).next().is_some()
    }

    /// Whether no other definition of a feature is recorded than its own.
    pub(super) fn is_sole_definition(&self, feature: &FeatureContext) -> bool {
        let today = &feature.versions().feature_version;
        self.recorded_of(feature.key()).all(|(_, version)| version == today)
    }

    /// The id columns and versions of the definitions of a feature.
    fn recorded_of(&self, key: &FeatureKey) -> impl Iterator<Item = (&String, &String)> {
        let first = self.recorded.partition_point(|row| row[0].as_str() < key.as_str());
        let of_feature =
            self.recorded[first..].iter().take_while(move |row| row[0] == key.as_str());
        of_feature.map(|row| (&row[1], &row[2]))
    }
}

fn with_upstreams(feature: &FeatureContext) -> impl Iterator<Item = &FeatureSpec> {
    let upstreams = feature.graph().upstreams(feature.key());
    [feature.definition()].into_iter().chain(upstreams).map(|definition| &definition.spec)
}

/// The id columns of a feature as they are recorded: a JSON list.
pub(crate) fn id_columns_text(ids: &[String]) -> String {
    serde_json::to_string(ids).expect("a list of texts is JSON")
}

/// Refuses a column that would take the place of the address of a row.
pub(crate) fn check_column(dialect: &dyn Dialect, table: &str, column: &str) -> Result<()> {
    if dialect.row_address().iter().any(|address| column.eq_ignore_ascii_case(address)) {
        return Err(Error::ReservedColumn {
            table: table.to_owned(),
            column: column.to_owned(),
            engine: dialect.name(),
        });
    }
    Ok(())
}

/// Makes a system table, if it is not there and the store may.
pub(super) async fn ensure_system_table(
    shared: &Shared,
    connection: &mut dyn Connection,
    table: &str,
    statement: Statement,
) -> Result<()> {
    if connection.tables(&[table.to_owned()]).await?.contains_key(table) {
        return Ok(());
    }
    if !shared.create_tables {
        return Err(Error::NoSystemTable { table: table.to_owned() });
    }
    connection.execute(statement).await?;
    Ok(())
}

/// Appends rows to a table of the store's own, in a transaction of their own.
pub(super) async fn append_to_system_table(
    shared: &Shared,
    connection: &mut dyn Connection,
    table: &str,
    declared: fn() -> Statement,
    rows: RecordBatch,
) -> Result<()> {
    let mut tries = Tries::to_write();
    loop {
        let done = async {
            connection.begin(Access::Write(&[table.to_owned()])).await?;
            ensure_system_table(shared, connection, table, declared()).await?;
            connection.append(table, rows.clone()).await
        };
        let done = done.await;
        match end(connection, done).await {
            Err(error) => tries.after(error).await?,
            done => return done,
        }
    }
}

/// What makes the tables of a feature: for a store that may, and for migrations.
pub(crate) struct FeatureTables {
    /// That of its records.
    pub(crate) records: Statement,
    /// Of an expansion, that of the seals.
    pub(crate) seals: Option<Statement>,
}

impl FeatureTables {
    pub(crate) fn of(key: &FeatureKey, layout: &Layout) -> Result<Self> {
        let table = key.table_name();
        let all = layout.ids.iter().chain(&layout.columns);
        let columns: Vec<(String, ColumnType, bool)> =
            all.map(|column| (column.name.clone(), column.ty, column.nullable)).collect();
        let Some(parents) = &layout.parents else {
            let records = lower::table(&table, &columns, layout.ids.len())?;
            return Ok(Self { records, seals: None });
        };
        let parent = |place: &usize| (layout.ids[*place].name.clone(), layout.ids[*place].ty);
        let ids: Vec<_> = parents.iter().map(parent).collect();
        Ok(Self {
            records: lower::children_table(&table, &columns, layout.ids.len(), parents)?,
            seals: Some(lower::seals_table(&system::seals(&table), &ids)?),
        })
    }
}

/// The column that is added to a table for one of a layout. Older rows have no value in it.
pub(crate) fn added(name: &str, ty: ColumnType) -> Result<ColumnDecl> {
    Ok(ColumnDecl { name: Ident::new(name)?, ty: ty.into(), nullable: true })
}

/// The tables of a feature, made if they are missing and the store may; with the columns of a layout,
/// and with a column for write tokens if they are relied on.
pub(super) async fn ensure_tables(
    shared: &Shared,
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    layout: &Layout,
    needs_token: bool,
) -> Result<Tables> {
    let dialect = shared.engine.dialect();
    let mut found = tables_of(connection, feature).await?;
    let key = feature.key();
    let table = key.table_name();
    let all = || layout.ids.iter().chain(&layout.columns);
    all().try_for_each(|column| check_column(&*dialect, &table, &column.name))?;
    let mut changed = false;
    if !found.contains_key(system::DEFINITIONS) {
        if !shared.create_tables {
            return Err(Error::NoSystemTable { table: system::DEFINITIONS.to_owned() });
        }
        connection.execute(lower::definitions()).await?;
        changed = true;
    }
    if !found.contains_key(system::FAILURES) && shared.create_tables {
        connection.execute(lower::failures()).await?;
        changed = true;
    }
    match found.get(&table) {
        None if !shared.create_tables => {
            return Err(Error::NoTable { feature: key.clone(), table });
        }
        None => {
            connection.execute(FeatureTables::of(key, layout)?.records).await?;
            changed = true;
        }
        Some(info) => {
            for column in all() {
                let expected = dialect.column_type(column.ty);
                match info.columns.get(&column.name) {
                    Some(found) if found.type_name != expected => {
                        let found = &found.type_name;
                        return Err(write_error(
                            feature,
                            WriteError::Type {
                                column: column.name.clone(),
                                found: column.ty.to_string(),
                                expected: format!("{found}, as in the table `{table}`"),
                            },
                        ));
                    }
                    _ => {}
                }
            }
            let ours = [
                layout.parents.is_some().then_some(system::TRY),
                needs_token.then_some(system::WRITE_TOKEN),
            ];
            let ours = ours.into_iter().flatten();
            let needed = all()
                .map(|column| (column.name.as_str(), column.ty))
                .chain(ours.map(|column| (column, lower::column_type(column))));
            let lacking = needed.filter(|(name, _)| !info.columns.contains_key(*name)).collect();
            changed |= add_columns(shared, connection, key, &table, lacking).await?;
        }
    }
    let seals = system::seals(&table);
    if !found.contains_key(&seals)
        && let Some(statement) = FeatureTables::of(key, layout)?.seals
    {
        if !shared.create_tables {
            return Err(Error::NoTable { feature: key.clone(), table: seals });
        }
        connection.execute(statement).await?;
        changed = true;
    }
    if changed {
        found = tables_of(connection, feature).await?;
    }
    Ok(found)
}

/// Adds columns to a table if the store may; whether there were any. Older rows have no value in
/// them.
pub(super) async fn add_columns(
    shared: &Shared,
    connection: &mut dyn Connection,
    key: &FeatureKey,
    table: &str,
    lacking: Vec<(&str, ColumnType)>,
) -> Result<bool> {
    if !lacking.is_empty() && !shared.create_tables {
        let columns = lacking.iter().map(|(name, _)| (*name).to_owned()).collect();
        let table = table.to_owned();
        return Err(Error::TableLacksColumns { feature: key.clone(), table, columns });
    }
    let any = !lacking.is_empty();
    for (name, ty) in lacking {
        let column = added(name, ty)?;
        let add = Statement::AddColumn { table: Ident::new(table)?, column };
        connection.execute(add).await.map_err(|error| match error {
            Error::Conflict { engine, message } => {
                let message = format!(
                    "the column `{name}` cannot be added to `{table}` while somebody reads it, which may be \
                     this program: read the increment to its end before anything is committed, or add the \
                     column by a migration ({message})"
                );
                Error::Conflict { engine, message }
            }
            error => error,
        })?;
    }
    Ok(any)
}

/// What is recorded of the definitions of a feature: per row all columns but the key.
pub(super) async fn recorded(
    connection: &mut dyn Connection,
    table: &str,
    key: &FeatureKey,
) -> Result<Vec<Vec<String>>> {
    let rows = texts(connection, lower::definitions_of(table, [key.as_str()])).await?;
    Ok(rows.into_iter().map(|mut row| row.split_off(1)).collect())
}

/// Records definitions that are not known yet, each as [`recorded`] gives it.
pub(super) async fn record(
    connection: &mut dyn Connection,
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
    let with_key = |row: &Vec<String>| {
        [feature.key().to_string()].into_iter().chain(row.iter().cloned()).collect()
    };
    let unknown = definitions.iter().filter(|row| !known.contains(row));
    let rows: Vec<Vec<String>> = unknown.map(with_key).collect();
    if rows.is_empty() {
        return Ok(());
    }
    connection.append(table, text_batch(&system::definitions::COLUMNS, &rows)?).await
}

/// Records what today's definition says of each field, unless that version is known.
pub(super) async fn record_definition(
    connection: &mut dyn Connection,
    feature: &FeatureContext,
) -> Result<()> {
    let version = &feature.versions().feature_version;
    let known = recorded(connection, system::DEFINITIONS, feature.key()).await?;
    if known.iter().any(|row| row[0] == *version) {
        return Ok(());
    }
    record(connection, system::DEFINITIONS, feature, &[], &today(feature)).await
}

/// What today's definition says of each field, as [`recorded`] gives it.
pub(crate) fn today(feature: &FeatureContext) -> Vec<Vec<String>> {
    let spec = &feature.definition().spec;
    let version = &feature.versions().feature_version;
    let of_field = |field: &crate::spec::FieldSpec| {
        vec![
            version.clone(),
            field.wire_key().struct_key(),
            feature.versions().fields[&field.key].clone(),
            field.code_version.clone(),
            parents_text(feature.graph().parents(feature.key(), &field.key)),
            id_columns_text(&spec.id_columns),
        ]
    };
    spec.fields.iter().map(of_field).collect()
}

/// Records what today's definitions of features say that are pushed. What was recorded with other ids
/// is forgotten, if no table relies on it.
pub(super) async fn record_pushed(
    connection: &mut dyn Connection,
    features: &[FeatureContext],
) -> Result<()> {
    if features.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = features.iter().map(|feature| feature.key().table_name()).collect();
    let tables = connection.tables(&names).await?;
    let keys = features.iter().map(|feature| feature.key().as_str());
    let known = texts(connection, lower::definitions_of(system::DEFINITIONS, keys)).await?;
    let (mut unknown, mut forgotten) = (Vec::new(), Vec::new());
    for (feature, table) in features.iter().zip(&names) {
        let key = feature.key();
        let known = || known.iter().filter(|row| row[0] == key.as_str());
        let ids = id_columns_text(&feature.definition().spec.id_columns);
        let other = known().filter_map(|row| row.last()).find(|recorded| **recorded != ids);
        if let Some(other) = other {
            if tables.contains_key(table) {
                let recorded = other.clone();
                return Err(Error::OtherIds { feature: key.clone(), today: ids, recorded });
            }
            forgotten.push(key.as_str());
        }
        let version = &feature.versions().feature_version;
        if other.is_some() || !known().any(|row| row[1] == *version) {
            let with_key = |row: Vec<String>| [key.to_string()].into_iter().chain(row).collect();
            unknown.extend(today(feature).into_iter().map(with_key));
        }
    }
    if !forgotten.is_empty() {
        connection.execute(lower::forget_definitions(forgotten)).await?;
    }
    if !unknown.is_empty() {
        let rows = text_batch(&system::definitions::COLUMNS, &unknown)?;
        connection.append(system::DEFINITIONS, rows).await?;
    }
    Ok(())
}
