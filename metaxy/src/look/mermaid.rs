//! The flowchart of Mermaid, which GitHub and many other pages draw.

use super::palette::light;
use super::picture::{Feature, Field, Picture};
use super::text::mermaid;
use super::{Direction, Mark};
use std::fmt::Write;

pub(super) fn write(picture: &Picture<'_>) -> String {
    let direction = match picture.direction {
        Direction::Right => "LR",
        Direction::Down => "TB",
        Direction::Left => "RL",
        Direction::Up => "BT",
    };
    let mut out = format!("flowchart {direction}\n");
    // Writing to a text cannot fail.
    let _ = lines(&mut out, picture);
    out
}

fn lines(out: &mut String, picture: &Picture<'_>) -> std::fmt::Result {
    for (i, feature) in picture.features.iter().enumerate() {
        let label = feature_label(picture, feature);
        if picture.shows_fields && !feature.fields.is_empty() {
            writeln!(out, "  subgraph f{i}[\"{label}\"]")?;
            for (p, field) in feature.fields.iter().enumerate() {
                writeln!(out, "    f{i}_{p}[\"{}\"]", field_label(picture, field))?;
            }
            writeln!(out, "  end")?;
        } else {
            writeln!(out, "  f{i}[\"{label}\"]")?;
        }
    }
    for edge in &picture.edges {
        let link = &picture.links[edge.link];
        let arrow = if link.dep.optional { "-.->" } else { "-->" };
        let words: Vec<&str> = (link.relation().1.into_iter())
            .chain(link.is_filtered().then_some("filtered"))
            .chain(edge.mark.map(Mark::word))
            .collect();
        let label =
            if words.is_empty() { String::new() } else { format!("|\"{}\"|", words.join(", ")) };
        let end = |feature: usize, field: Option<usize>| {
            field.map_or_else(|| format!("f{feature}"), |field| format!("f{feature}_{field}"))
        };
        let (from, to) = (end(link.upstream, edge.from), end(link.downstream, edge.to));
        writeln!(out, "  {from} {arrow}{label} {to}")?;
    }
    for mark in Mark::ALL {
        let class = mark.word();
        let marked = |other: Option<Mark>| other == Some(mark);
        let mut nodes = Vec::new();
        for (i, feature) in picture.features.iter().enumerate() {
            nodes.extend(marked(feature.mark).then(|| format!("f{i}")));
            let fields = feature.fields.iter().enumerate().filter(|_| picture.shows_fields);
            let fields = fields.filter(|(_, field)| marked(field.mark));
            nodes.extend(fields.map(|(p, _)| format!("f{i}_{p}")));
        }
        if !nodes.is_empty() {
            writeln!(out, "  classDef {class} stroke:{},stroke-width:2px", light(class))?;
            writeln!(out, "  class {} {class}", nodes.join(","))?;
        }
    }
    Ok(())
}

fn feature_label(picture: &Picture<'_>, feature: &Feature<'_>) -> String {
    let mut label = feature.mark.map_or_else(String::new, |mark| format!("{} ", mark.sign()));
    label.push_str(feature.key());
    if let Some(version) = feature.version.as_ref().filter(|_| picture.shows_versions) {
        label.push_str(" @");
        label.push_str(version);
    }
    let mut label = mermaid(&label);
    if let Some(state) = &feature.state {
        label.push_str("<br>");
        label.push_str(&state.summary());
    }
    label
}

fn field_label(picture: &Picture<'_>, field: &Field<'_>) -> String {
    let mut label = field.mark.map_or_else(String::new, |mark| format!("{} ", mark.sign()));
    label.push_str(field.spec.key.as_str());
    if let Some(version) = field.code_version().filter(|_| picture.shows_code_versions) {
        label.push(' ');
        label.push_str(version);
    }
    if let Some(version) = field.version.as_ref().filter(|_| picture.shows_versions) {
        label.push_str(" @");
        label.push_str(version);
    }
    mermaid(&label)
}
