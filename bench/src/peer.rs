//! The Python implementation: installed in pinned versions, and run on the same work.
//!
//! What it does is in `bench/peer/peer.py`. It lives in a virtual environment in the user's folder for
//! caches, which is made once.

use crate::report::{Case, Round};
use serde::Deserialize;
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is installed, and in which versions.
const REQUIREMENTS: &str = include_str!("../peer/requirements.txt");
/// The program.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peer/peer.py");

/// Python, with what the program needs.
pub(crate) struct Peer {
    python: PathBuf,
}

/// What the program says of a round.
#[derive(Deserialize)]
struct Answer {
    rows: usize,
    hash: String,
    #[serde(flatten)]
    round: Round,
}

impl Peer {
    /// The one that is installed, or else one that is installed now.
    pub(crate) fn install() -> Result<Self, Box<dyn Error>> {
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
        let cache = cache.ok_or("name a folder for Python in XDG_CACHE_HOME")?;
        let folder = cache.join("metaxy-bench").join("python");
        let python = folder.join("bin").join("python");
        // Written last, and with what was installed: an environment without it is not whole, or older.
        let done = folder.join("requirements.txt");
        if fs::read_to_string(&done).is_ok_and(|installed| installed == REQUIREMENTS) {
            return Ok(Self { python });
        }
        eprintln!("Python is installed in {}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let list = folder.join("to-install.txt");
        fs::write(&list, REQUIREMENTS)?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&list))?;
        fs::rename(list, done)?;
        Ok(Self { python })
    }

    /// Makes the store that rounds resolve in.
    pub(crate) fn fill(&self, file: &Path, case: &Case) -> Result<(), Box<dyn Error>> {
        run(&mut self.command("fill", file, case)).map(drop)
    }

    /// One round, and what it hashed with.
    pub(crate) fn round(
        &self,
        file: &Path,
        case: &Case,
    ) -> Result<(usize, Round, String), Box<dyn Error>> {
        let output = run(&mut self.command("round", file, case))?;
        let answer: Answer = serde_json::from_slice(&output)?;
        Ok((answer.rows, answer.round, answer.hash))
    }

    fn command(&self, what: &str, file: &Path, case: &Case) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-W", "ignore", PROGRAM, what]).arg(file);
        command.args([case.graph.name(), case.phase.name(), &case.records.to_string()]);
        command
    }
}

/// What a command prints; what it says otherwise, if it fails.
fn run(command: &mut Command) -> Result<Vec<u8>, Box<dyn Error>> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{} does not start: {error}", command.get_program().display()))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let why = String::from_utf8_lossy(&output.stderr);
            let end: Vec<&str> = why.trim_end().lines().rev().take(5).collect();
            let end: Vec<&str> = end.into_iter().rev().collect();
            Err(format!("{} failed: {}", command.get_program().display(), end.join("\n")).into())
        }
    }
}
