//! `cargo xtask <command>`: set-up, tests, checks and the demo of this workspace.
//!
//! It starts other programs and says which; it knows nothing of Metaxy, so it also builds when
//! Metaxy does not. One file per command, [`sh`] for processes, [`workspace`] for what the checkout
//! says about itself.

mod apt;
mod bench;
mod bless;
mod check;
mod demo;
mod engines;
mod library;
mod npm;
mod setup;
mod sh;
mod summary;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Drives set-up, tests, checks and the demo of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetches the prebuilt DuckDB that everything links; does nothing when it is there
    Setup {
        /// Also fetches what tests start: Postgres, ClickHouse and Chromium
        #[arg(long)]
        servers: bool,
    },
    /// Runs a command with a Postgres and a ClickHouse server of its own: `DATABASE_URL`, `CLICKHOUSE_URL`
    Engines {
        /// The command, after `--`
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Runs every test of the workspace: unit, integration, documentation and compile-fail tests
    Test,
    /// Shows that the random histories notice when a rule of the engine in memory is left out
    Rules,
    /// Checks the form: rustfmt, clippy and rustdoc with warnings as errors, over all feature sets
    Check,
    /// Accepts today's output as the expected one: compile-fail texts and snapshots
    Bless,
    /// Measures how long resolving takes, and how much memory: the paper's Table 1
    Bench {
        /// Passed on to the benchmark; `--help` lists what it takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Shows the example pipeline on a scratch copy of a folder, and what each edit costs
    Demo {
        /// Passed on to the demo; `--help` lists what it takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup { servers: false } => setup::embedded(),
        Command::Setup { servers: true } => setup::run(),
        Command::Engines { command } => engines::run(&command),
        Command::Test => test::run(),
        Command::Rules => test::rules(),
        Command::Check => check::run(),
        Command::Bless => bless::run(),
        Command::Bench { args } => bench::run(&args),
        Command::Demo { args } => demo::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
