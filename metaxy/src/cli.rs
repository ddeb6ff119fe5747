//! The command line: `metaxy <command>`, one file per command.
//!
//! A program with features of its own gets all commands, over its own features, in three lines:
//!
//! ```no_run
//! // use my_features as _;
//! fn main() -> std::process::ExitCode {
//!     metaxy::cli::main()
//! }
//! ```
//!
//! `cargo metaxy ..` builds and runs that program. The plain binary `metaxy` takes its features from a
//! spec file (`--spec`), a lock file (`--lock`), or from what was pushed to the store (`--recorded`).
//!
//! Data goes to standard output, talk to standard error. Exit codes:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | it failed: the store, the disk, the connection |
//! | 2 | the input cannot be used: arguments, configuration, a file, a key, a filter |
//! | 3 | a check (`--check`) found something to do |
//! | 4 | a limit (`--max-cost`, `--max-records`) would be exceeded |

pub mod cargo;
mod config;
mod context;
mod failure;
mod files;
mod input;
mod jsonl;
mod output;
mod records;

#[cfg(feature = "sql")]
mod compile;
mod completions;
mod copy;
mod delete;
mod describe;
mod diff;
mod explain;
mod failures;
mod graph;
mod list;
mod lock;
#[cfg(feature = "sql")]
mod migrate;
mod plan;
mod push;
mod read;
mod rebase;
mod resolve;
mod settings;
#[cfg(feature = "sql")]
mod sql;
mod status;
mod sync;
mod vacuum;
mod versions;
mod write;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use context::{Context, Options};
use failure::Failure;
use output::Output;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

/// Record-level feature metadata for multimodal pipelines.
#[derive(Debug, Parser)]
#[command(name = "metaxy", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Describe(describe::Describe),
    Versions(versions::Versions),
    Graph(graph::Graph),
    Push(push::Push),
    History(push::History),
    Diff(diff::Diff),
    Lock(lock::Lock),
    #[cfg(feature = "sql")]
    Migrate(migrate::Migrate),
    Status(status::Status),
    Plan(plan::Plan),
    Explain(explain::Explain),
    Resolve(resolve::Resolve),
    Write(write::Write),
    #[command(visible_alias = "import")]
    Sync(sync::Sync),
    Read(read::Read),
    Failures(failures::Failures),
    Copy(copy::Copy),
    Delete(delete::Delete),
    Undelete(delete::Undelete),
    Vacuum(vacuum::Vacuum),
    Rebase(rebase::Rebase),
    #[cfg(feature = "sql")]
    Sql(sql::Sql),
    #[cfg(feature = "sql")]
    Compile(compile::Compile),
    Config(settings::Settings),
    Completions(completions::Completions),
    Man(completions::Man),
}

impl Command {
    /// The project that the command is about, if its options say one.
    fn project(&self) -> Option<&String> {
        match self {
            Self::List(command) => command.project.as_ref(),
            Self::Push(command) => match &command.project[..] {
                [one] => Some(one),
                _ => None,
            },
            Self::History(command) => command.project.as_ref(),
            Self::Diff(command) => command.project.as_ref(),
            Self::Lock(command) => command.project.as_ref(),
            _ => None,
        }
    }
}

/// Runs the command that the arguments of the program name, over the features that are linked into it.
#[must_use]
pub fn main() -> ExitCode {
    let out = Output::new(Box::new(io::stdout().lock()));
    ExitCode::from(run(std::env::args_os(), out))
}

/// What the command line can do, for completions and manuals.
fn command() -> clap::Command {
    Cli::command()
}

fn run(arguments: impl IntoIterator<Item = OsString>, mut out: Output) -> u8 {
    let matches = command().try_get_matches_from(arguments);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows, and a closed terminal is none either.
            let _ = error.print();
            return if error.use_stderr() { failure::INPUT } else { 0 };
        }
    };
    let done = dispatch(cli, &mut out).and_then(|()| out.flush());
    match done {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli, out: &mut Output) -> Result<(), Failure> {
    out.set_format(cli.options.format);
    let context = Context::new(cli.options, cli.command.project())?;
    match cli.command {
        Command::List(command) => command.run(&context, out),
        Command::Describe(command) => command.run(&context, out),
        Command::Versions(command) => command.run(&context, out),
        Command::Graph(command) => context.wait(command.run(&context, out)),
        Command::Push(command) => context.wait(command.run(&context, out)),
        Command::History(command) => context.wait(command.run(&context, out)),
        Command::Diff(command) => context.wait(command.run(&context, out)),
        Command::Lock(command) => context.wait(command.run(&context, out)),
        #[cfg(feature = "sql")]
        Command::Migrate(command) => context.wait(command.run(&context, out)),
        Command::Plan(command) => context.wait(command.run(&context, out)),
        Command::Explain(command) => context.wait(command.run(&context, out)),
        Command::Status(command) => context.wait(command.run(&context, out)),
        Command::Resolve(command) => context.wait(command.run(&context, out)),
        Command::Write(command) => context.wait(command.run(&context, out)),
        Command::Sync(command) => context.wait(command.run(&context, out)),
        Command::Read(command) => context.wait(command.run(&context, out)),
        Command::Failures(command) => context.wait(command.run(&context, out)),
        Command::Copy(command) => context.wait(command.run(&context, out)),
        Command::Delete(command) => context.wait(command.run(&context, out)),
        Command::Undelete(command) => context.wait(command.run(&context, out)),
        Command::Vacuum(command) => context.wait(command.run(&context, out)),
        Command::Rebase(command) => context.wait(command.run(&context, out)),
        #[cfg(feature = "sql")]
        Command::Sql(command) => context.wait(command.run(&context, out)),
        #[cfg(feature = "sql")]
        Command::Compile(command) => command.run(&context, out),
        Command::Config(command) => command.run(&context, out),
        Command::Completions(command) => command.run(out),
        Command::Man(command) => command.run(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What changes nothing, neither a store nor files that are somebody's.
    const READS: [&str; 18] = [
        "list",
        "describe",
        "versions",
        "graph",
        "history",
        "diff",
        "status",
        "plan",
        "explain",
        "resolve",
        "read",
        "failures",
        "sql",
        "compile",
        "config",
        "completions",
        "man",
        "help",
    ];
    /// The same of `migrate`.
    const READS_OF_MIGRATE: [&str; 4] = ["check", "lint", "status", "help"];

    fn has(command: &clap::Command, option: &str) -> bool {
        command.get_arguments().any(|argument| argument.get_long() == Some(option))
    }

    /// Every command says what it does and has a manual; one that writes can be tried first.
    #[test]
    fn what_writes_has_a_dry_run() {
        let mut all = command();
        all.build();
        let (mut n_written, mut todo) = (0, vec![(&all, &READS[..])]);
        while let Some((of, reads)) = todo.pop() {
            for command in of.get_subcommands() {
                let name = command.get_name();
                assert!(command.get_about().is_some(), "{name} says nothing of itself");
                assert!(name == "help" || has(command, "format"), "{name} has no form");
                if command.has_subcommands() && name != "help" {
                    todo.push((command, &READS_OF_MIGRATE));
                } else if !reads.contains(&name) {
                    assert!(has(command, "dry-run"), "{name} cannot be tried");
                    n_written += 1;
                }
            }
        }
        assert!(n_written >= 12, "{n_written}");
    }

    #[test]
    fn arguments_are_in_order() {
        command().debug_assert();
    }
}
