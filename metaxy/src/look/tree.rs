//! The tree for a terminal.
//!
//! A feature that several lead to is written out where it first occurs and named elsewhere; a feature
//! with nothing below it is whole either way.

use super::Mark;
use super::picture::{Feature, Field, Picture};
use super::text::one_line;
use std::fmt::Write;
use termtree::Tree;

pub(super) fn write(picture: &Picture<'_>) -> String {
    let down = !picture.direction.is_reversed();
    let mut seen = vec![false; picture.features.len()];
    let mut out = String::new();
    let is_top = |feature: usize| picture.links_of(feature, !down).next().is_none();
    let tops = (0..picture.features.len()).filter(|feature| is_top(*feature));
    // In a cycle, which only a comparison can have, nothing is on top.
    for feature in tops.chain(0..picture.features.len()) {
        if !seen[feature] {
            let _ = write!(out, "{}", branch(picture, feature, down, &mut seen));
        }
    }
    out
}

fn branch(picture: &Picture<'_>, at: usize, down: bool, seen: &mut [bool]) -> Tree<String> {
    let feature = &picture.features[at];
    let mut below: Vec<usize> = picture
        .links_of(at, down)
        .map(|link| if down { link.downstream } else { link.upstream })
        .collect();
    below.sort_unstable();
    let line = feature_line(picture, feature);
    if std::mem::replace(&mut seen[at], true) {
        let has_more = !below.is_empty() || (picture.shows_fields && !feature.fields.is_empty());
        return Tree::new(if has_more { format!("{line} (see above)") } else { line });
    }
    let fields = feature.fields.iter().filter(|_| picture.shows_fields);
    let mut tree = Tree::new(line);
    tree.extend(fields.map(|field| field_line(picture, field)));
    for next in below {
        tree.push(branch(picture, next, down, seen));
    }
    tree
}

fn feature_line(picture: &Picture<'_>, feature: &Feature<'_>) -> String {
    let mut line = feature.mark.map_or_else(String::new, |mark| format!("{} ", mark.sign()));
    line.push_str(feature.key());
    if let Some(version) = feature.version.as_ref().filter(|_| picture.shows_versions) {
        let _ = write!(line, " @{version}");
    }
    if let Some(state) = &feature.state {
        let _ = write!(line, "  [{}]", state.summary());
    }
    line
}

fn field_line(picture: &Picture<'_>, field: &Field<'_>) -> String {
    let mut line = format!("{} {}", field.mark.map_or('·', Mark::sign), field.spec.key);
    if let Some(version) = field.code_version().filter(|_| picture.shows_code_versions) {
        let _ = write!(line, " {}", one_line(version));
    }
    if let Some(version) = field.version.as_ref().filter(|_| picture.shows_versions) {
        let _ = write!(line, " @{version}");
    }
    if !field.parents.is_empty() {
        let _ = write!(line, " ← {}", field.parents.join(", "));
    }
    line
}
