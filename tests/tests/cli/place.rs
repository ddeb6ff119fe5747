//! A folder with a configuration, in which the program is run.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder that is gone with it.
pub(crate) struct Place {
    folder: TempDir,
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Ran {
    /// What it gave, if all went well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }

    /// The rows, a line each.
    #[track_caller]
    pub(crate) fn rows(self) -> Vec<Value> {
        let rows = self.ok();
        rows.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// What it said, if it refused its input.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(2), ""), "{self:?}");
        self.stderr
    }
}

impl Place {
    /// A folder whose configuration names a store at an address.
    pub(crate) fn new(url: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        place.configure(&format!(
            "store = \"dev\"\n\n[stores.dev]\nurl = {url:?}\ncreate_tables = true\n"
        ));
        place
    }

    /// A store in a file of DuckDB.
    pub(crate) fn duckdb() -> Self {
        Self::new("duckdb:meta.duckdb")
    }

    pub(crate) fn configure(&self, text: &str) {
        self.write("metaxy.toml", text);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Rows as a file of JSON lines.
    pub(crate) fn lines(&self, name: &str, rows: &[Value]) {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.write(name, &lines);
    }

    /// The rows of a file of JSON lines.
    pub(crate) fn read(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).expect("a file");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Runs the program with arguments as a shell takes them, of which `'` is known.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        self.run_in(self.folder.path(), arguments, &[], "")
    }

    /// The same, with a text on standard input.
    pub(crate) fn pipe(&self, arguments: &str, input: &str) -> Ran {
        self.run_in(self.folder.path(), arguments, &[], input)
    }

    /// The same, with variables.
    pub(crate) fn with(&self, variables: &[(&str, &str)], arguments: &str) -> Ran {
        self.run_in(self.folder.path(), arguments, variables, "")
    }

    pub(crate) fn command(&self, folder: &Path, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        // What the machine says about stores is none of a test's business.
        let ours = std::env::vars_os().filter(|(name, _)| {
            name.to_str().is_some_and(|name| name.to_ascii_uppercase().starts_with("METAXY_"))
        });
        for (name, _) in ours {
            command.env_remove(name);
        }
        command.args(split(arguments)).current_dir(folder);
        command
    }

    /// The same as [`run`](Self::run), with times as they are.
    pub(crate) fn run_with_times(&self, arguments: &str) -> Ran {
        self.run_as_it_is(self.folder.path(), arguments, &[], "")
    }

    pub(crate) fn run_in(
        &self,
        folder: &Path,
        arguments: &str,
        variables: &[(&str, &str)],
        input: &str,
    ) -> Ran {
        let Ran { stdout, stderr, code } = self.run_as_it_is(folder, arguments, variables, input);
        Ran { stdout: without_times(&stdout), stderr: without_times(&stderr), code }
    }

    fn run_as_it_is(
        &self,
        folder: &Path,
        arguments: &str,
        variables: &[(&str, &str)],
        input: &str,
    ) -> Ran {
        let mut command = self.command(folder, arguments);
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        // One that reads no input may be gone already.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("an end");
        let here = self.folder.path().to_str().expect("a path in UTF-8");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8").replace(here, "HERE");
        Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
    }
}

/// Arguments with spaces between them; those between `'` or `"` hold spaces of their own.
fn split(arguments: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = arguments.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '\'' | '"' => rest[1..].split_once(first).expect("a quote that ends"),
            _ => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// The same text with `TIME` for each time in it.
pub(crate) fn without_times(text: &str) -> String {
    let form = b"0000-00-00T00:00:00.000000Z";
    let bytes = text.as_bytes();
    let is_time = |at: usize| {
        bytes.get(at..at + form.len()).is_some_and(|found| {
            found.iter().zip(form).all(|(found, form)| match form {
                b'0' => found.is_ascii_digit(),
                form => found == form,
            })
        })
    };
    let mut out = String::new();
    let mut rest = 0;
    for at in 0..bytes.len() {
        if at >= rest && is_time(at) {
            out += &text[rest..at];
            out += "TIME";
            rest = at + form.len();
        }
    }
    out + &text[rest..]
}
