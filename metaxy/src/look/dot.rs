//! The graph for Graphviz: `metaxy graph --format dot | dot -Tpdf`.

use super::palette::light;
use super::picture::{Edge, Feature, Field, Link, Picture};
use super::text::{one_line, xml};
use super::{Direction, Mark};
use std::fmt::Write;

pub(super) fn write(picture: &Picture<'_>) -> String {
    let direction = match picture.direction {
        Direction::Right => "LR",
        Direction::Down => "TB",
        Direction::Left => "RL",
        Direction::Up => "BT",
    };
    let mut out = format!(
        "digraph features {{\n  rankdir={direction};\n  \
         node [shape=plain, fontname=\"monospace\", fontsize=11];\n  \
         edge [color=\"{}\", arrowsize=0.6, fontname=\"monospace\", fontsize=9];\n",
        light("identity")
    );
    for (i, feature) in picture.features.iter().enumerate() {
        out.push_str(&node(picture, i, feature));
    }
    for edge in &picture.edges {
        out.push_str(&line(picture, edge, &picture.links[edge.link]));
    }
    out.push_str("}\n");
    out
}

fn node(picture: &Picture<'_>, i: usize, feature: &Feature<'_>) -> String {
    let color = feature.mark.map_or("line", Mark::word);
    let mut table = format!(
        "<TABLE BORDER=\"1\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"5\" COLOR=\"{}\">",
        light(color)
    );
    let mut row = |port: &str, text: &str| {
        let cell = format!("<TR><TD PORT=\"{port}\" ALIGN=\"LEFT\">{text}</TD></TR>");
        table.push_str(&cell);
    };
    let mut head = format!("{}<B>{}</B>", sign(feature.mark), xml(feature.key()));
    if let Some(version) = feature.version.as_ref().filter(|_| picture.shows_versions) {
        let _ = write!(head, " @{version}");
    }
    row("feature", &head);
    if let Some(state) = &feature.state {
        row("state", &state.summary());
    }
    for (p, field) in feature.fields.iter().enumerate().filter(|_| picture.shows_fields) {
        row(&format!("field{p}"), &field_text(picture, field));
    }
    table.push_str("</TABLE>");
    // What a tooltip shows is text between quotes, where only a quote and a backslash mean something.
    let tooltip = feature.definition.spec.description.as_deref().unwrap_or(feature.key());
    let tooltip = one_line(tooltip).replace('\\', "\\\\").replace('"', "\\\"");
    format!("  f{i} [label=<{table}>, tooltip=\"{tooltip}\"];\n")
}

fn field_text(picture: &Picture<'_>, field: &Field<'_>) -> String {
    let mut text = format!("{}{}", sign(field.mark), xml(field.spec.key.as_str()));
    if let Some(version) = field.code_version().filter(|_| picture.shows_code_versions) {
        let _ = write!(text, " <I>{}</I>", xml(&one_line(version)));
    }
    if let Some(version) = field.version.as_ref().filter(|_| picture.shows_versions) {
        let _ = write!(text, " @{version}");
    }
    text
}

fn sign(mark: Option<Mark>) -> String {
    mark.map_or_else(String::new, |mark| format!("{} ", xml(&mark.sign().to_string())))
}

fn line(picture: &Picture<'_>, edge: &Edge, link: &Link<'_>) -> String {
    // Between fields, a line leaves and arrives at the sides; with ranks one below the other, dot
    // finds the better place itself.
    let (out, into) = match picture.direction {
        Direction::Right => (":e", ":w"),
        Direction::Left => (":w", ":e"),
        Direction::Down | Direction::Up => ("", ""),
    };
    let port = |field: Option<usize>| field.map_or("feature".to_owned(), |p| format!("field{p}"));
    let (class, relation) = link.relation();
    let mut options = Vec::new();
    if class != "identity" {
        options.push(format!("color=\"{}\"", light(class)));
    }
    let words: Vec<&str> =
        relation.into_iter().chain(link.is_filtered().then_some("filtered")).collect();
    if !words.is_empty() {
        options.push(format!("label=\"{}\"", words.join(", ")));
    }
    if link.dep.optional {
        options.push("style=dashed".to_owned());
    }
    if let Some(mark) = edge.mark {
        options.push(format!("color=\"{}\", penwidth=2", light(mark.word())));
    }
    let options =
        if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) };
    format!(
        "  f{}:{}{out} -> f{}:{}{into}{options};\n",
        link.upstream,
        port(edge.from),
        link.downstream,
        port(edge.to)
    )
}
