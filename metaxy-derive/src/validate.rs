//! One function per rule that needs more than one option, or the meaning of one.
//!
//! What needs another feature cannot be seen from here: that is checked by the compiler
//! (`metaxy::check`), on the definitions that `expand` emits.

use crate::attr::{Lineage, Mapping};
use crate::diag::{Errors, instead};
use crate::model::{
    ColumnModel, ColumnShape, FeatureModel, FieldDepsModel, Member, Role, RowModel,
};
use crate::span;
use proc_macro2::Ident;
use std::collections::HashMap;
use syn::LitStr;
use syn::ext::IdentExt as _;

/// All rules of a feature.
pub(crate) fn feature(errors: &mut Errors, model: &FeatureModel) {
    check_key(errors, &model.key);
    check_project(errors, model);
    check_has_id_and_field(errors, model);
    check_column_names(errors, &model.members);
    check_field_keys(errors, model);
    check_renamed_from(errors, model);
    check_code_versions(errors, model);
    check_upstreams_once(errors, model);
    check_selects(errors, model);
    check_renames(errors, model);
    check_filters(errors, model);
    check_lineages(errors, model);
    check_mappings(errors, model);
    check_field_deps(errors, model);
}

/// All rules of a row.
pub(crate) fn row(errors: &mut Errors, model: &RowModel) {
    if model.members.is_empty() {
        errors.at(model.ident.span(), format!("`{}` has no member to read", model.name));
    }
    check_column_names(errors, &model.members);
}

/// All rules of a column type.
pub(crate) fn column(errors: &mut Errors, model: &ColumnModel) {
    let ColumnShape::Enum(variants) = &model.shape else { return };
    if variants.is_empty() {
        errors.at(model.ident.span(), "an enum without variants has no value to store");
    }
    let mut seen = HashMap::new();
    for (variant, text) in variants {
        if let Some(first) = seen.insert(text.value(), variant) {
            let message = format!("`{first}` and `{variant}` are stored as the same text");
            errors.at(text.span(), message);
        }
    }
}

/// The grammar of keys, as in `metaxy::key`, which looks at every key again in a constant.
pub(crate) fn key_problem(text: &str) -> Option<&'static str> {
    let first_of_all = text.chars().next();
    for part in text.split('/') {
        let Some(first) = part.chars().next() else {
            return Some("a part is empty; parts are joined by a single `/`");
        };
        if part.contains(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) {
            return Some("only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed");
        }
        if first == '-' {
            return Some("a part may not start with `-`");
        }
        if part.contains("__") {
            return Some("`__` is reserved; use a single `_`");
        }
    }
    first_of_all
        .filter(char::is_ascii_digit)
        .map(|_| "the first part has to start with a lower-case letter or `_`")
}

fn check_key(errors: &mut Errors, key: &LitStr) {
    let text = key.value();
    if let Some(problem) = key_problem(&text) {
        errors.at(key.span(), format!("`{text}` is not a key: {problem}"));
    }
}

/// The grammar of projects, as `metaxy::spec` has it for all other places.
fn check_project(errors: &mut Errors, model: &FeatureModel) {
    let Some(project) = &model.project else { return };
    let text = project.value();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if text.is_empty() || text.contains("__") || !text.chars().all(is_allowed) {
        let message = format!(
            "`{text}` is not a project: only ASCII letters, digits, `-` and single `_` are allowed"
        );
        errors.at(project.span(), message);
    }
}

fn check_has_id_and_field(errors: &mut Errors, model: &FeatureModel) {
    if !model.has_all_roles {
        return;
    }
    let name = &model.name;
    if model.ids().next().is_none() {
        let message =
            format!("`{name}` has no id; mark the member that identifies a record `#[metaxy(id)]`");
        errors.at(model.ident.span(), message);
    }
    if model.fields().next().is_none() {
        let message = format!(
            "`{name}` has no field, so nothing of it is versioned; add a member such as `#[metaxy(field)] content: DataVersion`"
        );
        errors.at(model.ident.span(), message);
    }
}

/// Engines differ in whether case counts in a column name, so it may not.
fn check_column_names(errors: &mut Errors, members: &[Member]) {
    let mut seen: HashMap<String, &Member> = HashMap::new();
    for member in members {
        let (Role::Id(name) | Role::Column(name)) = &member.role else { continue };
        check_column_name(errors, name);
        let folded = name.value().to_ascii_lowercase();
        if let Some(first) = seen.get(&folded) {
            let message = format!(
                "the column `{}` is already the member `{}`; case does not count",
                name.value(),
                first.name
            );
            errors.at(name.span(), message);
        } else {
            seen.insert(folded, member);
        }
    }
}

fn check_column_name(errors: &mut Errors, name: &LitStr) {
    let text = name.value();
    if text.is_empty() || text.contains('\0') {
        errors.at(name.span(), "a column name is not empty and has no NUL");
    } else if text.to_ascii_lowercase().starts_with("metaxy_") {
        let message =
            format!("`{text}` is not a column name: `metaxy_` is reserved for the system");
        errors.at(name.span(), message);
    }
}

fn check_field_keys(errors: &mut Errors, model: &FeatureModel) {
    // By the key in the by-field maps, where `a/b` and `a_b` are the same.
    let mut seen: HashMap<String, (String, &Member)> = HashMap::new();
    for (member, field) in model.fields() {
        check_key(errors, &field.key);
        let wire_key = field.renamed_from.as_ref().unwrap_or(&field.key);
        let (text, struct_key) = (wire_key.value(), wire_key.value().replace('/', "_"));
        match seen.get(&struct_key) {
            Some((other, first)) if *other == text => {
                let message = format!("the field `{text}` is already the member `{}`", first.name);
                errors.at(wire_key.span(), message);
            }
            Some((other, _)) => {
                let message = format!(
                    "the fields `{other}` and `{text}` would both be stored as `{struct_key}`"
                );
                errors.at(wire_key.span(), message);
            }
            None => {
                seen.insert(struct_key, (text, member));
            }
        }
    }
}

/// Swaps and cycles with fields of the past are for the graph to find.
fn check_renamed_from(errors: &mut Errors, model: &FeatureModel) {
    for (_, field) in model.fields() {
        let Some(from) = &field.renamed_from else { continue };
        check_key(errors, from);
        if from.value() == field.key.value() {
            errors.at(from.span(), "the field has this name; leave `renamed_from` out");
        }
    }
}

/// The pre-image of a version joins with `|`, unescaped.
fn check_code_versions(errors: &mut Errors, model: &FeatureModel) {
    for (_, field) in model.fields() {
        if let Some(version) = &field.code_version
            && version.value().contains('|')
        {
            errors
                .at(version.span(), "a code version may not contain `|`, which separates versions");
        }
    }
}

/// As far as spelling shows it; aliases are for the compiler to see through.
fn check_upstreams_once(errors: &mut Errors, model: &FeatureModel) {
    for (i, upstream) in model.upstreams.iter().enumerate() {
        let name = span::last(&upstream.feature);
        if upstream.feature.is_ident(&model.ident) {
            errors.at(name.span(), "a feature cannot depend on itself");
        }
        if model.upstreams[..i].iter().any(|earlier| earlier.feature == upstream.feature) {
            errors.at(name.span(), format!("`{name}` is listed twice in `deps(..)`"));
        }
    }
}

fn check_selects(errors: &mut Errors, model: &FeatureModel) {
    for upstream in &model.upstreams {
        let (Some(select), Some(rename)) = (&upstream.select, &upstream.rename) else { continue };
        for (from, to) in &rename.value {
            let is = |name: &str| select.value.iter().find(|column| column.unraw() == name);
            if let Some(column) = is(&to.value()).filter(|column| column.unraw() != from.unraw()) {
                let message = format!(
                    "`select` takes the names of the upstream: write `{}` for what is `{}` here",
                    from.unraw(),
                    column.unraw()
                );
                errors.at(column.span(), message);
            }
        }
    }
}

fn check_renames(errors: &mut Errors, model: &FeatureModel) {
    for rename in model.upstreams.iter().filter_map(|upstream| upstream.rename.as_ref()) {
        for (i, (_, to)) in rename.value.iter().enumerate() {
            check_column_name(errors, to);
            if rename.value[..i].iter().any(|(_, earlier)| earlier.value() == to.value()) {
                let message = format!("two columns are renamed to `{}`", to.value());
                errors.at(to.span(), message);
            }
        }
    }
}

/// The filter itself is parsed with the graph, where the columns are known.
fn check_filters(errors: &mut Errors, model: &FeatureModel) {
    for filter in model.upstreams.iter().flat_map(|upstream| &upstream.filters) {
        if filter.value().trim().is_empty() {
            errors.at(filter.span(), "the filter is empty; leave it out");
        }
    }
}

/// A group and a parent are named by ids of the feature.
fn check_lineages(errors: &mut Errors, model: &FeatureModel) {
    for lineage in model.upstreams.iter().filter_map(|upstream| upstream.lineage.as_ref()) {
        let on = match &lineage.value {
            Lineage::Aggregation { on: Some(on) } | Lineage::Expansion { on } => on,
            Lineage::Aggregation { on: None } | Lineage::Identity => continue,
        };
        for name in on.iter().filter(|name| model.id_named(name).is_none()) {
            let ids: Vec<_> = model.ids().map(|(id, _)| &id.name).collect();
            let text = name.unraw().to_string();
            let message =
                format!("`{text}` is not an id of `{}`, {}", model.name, instead(&text, &ids));
            errors.at(name.span(), message);
        }
    }
}

fn check_mappings(errors: &mut Errors, model: &FeatureModel) {
    for upstream in &model.upstreams {
        let mapping = upstream.fields.as_ref().map(|fields| &fields.value);
        if let Some(exclude) = &upstream.exclude
            && !matches!(mapping, None | Some(Mapping::ByName | Mapping::BySuffix))
        {
            let message = "`exclude` leaves fields out of `fields = by_name` or `by_suffix` only";
            errors.at(exclude.name.span(), message);
        }
        let Some(Mapping::Specific(fields)) = mapping else { continue };
        for (name, _) in fields.iter().filter(|(name, _)| model.field_named(name).is_none()) {
            let known: Vec<_> = model.fields().map(|(field, _)| &field.name).collect();
            let text = name.unraw().to_string();
            let message =
                format!("`{text}` is not a field of `{}`, {}", model.name, instead(&text, &known));
            errors.at(name.span(), message);
        }
    }
}

fn check_field_deps(errors: &mut Errors, model: &FeatureModel) {
    for (_, field) in model.fields() {
        let span = match &field.deps {
            FieldDepsModel::Mapped => continue,
            FieldDepsModel::All(span) => *span,
            FieldDepsModel::Fields(deps) => {
                let name = |field: &Ident| field.unraw().to_string();
                for (i, dep) in deps.iter().enumerate() {
                    let is_same = |other: &&crate::model::FieldDep| {
                        other.feature == dep.feature
                            && other.field.as_ref().map(name) == dep.field.as_ref().map(name)
                    };
                    if deps[..i].iter().any(|other| is_same(&other)) {
                        let last = dep.field.as_ref().unwrap_or_else(|| span::last(&dep.feature));
                        errors.at(last.span(), format!("`{last}` is listed twice in `deps(..)`"));
                    }
                }
                let Some(first) = deps.first() else { continue };
                span::last(&first.feature).span()
            }
        };
        if model.upstreams.is_empty() {
            let message = format!(
                "`{}` has no upstream; list the features it is computed from: `#[metaxy(key = \"{}\", deps(..))]`",
                model.name,
                model.key.value()
            );
            errors.at(span, message);
        }
    }
}
