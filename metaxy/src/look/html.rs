//! The page: the drawing, what the side panel shows as JSON, a style sheet and a script, in one file.
//!
//! Its policy allows that style sheet and that script, by their hashes, and nothing else: no text of a
//! user can run, and nothing is loaded. The files are in `look/page/`, plain and written by hand.

use super::Mark;
use super::layout::Layout;
use super::palette::properties;
use super::picture::{Edge, Feature, Field, Picture};
use super::svg::{STYLE, drawing};
use super::text::{fill, json_in_html, one_line, xml};
use crate::key::FieldKey;
use crate::spec::{ColumnSpec, FeatureDep, FieldsMapping, Lineage, Origin};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("page/page.html");
const PAGE_STYLE: &str = include_str!("page/page.css");

/// One script, in files by subject; each sees what those before it declare.
const SCRIPT: [&str; 6] = [
    include_str!("page/graph.js"),
    include_str!("page/view.js"),
    include_str!("page/panel.js"),
    include_str!("page/path.js"),
    include_str!("page/search.js"),
    include_str!("page/keys.js"),
];

pub(super) fn write(picture: &Picture<'_>) -> String {
    let layout = Layout::of(picture);
    let style = [&properties(), STYLE, PAGE_STYLE].concat();
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPT.concat());
    fill(
        PAGE,
        &[
            ("title", &xml(&one_line(&picture.title))),
            ("style-hash", &hash(&style)),
            ("script-hash", &hash(&script)),
            ("style", &style),
            ("script", &script),
            ("width", &layout.width.to_string()),
            ("height", &layout.height.to_string()),
            ("drawing", &drawing(picture, &layout)),
            ("data", &json_in_html(&data(picture, &layout).to_string())),
        ],
    )
}

/// As a policy names what it allows.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

fn data(picture: &Picture<'_>, layout: &Layout) -> Value {
    let features = picture.features.iter().zip(&layout.cards).enumerate();
    let features = features.map(|(i, (described, card))| {
        let mut value = feature(described);
        value["box"] = json!([card.x, card.y, card.width, card.height]);
        value["upstreams"] = picture
            .links_of(i, false)
            .map(|link| {
                let mut value = dep(link.dep);
                value["feature"] = link.upstream.into();
                value["mark"] = link.mark.map(Mark::word).into();
                value
            })
            .collect();
        // What is not shown is named all the same.
        let hidden =
            described.definition.spec.deps.iter().filter(|dep| {
                !picture.links_of(i, false).any(|link| link.dep.feature == dep.feature)
            });
        value["hidden"] = hidden.map(dep).collect();
        value
    });
    json!({
        "horizontal": picture.direction.is_horizontal(),
        "reversed": picture.direction.is_reversed(),
        "fields": picture.shows_fields,
        "features": features.collect::<Vec<_>>(),
        "edges": picture.edges.iter().map(|e| edge(picture, e)).collect::<Vec<_>>(),
    })
}

/// `[feature, field or -1, feature, field or -1]`, the upstream first.
fn edge(picture: &Picture<'_>, edge: &Edge) -> Value {
    let link = &picture.links[edge.link];
    let field = |field: Option<usize>| field.map_or(json!(-1), Into::into);
    json!([link.upstream, field(edge.from), link.downstream, field(edge.to)])
}

fn feature(feature: &Feature<'_>) -> Value {
    let definition = feature.definition;
    let spec = &definition.spec;
    let origin = match &definition.origin {
        Origin::Recorded => None,
        origin => Some(origin.to_string()),
    };
    json!({
        "key": spec.key.as_str(),
        "project": definition.project,
        "description": spec.description,
        "metadata": spec.metadata,
        "type": definition.type_path,
        "origin": origin,
        "version": feature.version,
        "ids": spec.id_columns,
        "columns": definition.columns.as_ref().map(|columns| columns.iter().map(column).collect::<Vec<_>>()),
        "mark": feature.mark.map(Mark::word),
        "state": feature.state.map(|state| json!({
            "records": state.records,
            "open": state.open().collect::<Vec<_>>(),
        })),
        "fields": feature.fields.iter().map(field).collect::<Vec<_>>(),
    })
}

fn column(column: &ColumnSpec) -> Value {
    let nullable = if column.nullable { ", may be NULL" } else { "" };
    json!([column.name, format!("{}{nullable}", column.ty)])
}

fn field(field: &Field<'_>) -> Value {
    json!({
        "key": field.spec.key.as_str(),
        "code_version": field.code_version(),
        "version": field.version,
        "renamed_from": field.spec.renamed_from.as_ref().map(FieldKey::as_str),
        "parents": field.parents,
        "mark": field.mark.map(Mark::word),
    })
}

/// How records and columns of an upstream arrive, in the words of a declaration.
fn dep(dep: &FeatureDep) -> Value {
    let list = |texts: &[String]| texts.join(", ");
    let lineage = match &dep.lineage {
        Lineage::Identity => None,
        Lineage::Aggregation { on: None } => Some("aggregation on its ids".to_owned()),
        Lineage::Aggregation { on: Some(on) } => Some(format!("aggregation on {}", list(on))),
        Lineage::Expansion { on, .. } => Some(format!("expansion on {}", list(on))),
    };
    let keys = |keys: &[FieldKey]| {
        keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>().join(", ")
    };
    let mapping = match &dep.fields_mapping {
        FieldsMapping::Default { match_suffix: false, exclude } if exclude.is_empty() => None,
        FieldsMapping::Default { match_suffix, exclude } => {
            let how = if *match_suffix { "by suffix" } else { "by name" };
            let without = (!exclude.is_empty()).then(|| format!(", without {}", keys(exclude)));
            Some(format!("{how}{}", without.unwrap_or_default()))
        }
        FieldsMapping::Specific(pairs) => {
            let pairs = pairs.iter().map(|(field, from)| format!("{field} ← {}", keys(from)));
            Some(pairs.collect::<Vec<_>>().join("; "))
        }
        FieldsMapping::All => Some("all".to_owned()),
        FieldsMapping::None => Some("none".to_owned()),
    };
    let renames: Vec<String> = dep.renames().map(|(from, to)| format!("{from} → {to}")).collect();
    json!({
        "key": dep.feature.as_str(),
        "options": {
            "relation": lineage,
            "optional": dep.optional.then_some("a record exists without it"),
            "filter": dep.filters.as_ref().filter(|f| !f.is_empty()).map(|f| f.join("\n")),
            "select": dep.select.as_deref().map(list),
            "rename": (!renames.is_empty()).then(|| list(&renames)),
            "fields": mapping,
        },
    })
}
