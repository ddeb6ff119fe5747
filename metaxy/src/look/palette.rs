//! The colours of every drawing, light and dark, by what they mean.
//!
//! Texts on their grounds have a contrast of 4.5 at least; no meaning is carried by colour alone.

/// Name, in light, in dark.
const COLORS: [(&str, &str, &str); 27] = [
    ("ground", "#f7f7f5", "#101317"),
    ("dots", "#e3e3de", "#1d2228"),
    ("card", "#ffffff", "#181c22"),
    ("head", "#fafaf8", "#1c2128"),
    ("hover", "#f1f3f6", "#232932"),
    ("line", "#dcdcd6", "#2e353e"),
    ("ink", "#1c2024", "#e8ebef"),
    ("dim", "#646b73", "#99a3ae"),
    ("accent", "#2456d6", "#86abff"),
    ("identity", "#a4acb6", "#56616e"),
    ("aggregation", "#12897b", "#43bda9"),
    ("expansion", "#8b55d3", "#b796f4"),
    // The two ways from a chosen field, and the field.
    ("up", "#b8560c", "#f2a65e"),
    ("up-ground", "#fdf0e4", "#33261a"),
    ("down", "#1769cc", "#72b1ff"),
    ("down-ground", "#e7f1fd", "#17283d"),
    ("chosen-ground", "#2456d6", "#86abff"),
    ("chosen-ink", "#ffffff", "#0f1420"),
    // States of records, and marks of a difference.
    ("new", "#1b7f48", "#58c98a"),
    ("stale", "#a35f00", "#e8b04a"),
    ("blocked", "#47688f", "#8fb3de"),
    ("waiting", "#646b73", "#99a3ae"),
    ("orphaned", "#bf3730", "#f48c83"),
    ("added", "#1b7f48", "#58c98a"),
    ("removed", "#bf3730", "#f48c83"),
    ("changed", "#a35f00", "#e8b04a"),
    ("upstream", "#7647bd", "#b796f4"),
];

/// A colour on a light ground.
pub(super) fn light(name: &str) -> &'static str {
    let found = COLORS.iter().find(|(known, ..)| *known == name);
    found.map_or("#000000", |(_, light, _)| light)
}

/// The colours as properties that follow the colour scheme of the page.
pub(super) fn properties() -> String {
    let lines = COLORS.map(|(name, light, dark)| format!("--{name}: light-dark({light}, {dark});"));
    format!(":root {{\n{}\n}}\n", lines.join("\n"))
}

/// A style sheet without properties, for programs that draw SVG and know none: once in light, and once
/// more for whoever prefers dark.
pub(super) fn inlined(css: &str) -> String {
    let with = |pick: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
        COLORS.iter().fold(css.to_owned(), |css, color| {
            css.replace(&format!("var(--{})", color.0), pick(color))
        })
    };
    let (light, dark) = (with(|color| color.1), with(|color| color.2));
    format!("{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n")
}
