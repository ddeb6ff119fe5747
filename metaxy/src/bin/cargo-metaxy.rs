//! `cargo metaxy`. What it does is in [`metaxy::cli::cargo`].

fn main() -> std::process::ExitCode {
    metaxy::cli::cargo::main()
}
