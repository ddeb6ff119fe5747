//! Pushes: definitions that are recorded by name and time.

use super::rows::{State, View, id_columns_text};
use super::writes::now;
use crate::error::{Error, Result};
use crate::store::backend::{PushRequest, PushedRow, PushedRows};

/// Rows that were pushed.
pub(super) fn pushed(state: &State, which: &PushedRows) -> Vec<PushedRow> {
    let (spec, schema) = (String::new, String::new);
    match which {
        PushedRows::Summary => {
            let short =
                |row: &PushedRow| PushedRow { spec: spec(), schema: schema(), ..row.clone() };
            state.pushes.iter().map(short).collect()
        }
        PushedRows::Whole(which) => {
            let is_asked = |row: &&PushedRow| {
                which.iter().any(|(project, time)| *project == row.project && *time == row.time)
            };
            state.pushes.iter().filter(is_asked).cloned().collect()
        }
    }
}

/// Appends a push, unless there has been another one.
pub(super) fn push(state: &mut State, push: PushRequest) -> Result<Option<i64>> {
    let latest = state.pushes.iter().map(|row| row.time).max();
    if latest > push.after {
        return Ok(None);
    }
    let time = latest.map_or_else(now, |latest| now().max(latest.saturating_add(1)));
    for feature in push.features {
        let key = feature.key().clone();
        let today = id_columns_text(&feature.definition().spec.id_columns);
        let lines = {
            let view = View { state, feature, without: None };
            (view.version().to_owned(), view.definition_lines())
        };
        let (version, lines) = lines;
        let has_table = state.tables.contains_key(&key);
        let recorded = state.definitions.entry(key.clone()).or_default();
        if let Some([.., other]) = recorded.iter().find(|[.., ids]| *ids != today) {
            if has_table {
                let recorded = other.clone();
                return Err(Error::OtherIds { feature: key, today, recorded });
            }
            // No row relies on it.
            recorded.clear();
        }
        if !recorded.iter().any(|[known, ..]| *known == version) {
            recorded.extend(lines);
        }
    }
    let stamped =
        |row: PushedRow| PushedRow { time, deleted_at: row.deleted_at.map(|_| time), ..row };
    state.pushes.extend(push.rows.into_iter().map(stamped));
    Ok(Some(time))
}
