//! The command line: `metaxy <command>`, one file per command.
//!
//! Data goes to standard output, talk to standard error. Exit codes: 0 for success; 1 for a failure;
//! 2 for input that cannot be used: wrong arguments, a file that cannot be read or has mistakes.
//!
//! A program with features of its own gets the same commands by calling [`main`].

mod versions;

use clap::{Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Record-level feature metadata for multimodal pipelines.
#[derive(Debug, Parser)]
#[command(name = "metaxy", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Versions(versions::Versions),
}

/// How the answer of a command is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading
    Table,
    /// For programs
    Json,
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    /// The input cannot be used. Every line is a reason of its own.
    Input(Vec<String>),
    /// Standard output is gone.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Runs the command that the arguments of the program name.
pub fn main() -> ExitCode {
    run(std::env::args_os(), &mut io::stdout().lock())
}

fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows, and a closed terminal is none either.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let result = match cli.command {
        Command::Versions(command) => command.run(out),
    };
    match result.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Input(reasons)) => {
            for reason in reasons {
                eprintln!("error: {reason}");
            }
            ExitCode::from(2)
        }
        // Whoever reads has seen enough: `metaxy .. | head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => {
            eprintln!("error: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}
