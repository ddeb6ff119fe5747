//! How long a resolve takes, and how much memory: the paper's Table 1, on all engines.
//!
//! ```text
//! cargo xtask bench                                      # DuckDB, 10,000 and 100,000 records
//! cargo xtask bench --records 10000,100000,1000000,10000000 --out results
//! cargo xtask bench --peer                               # beside the Python implementation
//! cargo xtask bench --engine duckdb,postgres,clickhouse  # servers are started for the run
//! cargo xtask bench growth --records 10000000 --rounds 3 # many versions, few changes, little memory
//! cargo xtask bench writes --records 1000000             # how fast records are written
//! ```
//!
//! A round opens the store, resolves the leaf and reads the increment to its end as Arrow batches. On
//! DuckDB it alternates with the floor, the statement that we would write by hand. The table goes to
//! standard output; `--out` is a folder for it, for the numbers of all rounds as JSON, and for a plot.
//!
//! What a call takes in a process that has made many is told by `cargo bench`, in `benches/`.

mod floor;
pub mod graphs;
mod peer;
mod place;
mod report;
mod run;
mod writes;

use clap::{Args, Parser, Subcommand};
use graphs::{Graph, Phase};
use place::Engine;
use report::{Case, Round};
use run::How;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::time::Instant;

/// How long a resolve takes, and how much memory.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Step>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Step {
    /// Measures what grows: rows of a record, a thousand features, a small change of much, little memory
    Growth(Growth),
    /// How fast records are written, next to the engine's own way to load them
    Writes(writes::Writes),
    /// Fills an empty store
    #[command(hide = true)]
    Fill(Work),
    /// Resolves once and prints what it took
    #[command(hide = true)]
    Round(Work),
    /// Runs the statement by hand and prints what it took
    #[command(hide = true)]
    Floor(Work),
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
    /// The moments
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Phase::New, Phase::Stale])]
    phase: Vec<Phase>,
    /// What DuckDB may take in memory, in its words: `1GB`; beyond that it writes to files
    #[arg(long, value_name = "SIZE")]
    memory_limit: Option<String>,
    #[command(flatten)]
    how: How,
}

/// What is to be measured of growth, on DuckDB.
#[derive(Args)]
struct Growth {
    /// How many records a large store has; a tenth of them where each has many rows, too
    #[arg(long, default_value_t = 10_000_000)]
    records: usize,
    /// How many records the root of a thousand features has
    #[arg(long, default_value_t = 100)]
    records_of_many: usize,
    /// What DuckDB may take in memory where that is little
    #[arg(long, value_name = "SIZE", default_value = "1GB")]
    memory_limit: String,
    #[command(flatten)]
    how: How,
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

/// What the process of a round prints.
#[derive(Serialize, Deserialize)]
struct Answer {
    /// How many rows the increment had.
    rows: usize,
    round: Round,
}

/// Does what the arguments of the process ask for.
///
/// # Errors
/// What went wrong in a store, in a file, or in Python.
pub async fn run() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    match cli.command {
        Some(Step::Growth(growth)) => growth.how.run(growth.cases()).await,
        Some(Step::Writes(writes)) => writes.all().await,
        Some(Step::Fill(work)) => {
            let store = graphs::open(&work.store, work.graph, work.phase, true).await?;
            Ok(graphs::fill(&store, work.graph, work.phase, work.records).await?)
        }
        Some(Step::Round(work)) => work.round().await?.print(),
        Some(Step::Floor(work)) => {
            let (rows, round) = floor::round(&work.store, work.graph, work.phase)?;
            Answer { rows, round }.print()
        }
        Some(Step::Statement(work)) => {
            let store = graphs::open(&work.store, work.graph, work.phase, false).await?;
            println!("{}", graphs::statement(&store, work.graph).await?);
            Ok(())
        }
        None => cli.run.how.run(cli.run.cases()).await,
    }
}

impl Run {
    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for &engine in &self.engine {
            for &graph in &self.graph {
                for &phase in &self.phase {
                    for &records in &self.records {
                        let limit = self.memory_limit.clone();
                        let memory_limit = limit.filter(|_| engine == Engine::DuckDb);
                        cases.push(Case { engine, graph, phase, records, memory_limit });
                    }
                }
            }
        }
        cases
    }
}

impl Growth {
    fn cases(&self) -> Vec<Case> {
        let case = |graph, phase, records, memory_limit| Case {
            engine: Engine::DuckDb,
            graph,
            phase,
            records,
            memory_limit,
        };
        let mut cases = Vec::new();
        for phase in [Phase::New, Phase::Stale] {
            cases.push(case(Graph::Many, phase, self.records_of_many, None));
        }
        for graph in [Graph::Simple, Graph::Wide] {
            // The same number of records without their older rows is what that is to be held against.
            cases.push(case(graph, Phase::Stale, self.records / 10, None));
            cases.push(case(graph, Phase::Versions, self.records / 10, None));
            cases.push(case(graph, Phase::Few, self.records, None));
            cases.push(case(graph, Phase::Incremental, self.records, None));
            for phase in [Phase::New, Phase::Stale] {
                cases.push(case(graph, phase, self.records, Some(self.memory_limit.clone())));
            }
        }
        cases
    }
}

impl Work {
    /// Opens the store and resolves.
    async fn round(&self) -> Result<Answer, Box<dyn Error>> {
        let started = Instant::now();
        let store = graphs::open(&self.store, self.graph, self.phase, false).await?;
        let opened = Instant::now();
        let rows = graphs::resolve(&store, self.graph).await?;
        let resolved = Instant::now();
        graphs::resolve(&store, self.graph).await?;
        Ok(Answer { rows, round: Round::new(started, opened, resolved) })
    }
}

impl Answer {
    fn print(&self) -> Result<(), Box<dyn Error>> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
