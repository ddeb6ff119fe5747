//! The plain text of a [`GraphDiff`]: `+` is added, `-` removed, `~` changed, `>` changed because of
//! something upstream.

use super::{Change, ChangedFeature, ChangedField, GraphDiff};
use crate::pyjson;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

impl fmt::Display for GraphDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() && self.affected.is_empty() {
            return f.write_str("no difference\n");
        }
        self.added.iter().try_for_each(|key| writeln!(f, "+ {key}"))?;
        self.removed.iter().try_for_each(|key| writeln!(f, "- {key}"))?;
        self.changed.iter().try_for_each(|changed| changed.fmt(f))?;
        for affected in &self.affected {
            let (before, after) = &affected.version;
            let because = affected.because_of.join(", ");
            let label = format!("{}.{}", affected.feature, affected.field);
            writeln!(f, "> {label} {before} -> {after} because of {because}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ChangedFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "~ {}", self.feature)?;
        self.fields_added.iter().try_for_each(|name| writeln!(f, "    + field {name}"))?;
        self.fields_removed.iter().try_for_each(|name| writeln!(f, "    - field {name}"))?;
        self.fields_changed.iter().try_for_each(|field| field.fmt(f))?;
        self.upstreams_added.iter().try_for_each(|key| writeln!(f, "    + upstream {key}"))?;
        self.upstreams_removed.iter().try_for_each(|key| writeln!(f, "    - upstream {key}"))?;
        for upstream in &self.upstreams_changed {
            for change in &upstream.changes {
                write!(f, "    ~ upstream {}: ", upstream.feature)?;
                change.fmt(f)?;
                f.write_str("\n")?;
            }
        }
        for change in &self.changes {
            if change.what == "columns" {
                write_columns(f, &change.before, &change.after)?;
            } else {
                writeln!(f, "    ~ {change}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ChangedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = &self.version;
        writeln!(f, "    ~ field {} {before} -> {after}", self.field)?;
        if let Some((before, after)) = &self.code_version {
            writeln!(f, "        code version {before} -> {after}")?;
        }
        self.parents_added.iter().try_for_each(|label| writeln!(f, "        + parent {label}"))?;
        self.parents_removed.iter().try_for_each(|label| writeln!(f, "        - parent {label}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what.as_str() {
            // Two schemas side by side say nothing to anybody.
            "schema" => f.write_str("schema"),
            what @ "lineage" => {
                write!(f, "{what} {} -> {}", lineage(&self.before), lineage(&self.after))
            }
            what => write!(f, "{what} {} -> {}", text(&self.before), text(&self.after)),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        other => pyjson::in_order(other),
    }
}

/// `1:N on id`
fn lineage(value: &Value) -> String {
    let relationship = value.get("relationship");
    let member = |name: &str| relationship.and_then(|of| of.get(name));
    let Some(ty) = member("type").and_then(Value::as_str) else { return text(value) };
    let on = member("on").and_then(Value::as_array).into_iter().flatten();
    let on: Vec<&str> = on.filter_map(Value::as_str).collect();
    if on.is_empty() { ty.to_owned() } else { format!("{ty} on {}", on.join(", ")) }
}

fn write_columns(f: &mut fmt::Formatter<'_>, before: &Value, after: &Value) -> fmt::Result {
    let names = |of: &Value| -> Vec<String> {
        of.as_object().into_iter().flat_map(|columns| columns.keys().cloned()).collect()
    };
    let ty = |of: &Value, name: &str| {
        of.get(name).map(|ty| match ty {
            Value::String(text) => text.clone(),
            other => pyjson::in_order(other),
        })
    };
    let (was, is) = (names(before), names(after));
    let known: BTreeSet<&String> = was.iter().collect();
    for name in was.iter().chain(is.iter().filter(|name| !known.contains(name))) {
        match (ty(before, name), ty(after, name)) {
            (Some(was), Some(is)) if was != is => writeln!(f, "    ~ column {name} {was} -> {is}")?,
            (Some(was), None) => writeln!(f, "    - column {name} {was}")?,
            (None, Some(is)) => writeln!(f, "    + column {name} {is}")?,
            _ => {}
        }
    }
    Ok(())
}
