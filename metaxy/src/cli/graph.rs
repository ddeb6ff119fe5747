//! `metaxy graph`: the graph as a picture; and [`Picture`], in which form, for `metaxy diff` as well.

use super::output::{Answer, Format};
use super::{Context, Failure, Output, context, status};
use crate::look::Look;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The form of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A tree for a terminal
    Tree,
    /// A flowchart of Mermaid
    Mermaid,
    /// A graph for Graphviz
    Dot,
    /// A drawing
    Svg,
    /// A page that is searched, zoomed and followed, and needs nothing else
    Html,
}

/// How a picture is shown.
#[derive(Debug, Args)]
pub(super) struct Picture {
    /// The form; without it, that of the ending of the file
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Option<Form>,
    /// Write the picture to this file: .txt, .mmd, .dot, .svg or .html
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show features alone
    #[arg(long)]
    no_fields: bool,
    /// Show the versions of features and fields
    #[arg(long)]
    show_versions: bool,
}

impl Form {
    fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("txt") => Ok(Self::Tree),
            Some("mmd" | "mermaid") => Ok(Self::Mermaid),
            Some("dot" | "gv") => Ok(Self::Dot),
            Some("svg") => Ok(Self::Svg),
            Some("html" | "htm") => Ok(Self::Html),
            _ => Err(Failure::input(format!(
                "`{}` does not say which form the picture has; end it with .txt, .mmd, .dot, .svg or \
                 .html, or name `--as`",
                path.display()
            ))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Mermaid => "mermaid",
            Self::Dot => "dot",
            Self::Svg => "svg",
            Self::Html => "html",
        }
    }
}

impl Picture {
    /// Whether a picture was asked for, where something else could be shown.
    pub(super) fn is_asked_for(&self) -> bool {
        self.form.is_some() || self.output.is_some()
    }

    /// Writes a picture to where it was asked for.
    pub(super) fn show(&self, look: Look<'_>, out: &mut Output) -> Result<(), Failure> {
        let form = match (self.form, &self.output) {
            (Some(form), _) => form,
            (None, Some(path)) => Form::of(path)?,
            (None, None) => Form::Tree,
        };
        let look = look.fields(!self.no_fields).versions(self.show_versions);
        let picture = match form {
            Form::Tree => look.tree(),
            Form::Mermaid => look.mermaid(),
            Form::Dot => look.dot(),
            Form::Svg => look.svg(),
            Form::Html => look.html(),
        };
        if let Some(path) = &self.output {
            let name = path.display().to_string();
            std::fs::write(path, picture)
                .map_err(|error| Failure::input(format!("cannot write `{name}`: {error}")))?;
            let json = json!({ "form": form.name(), "file": name });
            return out.answer(&Answer::new(json).text(format!("wrote {name}")));
        }
        if out.format() == Format::Table {
            return Ok(write!(out.data(), "{picture}")?);
        }
        let json = json!({ "form": form.name(), "picture": picture });
        let language = if form == Form::Tree { "text" } else { form.name() };
        let text = format!("```{language}\n{}\n```", picture.trim_end());
        out.answer(&Answer::new(json).text(text))
    }
}

/// Show the graph: as a tree, as Mermaid, DOT or SVG, or as a page
#[derive(Debug, Args)]
pub(super) struct Graph {
    /// Show this feature and what is around it; may be given several times
    #[arg(long, value_name = "FEATURE")]
    around: Vec<String>,
    /// With `--around`, so many steps upstream; all without this
    #[arg(long, value_name = "N", requires = "around")]
    up: Option<usize>,
    /// With `--around`, so many steps downstream; all without this
    #[arg(long, value_name = "N", requires = "around")]
    down: Option<usize>,
    /// Show what the store has: how many records there are, and how many are to be computed
    #[arg(long)]
    counts: bool,
    #[command(flatten)]
    picture: Picture,
}

impl Graph {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let mut look = Look::new(&graph);
        for key in &self.around {
            look = look.around(&context::feature(&graph, key)?, self.up, self.down)?;
        }
        if self.counts {
            let store = context.store_to_read().await?;
            let bar = context.progress(Some(graph.keys().count() as u64), "counting");
            for key in graph.keys() {
                bar.set_message(key.to_string());
                look = look.state(key, status::state(&store, key).await?.to_look());
                bar.inc(1);
            }
            bar.finish_and_clear();
        }
        self.picture.show(look, out)
    }
}
