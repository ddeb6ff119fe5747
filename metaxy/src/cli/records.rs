//! Which records a command is about: by their ids, or by a filter.

use super::Failure;
use super::jsonl::{fix, is_day};
use super::sync::pair;
use crate::spec::FeatureDefinition;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema};
use clap::Args;
use metaxy_sql::ScalarType;
use std::sync::Arc;

/// Which records.
#[derive(Debug, Args)]
pub(super) struct Ids {
    /// The record with this id; with several id columns one after the other, and so on for more
    /// records: `--id video=a --id frame=1 --id video=a --id frame=2`
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = pair, group = "which")]
    id: Vec<(String, String)>,
    /// The records whose row fulfils a condition
    #[arg(long, value_name = "CONDITION", group = "which")]
    filter: Option<String>,
}

/// Records, as the store takes them.
#[derive(Debug)]
pub(super) enum Which {
    /// Those with these ids.
    Ids(RecordBatch),
    /// Those that fulfil a filter.
    Filter(String),
}

impl Ids {
    /// The records that are named, if any are.
    pub(super) fn of(&self, definition: &FeatureDefinition) -> Result<Option<Which>, Failure> {
        if let Some(filter) = &self.filter {
            return Ok(Some(Which::Filter(filter.clone())));
        }
        if self.id.is_empty() {
            return Ok(None);
        }
        let key = &definition.spec.key;
        let ids = &definition.spec.id_columns;
        let Some(columns) = &definition.columns else {
            return Err(Failure::input(format!(
                "nothing says which types the ids of `{key}` have; name the records with `--filter`"
            )));
        };
        if let Some((unknown, _)) = self.id.iter().find(|(column, _)| !ids.contains(column)) {
            let nearest = crate::nearest::nearest(unknown, ids.iter().map(String::as_str));
            return Err(Failure::input(format!(
                "`{key}` has no id column `{unknown}`{}; it has `{}`",
                crate::nearest::hint(nearest),
                ids.join("`, `")
            )));
        }
        // A column that comes again begins the next record.
        let mut records: Vec<Vec<(&str, &str)>> = Vec::new();
        for (column, value) in &self.id {
            match records.last_mut() {
                Some(last) if !last.iter().any(|(known, _)| known == column) => {
                    last.push((column, value));
                }
                _ => records.push(vec![(column, value)]),
            }
        }
        let value = |record: &[(&str, &str)], id: &str| {
            record.iter().find(|(column, _)| *column == id).map(|(_, value)| (*value).to_owned())
        };
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        // Of an expansion the ids of parents will do; what is missing of a record is said by the store.
        for id in ids.iter().filter(|id| self.id.iter().any(|(column, _)| column == *id)) {
            let texts: StringArray = records.iter().map(|record| value(record, id)).collect();
            let ty = columns.iter().find(|column| column.name == *id).map(|column| column.ty);
            let ty = ty.ok_or_else(|| {
                Failure::from(crate::Error::internal(format!("`{id}` has no type")))
            })?;
            let wrong = || {
                let wrong = self.id.iter().filter(|(column, _)| column == id);
                let wrong: Vec<_> = wrong.map(|(_, value)| format!("`{value}`")).collect();
                Failure::input(format!(
                    "the id `{id}` is {ty}, found {}{}",
                    wrong.join(", "),
                    fix(ty)
                ))
            };
            if ty == ScalarType::Date.into() && !texts.iter().flatten().all(is_day) {
                return Err(wrong());
            }
            let texts: ArrayRef = Arc::new(texts);
            let options = CastOptions { safe: false, ..CastOptions::default() };
            let typed = cast_with_options(&texts, &ty.to_arrow(), &options);
            arrays.push(typed.map_err(|_| wrong())?);
            fields.push(Field::new(id, ty.to_arrow(), true));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
        Ok(Some(Which::Ids(batch.map_err(crate::Error::from)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FeatureGraph;
    use crate::builder::FeatureBuilder;
    use arrow::array::Date32Array;

    /// A day is the one that is written, and not the one that a time has in UTC: it names a record.
    #[test]
    fn the_day_of_an_id_is_as_it_is_written() {
        let feature = FeatureBuilder::new("a").id("day", ScalarType::Date).field("x");
        let graph = FeatureGraph::builder().feature(feature).build().expect("a graph");
        let of = |day: &str| {
            let ids = Ids { id: vec![("day".to_owned(), day.to_owned())], filter: None };
            ids.of(graph.iter().next().expect("a feature"))
        };
        match of("2026-01-31") {
            Ok(Some(Which::Ids(batch))) => {
                let day: ArrayRef = Arc::new(Date32Array::from(vec![20_484]));
                assert_eq!(batch.column(0), &day);
            }
            other => panic!("{other:?}"),
        }
        for day in ["2026-01-31T23:30:00-05:00", "2026-01-31 12:00:00", "today"] {
            let Err(Failure::Input(reasons)) = of(day) else { panic!("{day} is taken") };
            let expected = format!(
                "the id `day` is Date32, found `{day}`; write a day without a time, `2026-01-31`"
            );
            assert_eq!(reasons, [expected]);
        }
    }
}
