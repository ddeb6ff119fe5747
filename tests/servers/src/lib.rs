//! Real servers of Postgres and ClickHouse for tests: started on a folder of their own, stopped as by
//! a fault, started again on the same data, and gone in the end.
//!
//! A server is run by the program `server-host` (`main.rs`), which says where the server listens once
//! it does, and ends it when its own input ends. So no server outlives the process that asked for it,
//! in whichever way that one ended. Nothing of Metaxy and no driver is in here.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

mod chromium;
mod postgres;

pub use chromium::{MISSING as CHROMIUM_MISSING, program as chromium};
pub use postgres::{MISSING as POSTGRES_MISSING, is_root, programs as postgres_programs};

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Postgres, 15 or later.
    Postgres,
    /// ClickHouse, the engine that comes as a library.
    ClickHouse,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::ClickHouse];

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "Postgres",
            Self::ClickHouse => "ClickHouse",
        }
    }

    /// The variable that holds the address of the server that tests use.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "DATABASE_URL",
            Self::ClickHouse => "CLICKHOUSE_URL",
        }
    }

    /// What the host is told.
    fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::ClickHouse => "clickhouse",
        }
    }
}

/// The program that runs servers.
#[derive(Debug, Clone)]
pub struct Host {
    program: PathBuf,
}

impl Host {
    /// The variable with which `cargo xtask` tells tests where the program is.
    pub const VARIABLE: &str = "TEST_SERVER_HOST";

    /// The program that lies beside the one that runs, where cargo puts programs of one profile.
    ///
    /// # Errors
    /// If the system does not tell where that is.
    pub fn beside_this_program() -> Result<Self, String> {
        let this = env::current_exe()
            .map_err(|error| format!("cannot tell where this program lies: {error}"))?;
        let name = format!("server-host{}", env::consts::EXE_SUFFIX);
        Ok(Self { program: this.with_file_name(name) })
    }

    /// The program that `cargo xtask` has built.
    ///
    /// # Errors
    /// If no such command runs this.
    pub fn of_this_run() -> Result<Self, String> {
        let program = env::var_os(Self::VARIABLE).ok_or(
            "this test starts a server of its own: run it with `cargo xtask test`, or alone with \
             `cargo xtask engines -- cargo test ..`",
        )?;
        Ok(Self { program: program.into() })
    }

    /// Where it is.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        self.program.as_os_str()
    }

    /// Starts a server on a temporary folder, and waits until it can be used.
    ///
    /// # Errors
    /// If it does not start: in its own words.
    pub fn start(&self, engine: Engine) -> Result<Server, String> {
        let folder = tempfile::Builder::new().prefix("metaxy-").tempdir();
        let folder = folder.map_err(|error| format!("cannot make a temporary folder: {error}"))?;
        let mut server =
            Server { host: self.clone(), engine, folder, process: None, url: String::new() };
        server.start()?;
        Ok(server)
    }
}

/// A server that runs, or was stopped; gone with its data when this is dropped.
#[derive(Debug)]
pub struct Server {
    host: Host,
    engine: Engine,
    folder: TempDir,
    process: Option<Child>,
    url: String,
}

impl Server {
    /// Its address; the same when it is started again.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server at once, as a fault does: nobody waits for a query, and nothing is put in
    /// order. What it has said to be committed is there when it is started again.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        match self.engine {
            // The host ends the processes of Postgres when its input does.
            Engine::Postgres => {
                drop(process.stdin.take().map(|mut input| input.write_all(b"keep")));
            }
            // The host is the server.
            Engine::ClickHouse => drop(process.kill()),
        }
        // It has ended or it has not; there is nothing else that could be done.
        drop(process.wait());
    }

    /// Starts a server that was stopped, on the data that it had and at the same address.
    ///
    /// # Errors
    /// If it does not start: in its own words.
    pub fn start(&mut self) -> Result<(), String> {
        self.stop();
        let mut command = Command::new(self.host.program());
        command.arg(self.engine.word()).arg(self.folder.path()).arg(&self.url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // No result may depend on where the server is: its time zone is one that nobody lives in by accident.
        command.env("TZ", "America/St_Johns");
        // Not in the terminal's group: Ctrl-C ends what uses the server, which then ends it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let name = self.engine.name();
        let failed = |what: &str| format!("{name} did not start: {what}");
        let mut process = command.spawn().map_err(|error| {
            failed(&format!("`{}`: {error}", self.host.program().to_string_lossy()))
        })?;

        let mut said = BufReader::new(process.stdout.take().expect("standard output is piped"));
        let mut line = String::new();
        let read = said.read_line(&mut line).map_err(|error| failed(&error.to_string()));
        self.process = Some(process);
        read?;
        match line.trim_end().strip_prefix("ready ") {
            Some(url) => url.clone_into(&mut self.url),
            None => {
                drop(said.read_to_string(&mut line));
                self.stop();
                return Err(failed(line.trim_end()));
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
