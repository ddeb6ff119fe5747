//! The command line. What it can do is in [`metaxy::cli`].

fn main() -> std::process::ExitCode {
    metaxy::cli::main()
}
