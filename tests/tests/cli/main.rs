//! The command line, run as a user runs it: a program with features of its own (`src/bin/demo.rs`), a
//! folder, a configuration, real stores.

mod graphs;
mod guide;
mod input;
mod life;
mod lock;
mod migrate;
mod place;
mod plan;
mod round_trip;
mod settings;
mod views;

use place::Place;

/// What the tests say, for a look at what they run.
const TESTS: [&str; 9] = [
    include_str!("graphs.rs"),
    include_str!("input.rs"),
    include_str!("life.rs"),
    include_str!("lock.rs"),
    include_str!("migrate.rs"),
    include_str!("plan.rs"),
    include_str!("round_trip.rs"),
    include_str!("settings.rs"),
    include_str!("views.rs"),
];

/// Every command that the help names is run by a test: one that is added needs one.
#[test]
fn every_command_is_run() {
    let help = Place::new("memory:").run("--help");
    let commands = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        // What a command does may go on in the next line, further to the right.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 25, "{commands:?}");
    let is_run = |command: &&str| {
        TESTS.iter().any(|test| {
            [format!("\"{command} "), format!("\"{command}\"")].iter().any(|run| test.contains(run))
        })
    };
    let not_run: Vec<_> = commands.iter().copied().filter(|command| !is_run(command)).collect();
    assert_eq!(not_run, Vec::<&str>::new());
}
