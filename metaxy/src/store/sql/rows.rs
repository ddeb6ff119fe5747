//! The rows of a resolve statement -> batches of an increment, in the layout of
//! [`crate::increment`].
//!
//! The statement gives one text per field; the maps are built here, where that costs an array and
//! not a computation per row.

use crate::error::{Error, Result};
use crate::increment::{
    CAUSE, Counts, Reason, STALE_FIELDS, STATUS, STORED_PROVENANCE, STORED_VERSION, TRY,
};
use crate::key::FeatureKey;
use crate::plan::{Class as GroupClass, Group};
use crate::store::backend::FeatureContext;
use crate::store::hashing::Hashing;
use crate::store::sql::plan::ResolvePlan;
use crate::store::stage::text_map_array;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int8Array, Int64Array, RecordBatch, StringArray,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int8Type, Int64Type, Schema};
use metaxy_sql::plan::{Class, block, orphan, reason};
use metaxy_sql::{ColumnType, Dialect, system};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// The number that a query gave, in its first column.
pub(crate) fn number(batches: &[RecordBatch]) -> Result<u64> {
    let Some(batch) = batches.first() else { return Ok(0) };
    let numbers = arrow::compute::cast(batch.column(0), &DataType::Int64)?;
    Ok(u64::try_from(numbers.as_primitive::<Int64Type>().value(0)).unwrap_or_default())
}

/// The answer of a resolve statement, by the names of its columns.
pub(crate) struct Answer<'a>(pub(crate) &'a RecordBatch);

impl Answer<'_> {
    fn column(&self, name: &str) -> Result<&ArrayRef> {
        self.0
            .column_by_name(name)
            .ok_or_else(|| Error::internal(format!("a resolve statement gave no column `{name}`")))
    }

    fn text(&self, name: &str) -> Result<StringArray> {
        Ok(arrow::compute::cast(self.column(name)?, &DataType::Utf8)?.as_string().clone())
    }

    fn codes(&self, name: &str) -> Result<Int8Array> {
        let codes = arrow::compute::cast(self.column(name)?, &DataType::Int8)?;
        Ok(codes.as_primitive::<Int8Type>().clone())
    }

    fn numbers(&self, name: &str) -> Result<Int64Array> {
        let numbers = arrow::compute::cast(self.column(name)?, &DataType::Int64)?;
        Ok(numbers.as_primitive::<Int64Type>().clone())
    }

    /// Adds the rows that count classes; gives the others, if there are any.
    pub(crate) fn take_counts(&self, counts: &mut Counts) -> Result<Option<RecordBatch>> {
        let n = self.numbers("n")?;
        if n.null_count() < n.len() {
            let (class, older) = (self.codes("class")?, self.numbers("n_older")?);
            let unsealed = self.numbers("n_unsealed")?;
            for row in (0..n.len()).filter(|row| n.is_valid(*row)) {
                let number = u64::try_from(n.value(row)).unwrap_or_default();
                counts.unsealed += u64::try_from(unsealed.value(row)).unwrap_or_default();
                match Class::from_code(class.value(row)) {
                    Some(Class::Orphaned) => counts.orphaned += number,
                    Some(Class::Blocked) => counts.blocked += number,
                    Some(Class::Waiting) => counts.waiting += number,
                    Some(Class::New) => counts.new += number,
                    Some(Class::Stale) => counts.stale += number,
                    Some(Class::Unchanged) => {
                        counts.unchanged += number;
                        counts.unchanged_older +=
                            u64::try_from(older.value(row)).unwrap_or_default();
                    }
                    None => return Err(Error::internal("a resolve statement gave no class")),
                }
            }
        }
        if n.null_count() == 0 {
            return Ok(None);
        }
        if n.null_count() == n.len() {
            return Ok(Some(self.0.clone()));
        }
        let rows: BooleanArray = (0..n.len()).map(|row| Some(n.is_null(row))).collect();
        Ok(Some(filter_record_batch(self.0, &rows)?))
    }

    /// Whether the rows that count classes count stale records that another definition wrote.
    pub(crate) fn counts_outdated(&self) -> Result<bool> {
        let (class, older) = (self.codes("class")?, self.numbers("n_older")?);
        let is_stale =
            |row: &usize| class.is_valid(*row) && class.value(*row) == Class::Stale as i8;
        Ok((0..class.len()).filter(is_stale).any(|row| older.is_valid(row) && older.value(row) > 0))
    }

    /// The kinds of records that [`metaxy_sql::lower::groups`] has counted.
    pub(crate) fn groups(
        &self,
        fields: &[String],
        upstreams: &[&FeatureKey],
    ) -> Result<Vec<Group>> {
        let (class, orphan) = (self.codes("class")?, self.codes("orphan")?);
        let (n, n_own) = (self.numbers("n")?, self.numbers("n_own")?);
        let all = |letter: char, n: usize| {
            (0..n).map(|k| self.codes(&format!("{letter}{k}"))).collect::<Result<Vec<_>>>()
        };
        let (reasons, blocks) = (all('r', fields.len())?, all('b', upstreams.len())?);
        let number =
            |numbers: &Int64Array, row| u64::try_from(numbers.value(row)).unwrap_or_default();
        let group = |row: usize| {
            let class = Class::from_code(class.value(row))?;
            let because = |k: usize| reasons_of(&reasons[k], row);
            let fields = fields.iter().enumerate().map(|(k, field)| (field.clone(), because(k)));
            Some(Group {
                class: match class {
                    Class::Orphaned => GroupClass::Orphaned,
                    Class::Blocked => GroupClass::Blocked,
                    Class::New => GroupClass::New,
                    Class::Stale => GroupClass::Stale,
                    Class::Waiting | Class::Unchanged => return None,
                },
                fields: fields.filter(|(_, reasons)| !reasons.is_empty()).collect(),
                cause: cause(class, &orphan, upstreams.iter().copied(), &blocks, row),
                records: number(&n, row),
                own_versions: number(&n_own, row),
            })
        };
        Ok((0..n.len()).filter_map(group).collect())
    }

    /// The rows, as callers see them.
    pub(crate) fn increment(
        &self,
        feature: &FeatureContext,
        plan: &ResolvePlan,
    ) -> Result<RecordBatch> {
        let n_rows = self.0.num_rows();
        let class = self.codes("class")?;
        let classes: Vec<Option<Class>> =
            class.values().iter().map(|code| Class::from_code(*code)).collect();
        let names = feature.field_names();
        let mut expected = Vec::new();
        let mut stored = Vec::new();
        let mut stored_data = Vec::new();
        let mut reasons = Vec::new();
        for k in 0..names.len() {
            expected.push(self.text(&format!("p{k}"))?);
            stored.push(self.text(&format!("c{k}"))?);
            stored_data.push(self.text(&format!("d{k}"))?);
            reasons.push(self.codes(&format!("r{k}"))?);
        }
        fn at(array: &StringArray, row: usize) -> Option<&str> {
            array.is_valid(row).then(|| array.value(row))
        }

        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut push = |name: &str, array: ArrayRef| {
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        };
        for (k, name) in plan.plan.target.ids.iter().enumerate() {
            push(name, Arc::clone(self.column(&format!("id{k}"))?));
        }
        let status: StringArray = classes.iter().map(|class| class.map(status)).collect();
        push(STATUS, Arc::new(status));
        for (j, (name, absent)) in plan.brought.iter().enumerate() {
            let column = match absent {
                Some(ty) => new_null_array(ty, n_rows),
                None => Arc::clone(self.column(&format!("s{j}"))?),
            };
            push(name, column);
        }

        let provenance =
            |k: usize, row: usize| at(&expected[k], row).or_else(|| at(&stored[k], row));
        // A field that is not stale keeps the data version that is stored, and so does one whose
        // expected provenance is not known: an orphan's, or one that lacks an input. Children keep
        // theirs one by one, when they are written.
        let is_expansion = feature.is_expansion();
        let is_forced = |k: usize, row: usize| {
            reasons[k].is_valid(row) && reasons[k].value(row) & reason::FORCED != 0
        };
        let data_version = |k: usize, row: usize| {
            let (expected, stored) = (at(&expected[k], row), at(&stored[k], row));
            let keeps = expected.is_none() || expected == stored && !is_forced(k, row);
            if keeps && is_expansion {
                return None;
            }
            let kept = keeps.then(|| at(&stored_data[k], row)).flatten();
            kept.or_else(|| provenance(k, row))
        };
        let all = |_: usize| true;
        let hashing = Hashing::from(plan.plan.hash);
        let provenances = text_map_array(&names, n_rows, all, provenance);
        let over_all: ArrayRef = Arc::new(hashing.of_rows(&names, n_rows, provenance));
        // Where nothing is stored, data versions are provenances.
        let is_same = !is_expansion && stored_data.iter().all(|data| data.null_count() == n_rows);
        let (data_versions, over_all_data): (ArrayRef, ArrayRef) = match is_same {
            true => (Arc::clone(&provenances), Arc::clone(&over_all)),
            false => (
                text_map_array(&names, n_rows, all, data_version),
                Arc::new(hashing.of_rows(&names, n_rows, data_version)),
            ),
        };
        push(system::PROVENANCE_BY_FIELD, provenances);
        push(system::PROVENANCE, over_all);
        push(system::DATA_VERSION_BY_FIELD, data_versions);
        push(system::DATA_VERSION, over_all_data);

        let reason_texts: Vec<String> = (0..16).map(reason_text).collect();
        let reason_of = |k: usize, row: usize| {
            let bits = if reasons[k].is_valid(row) { reasons[k].value(row) } else { 0 };
            let text = reason_texts.get(usize::try_from(bits).unwrap_or_default())?;
            (!text.is_empty()).then_some(text.as_str())
        };
        let is_stale = |row: usize| classes[row] == Some(Class::Stale);
        push(STALE_FIELDS, text_map_array(&names, n_rows, is_stale, reason_of));
        let is_stored = |row: usize| classes[row] != Some(Class::New);
        push(
            STORED_PROVENANCE,
            text_map_array(&names, n_rows, is_stored, |k, row| at(&stored[k], row)),
        );
        push(STORED_VERSION, Arc::new(self.text("version")?));

        if is_expansion {
            push(TRY, Arc::new(tries(n_rows)));
        }

        let orphan = self.codes("orphan")?;
        let blocks = (0..plan.inputs.len())
            .map(|i| self.codes(&format!("b{i}")))
            .collect::<Result<Vec<_>>>()?;
        let cause = |row: usize| cause(classes[row]?, &orphan, plan.inputs.iter(), &blocks, row);
        let causes: StringArray = (0..n_rows).map(cause).collect();
        push(CAUSE, Arc::new(causes));
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }
}

/// Columns in the types that they are declared with, where an engine lacks such a type and keeps the
/// values in a larger one.
pub(crate) fn as_declared(
    batch: &RecordBatch,
    declared: &HashMap<String, ColumnType>,
    dialect: &dyn Dialect,
) -> Result<RecordBatch> {
    let schema = batch.schema();
    let target = |field: &Field| {
        let ty = *declared.get(field.name())?;
        let kept_as = dialect.parse_type(&dialect.column_type(ty))?;
        let is_larger = kept_as != ty && kept_as.to_arrow() == *field.data_type();
        is_larger.then(|| ty.to_arrow())
    };
    if schema.fields().iter().all(|field| target(field).is_none()) {
        return Ok(batch.clone());
    }
    // What another program has written and does not fit is an error, and not NULL.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let column = match target(field) {
            Some(ty) => cast_with_options(column, &ty, &options)?,
            None => Arc::clone(column),
        };
        fields.push(Field::new(field.name(), column.data_type().clone(), field.is_nullable()));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// A number for each row that no other try has: random, and not negative.
fn tries(n_rows: usize) -> Int64Array {
    let random = RandomState::new();
    (0..n_rows).map(|row| i64::try_from(random.hash_one(row) >> 1).unwrap_or(i64::MAX)).collect()
}

fn status(class: Class) -> &'static str {
    match class {
        Class::Orphaned => "orphaned",
        Class::Blocked => "blocked",
        Class::Waiting => "waiting",
        Class::New => "new",
        Class::Stale => "stale",
        Class::Unchanged => "unchanged",
    }
}

/// Why a record is orphaned or blocked.
fn cause<'a>(
    class: Class,
    orphan: &Int8Array,
    upstreams: impl Iterator<Item = &'a FeatureKey>,
    blocks: &[Int8Array],
    row: usize,
) -> Option<String> {
    match class {
        Class::Orphaned if orphan.is_null(row) => None,
        Class::Orphaned => Some(cause_of_orphan(orphan.value(row)).to_owned()),
        Class::Blocked => {
            let waits = upstreams
                .zip(blocks)
                .filter_map(|(key, codes)| Some(format!("{key} {}", wait(codes.value(row))?)));
            Some(waits.collect::<Vec<_>>().join("; "))
        }
        _ => None,
    }
}

fn cause_of_orphan(code: i8) -> &'static str {
    match code {
        orphan::GONE => "gone",
        orphan::EXCLUDED => "excluded",
        _ => "missing",
    }
}

/// What a blocked record waits for in one upstream; nothing if that one is fit to be read.
fn wait(code: i8) -> Option<&'static str> {
    match code {
        block::STALE => Some("is stale"),
        block::BLOCKED => Some("is blocked"),
        block::ORPHANED => Some("is orphaned"),
        block::NO_VERSION => Some("has no data version"),
        _ => None,
    }
}

/// The reasons that a sum of bits stands for.
fn reasons(bits: i8) -> impl Iterator<Item = Reason> {
    let named = [
        (reason::CODE, Reason::Code),
        (reason::ADDED, Reason::Added),
        (reason::UPSTREAM, Reason::Upstream),
        (reason::FORCED, Reason::Forced),
    ];
    named.into_iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, reason)| reason)
}

fn reasons_of(bits: &Int8Array, row: usize) -> Vec<Reason> {
    if bits.is_valid(row) { reasons(bits.value(row)).collect() } else { Vec::new() }
}

fn reason_text(bits: i8) -> String {
    reasons(bits).map(Reason::name).collect::<Vec<_>>().join(",")
}
