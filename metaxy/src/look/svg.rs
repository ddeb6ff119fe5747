//! The drawing: cards with a row per field, and lines between them. The page holds the same one.
//!
//! What a thing is, its class says; what it looks like, `page/drawing.css`. Numbers of features, fields and
//! edges are in `data-` attributes for the page's script.

use super::layout::{
    Card, FOOT, HEAD, INSET, LONGEST_CODE_VERSION, LONGEST_NAME, Layout, ROW, SMALL, VERSION,
};
use super::palette::inlined;
use super::picture::{Edge, Feature, Field, Picture};
use super::text::{cut, number, one_line, xml};
use super::{Direction, Mark};
use std::fmt::{Result, Write};

/// How a card, a row and a line look.
pub(super) const STYLE: &str = include_str!("page/drawing.css");

pub(super) fn write(picture: &Picture<'_>) -> String {
    let layout = Layout::of(picture);
    let (width, height) = (layout.width, layout.height);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"standalone\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n\
         <rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n{drawing}</svg>\n",
        title = xml(&one_line(&picture.title)),
        style = inlined(STYLE),
        drawing = drawing(picture, &layout),
    )
}

/// The lines, and the cards over them.
pub(super) fn drawing(picture: &Picture<'_>, layout: &Layout) -> String {
    let mut out = String::from("<g class=\"edges\">\n");
    for (i, (edge, path)) in picture.edges.iter().zip(&layout.paths).enumerate() {
        let class = edge_class(picture, edge);
        out.push_str(&format!("<path class=\"{class}\" data-e=\"{i}\" d=\"{path}\"/>\n"));
    }
    out.push_str("</g>\n<g class=\"cards\">\n");
    let ports = Ports::of(picture);
    for (i, (feature, card)) in picture.features.iter().zip(&layout.cards).enumerate() {
        // Writing to a text cannot fail.
        let _ = Drawn { picture, ports: &ports, i, feature, card }.write(&mut out);
    }
    out.push_str("</g>\n");
    out
}

fn edge_class(picture: &Picture<'_>, edge: &Edge) -> String {
    let link = &picture.links[edge.link];
    let mut class = format!("edge {}", link.relation().0);
    let is_whole = picture.shows_fields && edge.to.is_none();
    for (is_so, word) in [(link.dep.optional, " optional"), (is_whole, " whole")] {
        if is_so {
            class.push_str(word);
        }
    }
    if let Some(mark) = edge.mark {
        class.push(' ');
        class.push_str(mark.word());
    }
    class
}

/// Where lines end: `[feature][0 for the feature, 1 + field]`, as (something arrives, something leaves).
struct Ports(Vec<Vec<(bool, bool)>>);

impl Ports {
    fn of(picture: &Picture<'_>) -> Self {
        let all = picture.features.iter().map(|f| vec![(false, false); f.fields.len() + 1]);
        let mut ports: Vec<Vec<(bool, bool)>> = all.collect();
        for edge in &picture.edges {
            let link = &picture.links[edge.link];
            ports[link.upstream][edge.from.map_or(0, |field| field + 1)].1 = true;
            ports[link.downstream][edge.to.map_or(0, |field| field + 1)].0 = true;
        }
        Self(ports)
    }
}

/// One card.
struct Drawn<'d> {
    picture: &'d Picture<'d>,
    ports: &'d Ports,
    i: usize,
    feature: &'d Feature<'d>,
    card: &'d Card,
}

impl Drawn<'_> {
    fn write(&self, out: &mut String) -> Result {
        let Card { x, y, width, height } = *self.card;
        let (i, feature) = (self.i, self.feature);
        let (path, name) = feature.split_key();
        let class = marked("card", feature.mark);
        writeln!(out, "<g class=\"{class}\" data-f=\"{i}\" transform=\"translate({x} {y})\">")?;
        writeln!(out, "<rect class=\"box\" width=\"{width}\" height=\"{height}\" rx=\"9\"/>")?;
        writeln!(out, "<g class=\"head\" data-f=\"{i}\">")?;
        let about = feature.definition.spec.description.as_deref().unwrap_or("");
        let about = [feature.key(), about].join("\n");
        writeln!(out, "<title>{}</title>", xml(about.trim_end()))?;
        writeln!(out, "<path class=\"band\" d=\"{}\"/>", top(width))?;
        if let Some(mark) = feature.mark {
            writeln!(
                out,
                "<rect class=\"side\" y=\"9\" width=\"4\" height=\"{}\"/>",
                height - 18.0
            )?;
            let x = width - INSET;
            writeln!(out, "<text class=\"sign\" x=\"{x}\" y=\"36\">{}</text>", mark.sign())?;
        }
        let path = if path.is_empty() { &feature.definition.project } else { path };
        let path = xml(&cut(&one_line(path), LONGEST_NAME));
        writeln!(out, "<text class=\"path\" x=\"{INSET}\" y=\"18\">{path}</text>")?;
        let name = xml(&cut(name, LONGEST_NAME));
        writeln!(out, "<text class=\"name\" x=\"{INSET}\" y=\"35\">{name}</text>")?;
        if let Some(records) = feature.state.and_then(|state| state.records) {
            let (x, n) = (width - INSET, number(records));
            writeln!(out, "<text class=\"records\" x=\"{x}\" y=\"18\">{n}</text>")?;
        }
        if let Some(version) = feature.version.as_ref().filter(|_| self.picture.shows_versions) {
            let x = width - INSET - feature.mark.map_or(0.0, |_| 16.0);
            let version = cut_version(version);
            writeln!(out, "<text class=\"version\" x=\"{x}\" y=\"35\">{version}</text>")?;
        }
        self.ports(out, 0, HEAD / 2.0)?;
        writeln!(out, "</g>")?;
        for (p, field) in feature.fields.iter().enumerate().filter(|_| self.picture.shows_fields) {
            self.row(out, p, field)?;
        }
        self.foot(out)?;
        writeln!(out, "</g>")
    }

    fn row(&self, out: &mut String, p: usize, field: &Field<'_>) -> Result {
        let width = self.card.width;
        let (i, y) = (self.i, HEAD + p as f64 * ROW);
        let class = marked("field", field.mark);
        writeln!(
            out,
            "<g class=\"{class}\" data-f=\"{i}\" data-p=\"{p}\" transform=\"translate(0 {y})\">"
        )?;
        let title = xml(&format!("{}.{}", self.feature.key(), field.spec.key));
        writeln!(out, "<title>{title}</title>")?;
        let inner = width - 8.0;
        writeln!(
            out,
            "<rect class=\"row\" x=\"4\" y=\"1.5\" width=\"{inner}\" height=\"21\" rx=\"5\"/>"
        )?;
        let mut x = INSET;
        if let Some(mark) = field.mark {
            writeln!(out, "<text class=\"sign\" x=\"{x}\" y=\"16.5\">{}</text>", mark.sign())?;
            x += 15.0;
        }
        let name = xml(&cut(field.spec.key.as_str(), LONGEST_NAME));
        writeln!(out, "<text class=\"label\" x=\"{x}\" y=\"16.5\">{name}</text>")?;
        let mut right = width - INSET;
        if let Some(version) = field.version.as_ref().filter(|_| self.picture.shows_versions) {
            let version = cut_version(version);
            writeln!(out, "<text class=\"version\" x=\"{right}\" y=\"16.5\">{version}</text>")?;
            right -= VERSION as f64 * SMALL + 10.0;
        }
        if let Some(code) = field.code_version().filter(|_| self.picture.shows_code_versions) {
            let code = cut(&one_line(code), LONGEST_CODE_VERSION);
            let width = code.chars().count() as f64 * SMALL + 10.0;
            let (x, middle) = (right - width, right - width / 2.0);
            writeln!(
                out,
                "<rect class=\"pill\" x=\"{x:.1}\" y=\"4.5\" width=\"{width:.1}\" height=\"15\" rx=\"4\"/>\
                 <text class=\"code\" x=\"{middle:.1}\" y=\"15.5\">{}</text>",
                xml(&code)
            )?;
        }
        self.ports(out, p + 1, ROW / 2.0)?;
        writeln!(out, "</g>")
    }

    /// What is to be done, each with a dot of its colour.
    fn foot(&self, out: &mut String) -> Result {
        let open: Vec<_> = self.feature.state.iter().flat_map(super::State::open).collect();
        if open.is_empty() {
            return Ok(());
        }
        let y = self.card.height - FOOT;
        writeln!(out, "<g class=\"foot\" transform=\"translate(0 {y})\">")?;
        writeln!(
            out,
            "<line x1=\"{INSET}\" x2=\"{}\" y1=\"0\" y2=\"0\"/>",
            self.card.width - INSET
        )?;
        let mut x = INSET;
        for (name, n) in open {
            let text = format!("{} {name}", number(n));
            let (dot, start) = (x + 3.0, x + 11.0);
            writeln!(
                out,
                "<circle class=\"{name}\" cx=\"{dot:.1}\" cy=\"13\" r=\"3\"/>\
                 <text class=\"{name}\" x=\"{start:.1}\" y=\"16.5\">{text}</text>"
            )?;
            x += text.len() as f64 * SMALL + 22.0;
        }
        writeln!(out, "</g>")
    }

    /// The dots at which lines arrive and leave; with ranks one below the other they are at the edges
    /// of the card, where nothing tells fields apart, and are left out.
    fn ports(&self, out: &mut String, port: usize, y: f64) -> Result {
        let width = self.card.width;
        let (arrive, leave) = match self.picture.direction {
            Direction::Right => (0.0, width),
            Direction::Left => (width, 0.0),
            Direction::Down | Direction::Up => return Ok(()),
        };
        let (arrives, leaves) = self.ports.0[self.i][port];
        for (is_there, class, x) in [(arrives, "in", arrive), (leaves, "out", leave)] {
            if is_there {
                writeln!(out, "<circle class=\"port {class}\" cx=\"{x}\" cy=\"{y}\" r=\"3.2\"/>")?;
            }
        }
        Ok(())
    }
}

/// The head of a card, round above alone, and inside the line around the card however wide that is.
fn top(width: f64) -> String {
    format!("M1 {HEAD}V9a8 8 0 0 1 8 -8H{}a8 8 0 0 1 8 8V{HEAD}z", width - 9.0)
}

fn marked(class: &str, mark: Option<Mark>) -> String {
    mark.map_or_else(|| class.to_owned(), |mark| format!("{class} {}", mark.word()))
}

fn cut_version(version: &str) -> &str {
    version.get(..VERSION).unwrap_or(version)
}
