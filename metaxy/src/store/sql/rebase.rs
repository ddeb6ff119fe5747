//! Rebases: rows of former definitions are appended again under today's, where their output is the
//! same.

use super::Shared;
use super::connection::{Access, Connection, end, end_dry};
use super::delete::{count, time_for};
use super::plan::Planner;
use super::session::token;
use super::tables::{ensure_system_table, record_definition, tables_of};
use super::temporary::{INCREMENT, keep, make_increment};
use crate::error::Result;
use crate::increment::Reason;
use crate::store::backend::{
    FeatureContext, RebaseOptions, Rebased as Noted, ResolveOptions, WriteOptions, Written,
};
use crate::store::filters;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use metaxy_sql::ast::{Query, Statement};
use metaxy_sql::filter::Filter;
use metaxy_sql::plan::{
    Rebase, Rebased, Records, Resolve, SealCopies, SealCopy, Stamp, Time, Unchanged, reason,
};
use metaxy_sql::{lower, system};

/// What a rebase appends again: records, or parents of an expansion.
pub(crate) const REBASED: &str = "@rebased";

/// Gives records today's definition.
pub(super) async fn rebase(
    shared: &Shared,
    feature: &FeatureContext,
    options: &RebaseOptions,
) -> Result<Written> {
    let connection = &mut *shared.connect_to_write().await?;
    connection.begin(Access::writing(&[feature.key().table_name()], options.dry_run)).await?;
    let done = append(shared, connection, feature, options).await;
    if options.dry_run {
        let written = end_dry(connection, done).await?;
        return Ok(Written { time: None, ..written });
    }
    end(connection, done).await
}

/// Appends what is rebased, and notes it.
async fn append(
    shared: &Shared,
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    options: &RebaseOptions,
) -> Result<Written> {
    let tables = tables_of(connection, feature).await?;
    let planner = Planner { feature, tables: &tables };
    let Some(records) = planner.records(feature.key())? else { return Ok(Written::default()) };
    planner.check_maps(&records)?;
    let which = Which { unchanged: Unchanged::Older, among: None };
    let find = find(&planner, &records, options, which)?;
    make_increment(connection, &*shared.engine.dialect(), &find.increment).await?;
    keep(connection, REBASED, find.rebased).await?;
    if count(connection, REBASED).await? == 0 {
        return Ok(Written::default());
    }
    // No row carries a definition that is not recorded.
    ensure_system_table(shared, connection, system::DEFINITIONS, lower::definitions()).await?;
    record_definition(connection, feature).await?;
    let time = time_for(connection, &records).await?;
    let stamp = planner.stamp(Time::At(time), token(), &WriteOptions::default());
    let stored = Stored { names: feature.field_names(), follows: false };
    let copies = copies(&planner, records, stored, &stamp)?;
    let rows = connection.execute(copies.rows).await?;
    let seals = match copies.seals {
        Some(statement) => connection.execute(statement).await?,
        None => 0,
    };
    let written = Written { rows, seals, ..Written::default() };
    if written == Written::default() {
        return Ok(written);
    }
    ensure_system_table(shared, connection, system::REBASES, lower::rebases()).await?;
    let names: Vec<&str> = options.accept.iter().map(|reason| reason.name()).collect();
    let accepted = serde_json::to_string(&names).expect("a list of texts is JSON");
    let n_rows = i64::try_from(written.rows + written.seals).unwrap_or(i64::MAX);
    let texts = [accepted.as_str(), &options.by, &options.reason];
    connection.execute(lower::note_rebase(feature.key().as_str(), &stamp, n_rows, texts)).await?;
    Ok(Written { time: Some(time), ..written })
}

/// What finds the records of a rebase.
pub(crate) struct Find {
    /// What is kept as [`INCREMENT`]: the resolve, with unchanged records.
    pub(crate) increment: Resolve,
    /// What is kept as [`REBASED`].
    pub(crate) rebased: Query,
}

/// Which of the records that are unchanged, or whose reasons are accepted.
pub(crate) struct Which {
    pub(crate) unchanged: Unchanged,
    /// Only those whose ids are in this table.
    pub(crate) among: Option<String>,
}

/// How the records are found that a rebase appends again.
pub(crate) fn find(
    planner: &Planner<'_>,
    records: &Records,
    options: &RebaseOptions,
    which: Which,
) -> Result<Find> {
    let feature = planner.feature;
    let filter = filters::over_records(feature, &options.filter, planner)?;
    let mut resolve = planner.resolve(&ResolveOptions::default())?;
    resolve.plan.call.unchanged = which.unchanged;
    let rebased = Rebased {
        records: records.clone(),
        increment: INCREMENT.to_owned(),
        n_fields: feature.field_names().len(),
        accepted: options.accept.iter().map(|reason| bit(*reason)).fold(0, |all, bit| all | bit),
        filter: Filter::all(filter),
        among: which.among,
    };
    Ok(Find { increment: resolve.plan, rebased: lower::rebased(&rebased) })
}

/// What appends the rows of a rebase, and of an expansion its seals.
pub(crate) struct Copies {
    pub(crate) rows: Statement,
    pub(crate) seals: Option<Statement>,
}

/// How the fields of rows are read that are appended again.
pub(crate) struct Stored {
    /// Their keys in the by-field columns.
    pub(crate) names: Vec<String>,
    /// Whether a data version that is the provenance goes on to be it.
    pub(crate) follows: bool,
}

/// What appends the records again that are in [`REBASED`].
pub(crate) fn copies(
    planner: &Planner<'_>,
    records: Records,
    stored: Stored,
    stamp: &Stamp,
) -> Result<Copies> {
    let feature = planner.feature;
    let columns_of = |table: &str| {
        let info = planner.tables.get(table);
        info.map(|info| info.columns.keys().cloned().collect()).unwrap_or_default()
    };
    let seals = SealCopies {
        columns: columns_of(&system::seals(&records.table)),
        records: records.clone(),
        of: SealCopy::Rebase(REBASED.to_owned(), feature.field_names()),
        stamp: stamp.clone(),
    };
    let rows = Rebase {
        columns: columns_of(&records.table),
        records,
        rebased: REBASED.to_owned(),
        fields: feature.field_names(),
        stored: stored.names,
        follows: stored.follows,
        stamp: stamp.clone(),
        hash: feature.hash(),
    };
    Ok(Copies { rows: lower::rebase(&rows)?, seals: lower::seal_copies(&seals)? })
}

fn bit(of: Reason) -> i8 {
    match of {
        Reason::Code => reason::CODE,
        Reason::Added => reason::ADDED,
        Reason::Upstream => reason::UPSTREAM,
        Reason::Forced => reason::FORCED,
    }
}

/// What is noted of the rebases of a feature.
pub(super) async fn rebases(shared: &Shared, feature: &FeatureContext) -> Result<Vec<Noted>> {
    let connection = &mut *shared.connect().await?;
    let table = system::REBASES;
    if !connection.tables(&[table.to_owned()]).await?.contains_key(table) {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for batch in connection.rows(lower::rebases_of(feature.key().as_str())).await? {
        let text = |column: usize, row: usize| -> String {
            batch.column(column).as_string::<i32>().value(row).to_owned()
        };
        let number =
            |column: usize, row: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
        for row in 0..batch.num_rows() {
            let names: Vec<String> = serde_json::from_str(&text(3, row)).unwrap_or_default();
            all.push(Noted {
                feature: feature.key().clone(),
                feature_version: text(1, row),
                rows: u64::try_from(number(2, row)).unwrap_or_default(),
                accepted: names.iter().filter_map(|name| Reason::parse(name)).collect(),
                by: text(4, row),
                reason: text(5, row),
                time: number(6, row),
            });
        }
    }
    Ok(all)
}
