//! How long a resolve takes, and how much memory: the paper's Table 1, on all engines.
//!
//! ```text
//! cargo xtask bench                                      # DuckDB, 10,000 and 100,000 records
//! cargo xtask bench --records 1000000 --rounds 3
//! cargo xtask bench --engine duckdb,postgres,clickhouse  # servers are started for the run
//! cargo xtask bench writes --records 1000000             # how fast records are written
//! ```
//!
//! Each round is a process of its own, so that its peak memory is its own and nothing is warm that a
//! user's program would not have warm: it opens the store, resolves the leaf and reads the increment to
//! its end as Arrow batches. The table goes to standard output; `--out` is a folder for it, for the
//! numbers of all rounds as JSON, and for a plot.

mod graphs;
mod place;
mod report;
mod writes;

use clap::{Args, Parser, Subcommand};
use graphs::{Graph, Phase};
use indicatif::ProgressBar;
use place::{Engine, Place};
use report::{Cell, Round};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How long a resolve takes, and how much memory.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Step>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Step {
    /// How fast records are written, next to the engine's own way to load them
    Writes(writes::Writes),
    /// Fills an empty store
    #[command(hide = true)]
    Fill(Work),
    /// Resolves once and prints what it took
    #[command(hide = true)]
    Round(Work),
    /// Prints the statement that resolves
    #[command(hide = true)]
    Statement(Work),
}

/// What is to be measured.
#[derive(Args)]
struct Run {
    /// The numbers of records
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    records: Vec<usize>,
    /// The engines
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Engine::DuckDb])]
    engine: Vec<Engine>,
    /// The graphs
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Graph::Simple, Graph::Wide])]
    graph: Vec<Graph>,
    /// How often each cell is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A folder for the table, the plot and the numbers
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What a process does, in a store.
#[derive(Args)]
struct Work {
    /// The address of the store
    #[arg(long)]
    store: String,
    /// The graph
    #[arg(long, value_enum)]
    graph: Graph,
    /// The moment
    #[arg(long, value_enum)]
    phase: Phase,
    /// The number of records
    #[arg(long)]
    records: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    match cli.command {
        Some(Step::Writes(writes)) => writes.all().await,
        Some(Step::Fill(work)) => {
            let store = graphs::open(&work.store, true).await?;
            Ok(graphs::fill(&store, work.graph, work.phase, work.records).await?)
        }
        Some(Step::Round(work)) => {
            println!("{}", serde_json::to_string(&work.round().await?)?);
            Ok(())
        }
        Some(Step::Statement(work)) => {
            let store = graphs::open(&work.store, false).await?;
            println!("{}", graphs::statement(&store, work.graph).await?);
            Ok(())
        }
        None => cli.run.all().await,
    }
}

impl Work {
    /// Opens the store and resolves.
    async fn round(&self) -> Result<Round, Box<dyn Error>> {
        let started = Instant::now();
        let store = graphs::open(&self.store, false).await?;
        let opened = Instant::now();
        let rows = graphs::resolve(&store, self.graph).await?;
        let resolved = Instant::now();
        let expected = self.phase.increment(self.records);
        if rows != expected {
            return Err(format!("the increment has {rows} rows, and not {expected}").into());
        }
        // The second resolve on an open store is what a long-lived program sees.
        graphs::resolve(&store, self.graph).await?;
        Ok(Round {
            open: (opened - started).as_secs_f64() * 1e3,
            resolve: (resolved - opened).as_secs_f64() * 1e3,
            again: resolved.elapsed().as_secs_f64() * 1e3,
            peak: peak_memory(),
        })
    }
}

/// The most memory that this process has had, in MB; `None` where the system does not tell.
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

impl Run {
    async fn all(&self) -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let phases = [Phase::New, Phase::Stale];
        let n_cells = self.engine.len() * self.graph.len() * phases.len() * self.records.len();
        let bar = ProgressBar::new((n_cells * (self.rounds + 1)) as u64);
        let mut cells = Vec::new();
        for &engine in &self.engine {
            for &graph in &self.graph {
                for phase in phases {
                    for &records in &self.records {
                        let rounds = self.cell(engine, graph, phase, records, folder.path(), &bar);
                        cells.push(Cell { engine, graph, phase, records, rounds: rounds.await? });
                    }
                }
            }
        }
        bar.finish_and_clear();
        let table = report::table(&cells);
        println!("{table}");
        if let Some(out) = &self.out {
            fs::create_dir_all(out)?;
            fs::write(out.join("bench.md"), format!("{table}\n"))?;
            fs::write(out.join("bench.json"), serde_json::to_string_pretty(&cells)?)?;
            report::plot(&cells, &out.join("bench.svg"))?;
        }
        Ok(())
    }

    async fn cell(
        &self,
        engine: Engine,
        graph: Graph,
        phase: Phase,
        records: usize,
        folder: &Path,
        bar: &ProgressBar,
    ) -> Result<Vec<Round>, Box<dyn Error>> {
        let name = format!("{}_{}_{records}", graph.name(), phase.name());
        let place = Place::new(engine, folder, &name).await?;
        let step = |step: &str, url: &str| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([step, "--store", url, "--graph", graph.name(), "--phase", phase.name()]);
            let output = command.args(["--records", &records.to_string()]).output()?;
            bar.inc(1);
            match output.status.success() {
                true => Ok(output.stdout),
                false => {
                    let why = String::from_utf8_lossy(&output.stderr).into_owned();
                    Err(Box::<dyn Error>::from(format!("{} {name}: {why}", engine.name())))
                }
            }
        };
        step("fill", place.url())?;
        let mut rounds = Vec::with_capacity(self.rounds);
        for round in 0..self.rounds {
            let copy = place.again(round)?;
            rounds.push(serde_json::from_slice(&step("round", copy.url())?)?);
            copy.forget()?;
        }
        place.remove().await?;
        Ok(rounds)
    }
}
