//! What a run has measured, as a table and as a plot.

use crate::graphs::{Graph, Phase};
use crate::place::Engine;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{ContentArrangement, Table};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// One round; times in milliseconds, memory in MB.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Opening the store.
    pub(crate) open: f64,
    /// The first resolve, with its rows read.
    pub(crate) resolve: f64,
    /// The second one on the same store.
    pub(crate) again: f64,
    /// The most memory that the process had.
    pub(crate) peak: Option<f64>,
}

/// All rounds of one case.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) engine: Engine,
    pub(crate) graph: Graph,
    pub(crate) phase: Phase,
    pub(crate) records: usize,
    pub(crate) rounds: Vec<Round>,
}

impl Cell {
    fn of(&self, value: impl Fn(&Round) -> Option<f64>) -> Option<Quartiles> {
        Quartiles::of(self.rounds.iter().filter_map(value).collect())
    }

    /// From the call to open the store until the last batch.
    fn total(&self) -> Option<Quartiles> {
        self.of(|round| Some(round.open + round.resolve))
    }
}

/// The middle of some values, and the middles of the halves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    low: f64,
    pub(crate) median: f64,
    high: f64,
}

impl Quartiles {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Some(Self { low: at(1), median: at(2), high: at(3) })
    }

    fn show(of: Option<Self>) -> String {
        of.map_or_else(String::new, |Self { low, median, high }| {
            format!("{median:.0} ({low:.0} to {high:.0})")
        })
    }
}

/// Medians and quartiles, in Markdown.
pub(crate) fn table(cells: &[Cell]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "engine",
        "graph",
        "phase",
        "records",
        "open and resolve [ms]",
        "open [ms]",
        "resolve [ms]",
        "again [ms]",
        "peak [MB]",
    ]);
    for cell in cells {
        table.add_row([
            cell.engine.name().to_owned(),
            cell.graph.name().to_owned(),
            cell.phase.name().to_owned(),
            cell.records.to_string(),
            Quartiles::show(cell.total()),
            Quartiles::show(cell.of(|round| Some(round.open))),
            Quartiles::show(cell.of(|round| Some(round.resolve))),
            Quartiles::show(cell.of(|round| Some(round.again))),
            Quartiles::show(cell.of(|round| round.peak)),
        ]);
    }
    table
}

/// Time over number of records, both logarithmic: a line for each engine, graph and phase.
pub(crate) fn plot(cells: &[Cell], file: &Path) -> Result<(), Box<dyn Error>> {
    let mut lines: BTreeMap<(Engine, Graph, Phase), Vec<(f64, f64)>> = BTreeMap::new();
    for cell in cells {
        let Some(total) = cell.total() else { continue };
        let line = lines.entry((cell.engine, cell.graph, cell.phase)).or_default();
        #[expect(clippy::cast_precision_loss, reason = "a place on a picture")]
        line.push((cell.records as f64, total.median));
    }
    let all = || lines.values().flatten();
    let range = |value: fn(&(f64, f64)) -> f64| {
        let low = all().map(value).fold(f64::INFINITY, f64::min);
        let high = all().map(value).fold(1.0, f64::max);
        (low / 1.5)..(high * 1.5)
    };
    let area = SVGBackend::new(file, (900, 600)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(20)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(range(|(x, _)| *x).log_scale(), range(|(_, y)| *y).log_scale())?;
    chart.configure_mesh().x_desc("records").y_desc("open and resolve [ms]").draw()?;
    for (i, ((engine, graph, phase), points)) in lines.iter().enumerate() {
        let color = Palette99::pick(i).stroke_width(2);
        let name = format!("{} {} {}", engine.name(), graph.name(), phase.name());
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
