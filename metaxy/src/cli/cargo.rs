//! `cargo metaxy`: finds the program of a workspace that has its features linked, and runs it.

use super::Failure;
use cargo_metadata::{Metadata, MetadataCommand, Package, Target};
use serde::Deserialize;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The name that a program has if nothing says otherwise.
const PROGRAM: &str = "metaxy";

/// What to write into a manifest, for messages.
const FIX: &str = "\
write a program with `fn main() -> std::process::ExitCode { metaxy::cli::main() }`, with your features \
linked in, and name it in its Cargo.toml:

    [package.metadata.metaxy]
    bin = \"name-of-the-program\"

(or call it `metaxy`)";

/// `[package.metadata.metaxy]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The program.
    bin: String,
    /// Features of the package that it needs.
    #[serde(default)]
    features: Vec<String>,
}

/// A program of the workspace.
#[derive(Debug)]
struct Program<'a> {
    package: &'a Package,
    bin: String,
    features: Vec<String>,
}

/// Runs the program of the workspace with the arguments of this one; its exit code is passed on.
#[must_use]
pub fn main() -> ExitCode {
    // Cargo calls it with its own name as the first argument.
    let arguments = env::args_os().skip(1).enumerate();
    let arguments = arguments.filter(|(i, argument)| !(*i == 0 && argument == PROGRAM));
    match run(arguments.map(|(_, argument)| argument).collect()) {
        Ok(code) => code,
        Err(failure) => ExitCode::from(failure.report()),
    }
}

fn run(arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    let metadata = MetadataCommand::new().no_deps().exec().map_err(|error| {
        let error = error.to_string();
        Failure::input(format!("cargo cannot read this workspace: {}", error.trim()))
    })?;
    let here = env::current_dir().unwrap_or_default();
    let program = program(&metadata, &here)?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["run", "--quiet", "--manifest-path"]).arg(&program.package.manifest_path);
    command.args(["--bin", &program.bin]);
    if !program.features.is_empty() {
        command.args(["--features", &program.features.join(",")]);
    }
    let status = command.arg("--").args(arguments).status();
    let status = status.map_err(|error| {
        Failure::input(format!("cannot run `{}`: {error}", PathBuf::from(&cargo).display()))
    })?;
    // Who was ended by a signal has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The program: of the package that one is in, if that has one, else the only one of the workspace.
fn program<'a>(metadata: &'a Metadata, here: &Path) -> Result<Program<'a>, Failure> {
    let packages = metadata.workspace_packages();
    let mut named = Vec::new();
    for package in &packages {
        named.extend(of_table(package)?);
    }
    if named.is_empty() {
        let with_program = packages.iter().filter(|package| {
            // The crate itself has a program of this name, without any features.
            package.name != PROGRAM && bins(package).any(|bin| bin.name == PROGRAM)
        });
        named = with_program
            .map(|package| Program { package, bin: PROGRAM.to_owned(), features: Vec::new() })
            .collect();
    }
    let folder = |program: &Program<'_>| {
        program.package.manifest_path.parent().is_some_and(|folder| here.starts_with(folder))
    };
    // The innermost package is the one that one is in.
    let depth = |program: &Program<'_>| program.package.manifest_path.components().count();
    let inside = named.iter().enumerate().filter(|(_, program)| folder(program));
    let inside = inside.max_by_key(|(_, program)| depth(program)).map(|(i, _)| i);
    match (inside, named.len()) {
        // The root of a workspace is above all of its members, and none of them is meant by it.
        (Some(i), _) => Ok(named.swap_remove(i)),
        (None, 1) => Ok(named.remove(0)),
        (None, 0) => Err(Failure::input(format!("this workspace has no program to run; {FIX}"))),
        (None, _) => {
            let names = named.iter().map(|p| format!("`{}` of `{}`", p.bin, p.package.name));
            Err(Failure::input(format!(
                "this workspace has several programs: {}; go into the folder of one of the packages",
                names.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

/// The program that a manifest names.
fn of_table<'a>(package: &'a Package) -> Result<Option<Program<'a>>, Failure> {
    let Some(table) = package.metadata.get("metaxy") else { return Ok(None) };
    let manifest = &package.manifest_path;
    let table = Table::deserialize(table).map_err(|error| {
        Failure::input(format!("{manifest}: `[package.metadata.metaxy]`: {error}"))
    })?;
    if !bins(package).any(|bin| bin.name == table.bin) {
        let names: Vec<&str> = bins(package).map(|bin| bin.name.as_str()).collect();
        let nearest = crate::nearest::nearest(&table.bin, names.iter().copied());
        return Err(Failure::input(format!(
            "{manifest}: `[package.metadata.metaxy]`: the package has no program `{}`{}; it has `{}`",
            table.bin,
            crate::nearest::hint(nearest),
            names.join("`, `")
        )));
    }
    Ok(Some(Program { package, bin: table.bin, features: table.features }))
}

fn bins(package: &Package) -> impl Iterator<Item = &Target> {
    package.targets.iter().filter(|target| target.is_bin())
}
