//! What a run has measured, as a table, as a plot, and as numbers.

use crate::graphs::{Graph, Phase};
use crate::place::Engine;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{ContentArrangement, Table};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// One round; times in milliseconds, memory in MB.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Opening the store.
    pub(crate) open: f64,
    /// The first resolve, from the call until its last row was read as Arrow.
    pub(crate) resolve: f64,
    /// The second one on the same store: what a program sees that lives longer.
    pub(crate) again: f64,
    /// The most memory that the process had; nothing where the system does not tell.
    pub(crate) peak: Option<f64>,
}

impl Round {
    /// The round that ends now, in this process.
    pub(crate) fn new(started: Instant, opened: Instant, resolved: Instant) -> Self {
        Self {
            open: (opened - started).as_secs_f64() * 1e3,
            resolve: (resolved - opened).as_secs_f64() * 1e3,
            again: resolved.elapsed().as_secs_f64() * 1e3,
            peak: peak_memory(),
        }
    }

    /// From the call to open the store until the last batch.
    fn total(&self) -> f64 {
        self.open + self.resolve
    }
}

/// The most memory that this process has had, in MB.
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// What is measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) engine: Engine,
    pub(crate) graph: Graph,
    pub(crate) phase: Phase,
    pub(crate) records: usize,
    /// What DuckDB may take, in its words.
    pub(crate) memory_limit: Option<String>,
}

/// All rounds of one case.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    #[serde(flatten)]
    pub(crate) case: Case,
    pub(crate) rounds: Vec<Round>,
    /// Those of the statement by hand, each run beside the one of ours with its number.
    pub(crate) floor: Vec<Round>,
    /// Those of the Python implementation, likewise.
    pub(crate) python: Vec<Round>,
}

/// All that is known after a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What somebody has to know who reads the numbers.
    pub(crate) notes: Vec<String>,
    pub(crate) cells: Vec<Cell>,
}

/// The middle of some values, and the middles of the halves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    low: f64,
    pub(crate) median: f64,
    high: f64,
}

impl Quartiles {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values.get(values.len().checked_sub(1)? * quarter / 4).copied();
        Some(Self { low: at(1)?, median: at(2)?, high: at(3)? })
    }

    fn show(of: Option<Self>, digits: usize) -> String {
        of.map_or_else(String::new, |Self { low, median, high }| {
            format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
        })
    }
}

/// Of rounds that ran side by side, how many times the second was the first.
fn ratio(of: &[Round], to: &[Round], value: fn(&Round) -> f64) -> Option<Quartiles> {
    Quartiles::of(of.iter().zip(to).map(|(of, to)| value(of) / value(to)))
}

/// A column of the table.
type Column = (&'static str, fn(&Cell) -> String);

/// What every table says.
const COLUMNS: &[Column] = &[
    ("engine", |cell| cell.case.engine.name().to_owned()),
    ("graph", |cell| cell.case.graph.name().to_owned()),
    ("phase", |cell| cell.case.phase.name().to_owned()),
    ("records", |cell| cell.case.records.to_string()),
    ("open and resolve [ms]", |cell| milliseconds(&cell.rounds, Round::total)),
    ("open [ms]", |cell| milliseconds(&cell.rounds, |round| round.open)),
    ("resolve [ms]", |cell| milliseconds(&cell.rounds, |round| round.resolve)),
    ("again [ms]", |cell| milliseconds(&cell.rounds, |round| round.again)),
    ("peak [MB]", |cell| peak(&cell.rounds)),
];

/// What a table says where memory was limited.
const LIMIT: &[Column] =
    &[("limit of DuckDB", |cell| cell.case.memory_limit.clone().unwrap_or_default())];

/// What a table says where there is a floor. The ratio is of the resolves alone, from the call to the
/// last Arrow batch.
const FLOOR: &[Column] = &[
    ("floor, resolve [ms]", |cell| milliseconds(&cell.floor, |round| round.resolve)),
    ("floor, again [ms]", |cell| milliseconds(&cell.floor, |round| round.again)),
    ("floor, peak [MB]", |cell| peak(&cell.floor)),
    ("resolve, times the floor", |cell| times(&cell.rounds, &cell.floor, |round| round.resolve)),
    ("again, times the floor", |cell| times(&cell.rounds, &cell.floor, |round| round.again)),
];

/// What a table says where Python ran.
const PYTHON: &[Column] = &[
    ("Python, open and resolve [ms]", |cell| milliseconds(&cell.python, Round::total)),
    ("Python, again [ms]", |cell| milliseconds(&cell.python, |round| round.again)),
    ("Python, peak [MB]", |cell| peak(&cell.python)),
    ("Python, times ours", |cell| times(&cell.python, &cell.rounds, Round::total)),
    ("Python again, times ours", |cell| times(&cell.python, &cell.rounds, |round| round.again)),
];

fn milliseconds(rounds: &[Round], value: fn(&Round) -> f64) -> String {
    Quartiles::show(Quartiles::of(rounds.iter().map(value)), 0)
}

fn peak(rounds: &[Round]) -> String {
    Quartiles::show(Quartiles::of(rounds.iter().filter_map(|round| round.peak)), 0)
}

fn times(of: &[Round], to: &[Round], value: fn(&Round) -> f64) -> String {
    Quartiles::show(ratio(of, to, value), 2)
}

impl Report {
    /// Adds a note, once.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Medians and quartiles, in Markdown, and the notes below.
    pub(crate) fn markdown(&self) -> String {
        let any = |is: fn(&Cell) -> bool| self.cells.iter().any(is);
        let mut columns: Vec<&Column> = COLUMNS.iter().collect();
        columns.extend(LIMIT.iter().filter(|_| any(|cell| cell.case.memory_limit.is_some())));
        columns.extend(FLOOR.iter().filter(|_| any(|cell| !cell.floor.is_empty())));
        columns.extend(PYTHON.iter().filter(|_| any(|cell| !cell.python.is_empty())));
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|(name, _)| *name));
        for cell in &self.cells {
            table.add_row(columns.iter().map(|(_, value)| value(cell)));
        }
        let notes = self.notes.iter().map(|note| format!("\n- {note}")).collect::<String>();
        format!("{table}\n{notes}")
    }

    /// Writes the table, the plot and the numbers to a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("bench.md"), format!("{}\n", self.markdown()))?;
        fs::write(folder.join("bench.json"), serde_json::to_string_pretty(self)?)?;
        self.plot(&folder.join("bench.svg"))
    }

    /// Time over number of records, both logarithmic: a line for each engine, graph and phase, one for
    /// the floor below it, and one for Python.
    fn plot(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let mut lines: BTreeMap<(Graph, Phase, String), Vec<(f64, f64)>> = BTreeMap::new();
        for cell in &self.cells {
            let case = &cell.case;
            let limit = case.memory_limit.iter().map(|limit| format!(" in {limit}"));
            let ours = format!("{}{}", case.engine.name(), limit.collect::<String>());
            for (who, rounds) in
                [(ours.as_str(), &cell.rounds), ("floor", &cell.floor), ("Python", &cell.python)]
            {
                let Some(total) = Quartiles::of(rounds.iter().map(Round::total)) else { continue };
                let line = lines.entry((case.graph, case.phase, who.to_owned())).or_default();
                #[expect(clippy::cast_precision_loss, reason = "a place on a picture")]
                line.push((case.records as f64, total.median));
            }
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
        for (i, ((graph, phase, who), points)) in lines.iter().enumerate() {
            let color = Palette99::pick(i).stroke_width(2);
            let name = format!("{} {}, {who}", graph.name(), phase.name());
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color).point_size(3))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
        }
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
        area.present()?;
        Ok(())
    }
}
