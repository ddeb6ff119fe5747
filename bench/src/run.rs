//! A run: for each case a store is filled, then resolved in, again and again, by ours, by the statement
//! by hand, and by Python, in turns.
//!
//! Each round is a process of its own, so that its peak memory is its own and nothing is warm that a
//! user's program would not have warm. A round of DuckDB has a file of its own.

use crate::graphs::{self, Graph};
use crate::peer::Peer;
use crate::place::{Engine, Place};
use crate::report::{Case, Cell, Report, Round};
use crate::{Answer, floor};
use clap::Args;
use indicatif::ProgressBar;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How it is measured.
#[derive(Args)]
pub(crate) struct How {
    /// How often each case is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Also measures the Python implementation on DuckDB; it is installed in the folder for caches
    #[arg(long)]
    peer: bool,
    /// Leaves out the floor: the statements by hand
    #[arg(long)]
    no_floor: bool,
    /// A folder for the table, the plot and the numbers; they are written after every case
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Where databases are, while they are measured; without it, in the system's folder for what is
    /// temporary
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
}

impl How {
    /// Measures, and prints the table.
    pub(crate) async fn run(&self, cases: Vec<Case>) -> Result<(), Box<dyn Error>> {
        let peer = self.peer.then(Peer::install).transpose()?;
        let folder = match &self.scratch {
            Some(scratch) => tempfile::tempdir_in(scratch)?,
            None => tempfile::tempdir()?,
        };
        let bar = ProgressBar::new((cases.len() * (self.rounds + 1)) as u64);
        let mut report = Report::default();
        if !self.no_floor {
            report.note(
                "floor: the statement by hand for the same rows and columns, with our hash functions",
            );
        }
        for case in cases {
            let cell = self.cell(case, peer.as_ref(), folder.path(), &bar, &mut report).await?;
            report.cells.push(cell);
            if let Some(out) = &self.out {
                report.write(out)?;
            }
        }
        bar.finish_and_clear();
        println!("{}", report.markdown());
        Ok(())
    }

    async fn cell(
        &self,
        case: Case,
        peer: Option<&Peer>,
        folder: &Path,
        bar: &ProgressBar,
        report: &mut Report,
    ) -> Result<Cell, Box<dyn Error>> {
        let name = format!("{}_{}_{}", case.graph.name(), case.phase.name(), case.records);
        let place = Place::new(case.engine, folder, &name).await?;
        step("fill", place.url(), &case)?;
        let has_floor = !self.no_floor
            && case.engine == Engine::DuckDb
            && floor::statement(case.graph, case.phase).is_some();
        let theirs = match peer {
            Some(peer)
                if case.engine == Engine::DuckDb
                    && case.graph != Graph::Many
                    && case.memory_limit.is_none() =>
            {
                let file = folder.join(format!("{name}.python.duckdb"));
                match peer.fill(&file, &case) {
                    Ok(()) => Some((peer, file)),
                    Err(error) => {
                        // What it cannot do is a result too, and no reason to lose all others.
                        report.note(format!("Python could not fill {name}: {error}"));
                        None
                    }
                }
            }
            _ => None,
        };
        bar.inc(1);

        let mut cell = Cell { case, rounds: Vec::new(), floor: Vec::new(), python: Vec::new() };
        let expected = graphs::increment(cell.case.graph, cell.case.phase, cell.case.records);
        let check = |who: &str, rows: usize| match rows == expected {
            true => Ok(()),
            false => Err(format!("{who} gives {rows} rows for {name}, and not {expected}")),
        };
        for round in 0..self.rounds {
            let copy = place.again(round)?;
            cell.rounds.push(round_of("round", copy.url(), &cell.case, check)?);
            copy.forget()?;
            if has_floor {
                let copy = place.again(round)?;
                cell.floor.push(round_of("floor", copy.url(), &cell.case, check)?);
                copy.forget()?;
            }
            if let Some((peer, file)) = &theirs {
                let copy = file.with_extension(format!("{round}.duckdb"));
                fs::copy(file, &copy)?;
                match peer.round(&copy, &cell.case) {
                    Ok((rows, measured, hash)) => {
                        check("Python", rows)?;
                        cell.python.push(measured);
                        report.note(format!(
                            "Python: metaxy 0.1.11 on DuckDB 1.4.3; xxh64 is {hash}"
                        ));
                    }
                    Err(error) => report.note(format!("Python could not resolve {name}: {error}")),
                }
                fs::remove_file(copy)?;
            }
            bar.inc(1);
        }
        place.remove().await?;
        if let Some((_, file)) = theirs {
            fs::remove_file(file)?;
        }
        Ok(cell)
    }
}

/// A round, in a process of its own.
fn round_of(
    who: &str,
    url: &str,
    case: &Case,
    check: impl Fn(&str, usize) -> Result<(), String>,
) -> Result<Round, Box<dyn Error>> {
    let answer: Answer = serde_json::from_slice(&step(who, url, case)?)?;
    check(who, answer.rows)?;
    Ok(answer.round)
}

/// Runs a hidden command of this program; what it prints.
fn step(step: &str, url: &str, case: &Case) -> Result<Vec<u8>, Box<dyn Error>> {
    // Records are written without a limit: it is the resolve that has to do with it.
    let limit = case.memory_limit.as_ref().filter(|_| step != "fill");
    let settings = limit.map(|limit| format!("?memory_limit={limit}"));
    let url = format!("{url}{}", settings.unwrap_or_default());
    let (graph, phase) = (case.graph.name(), case.phase.name());
    let mut command = Command::new(std::env::current_exe()?);
    command.args([step, "--store", &url, "--graph", graph, "--phase", phase]);
    let output = command.args(["--records", &case.records.to_string()]).output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let why = String::from_utf8_lossy(&output.stderr);
            let (engine, records) = (case.engine.name(), case.records);
            Err(format!("{step} of {engine} {graph} {phase} {records}: {why}").into())
        }
    }
}
