//! `cargo xtask engines -- <command>`: a command with a Postgres and a ClickHouse server that are gone
//! afterwards, which is how the tests run, too.
//!
//! A server whose address the user has set is used instead, and none is started.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use test_servers::{Engine, Host, Server};

use crate::setup;
use crate::sh::{self, Failure, Result};
use crate::workspace::cargo;

/// The servers of one run.
pub(crate) struct Engines {
    host: Host,
    started: Vec<(Engine, Server)>,
}

/// Whether the user has named a server to use.
pub(crate) fn is_set(engine: Engine) -> bool {
    env::var_os(engine.variable()).is_some_and(|url| !url.is_empty())
}

impl Engines {
    /// Starts the servers that the user has not.
    pub(crate) fn start() -> Result<Engines> {
        sh::run(&mut cargo(["build", "--quiet", "--package", "test-servers"]))?;
        let host = Host::beside_this_program().map_err(Failure::new)?;
        let mut started = Vec::new();
        for engine in Engine::ALL {
            if is_set(engine) {
                eprintln!("{}: {} is set, none is started", engine.name(), engine.variable());
                continue;
            }
            let server = host.start(engine).map_err(Failure::new)?;
            eprintln!("{} runs at {}", engine.name(), server.url());
            started.push((engine, server));
        }
        Ok(Engines { host, started })
    }

    /// What tells a command where the servers are, and how to start more.
    pub(crate) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let started = self.started.iter();
        let urls = started.map(|(engine, server)| (engine.variable(), server.url().into()));
        urls.chain([(Host::VARIABLE, self.host.program().to_owned())]).collect()
    }
}

pub(crate) fn run(args: &[String]) -> Result {
    setup::embedded()?;
    setup::servers()?;
    let engines = Engines::start()?;
    let (program, args) = args.split_first().expect("clap asks for one");
    // Where the user stands, unlike the commands of ours.
    sh::run(Command::new(program).args(args).envs(engines.variables()))
}
