//! The guide in the README, run as a reader would run it: files are written, commands are run, and what
//! they answer is what the README says.
//!
//! With `INSTA_UPDATE=always` (`cargo xtask bless`) the answers are written into it instead.

use crate::life::with;
use crate::place::{Place, without_times};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const TITLE: &str = "## A project's life\n";

/// The text of the guide with the answers that commands give here.
fn run(place: &Place, guide: &str) -> String {
    let mut text = String::new();
    let mut file = None;
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        text += line;
        text += "\n";
        if let Some(name) = line.strip_prefix('`').and_then(|line| line.strip_suffix("`:")) {
            file = Some(name);
        }
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match (kind, file.take()) {
            ("console", _) => {
                for command in block.iter().filter_map(|line| line.strip_prefix("$ ")) {
                    text += &format!("$ {command}\n{}", answer(place, command));
                }
            }
            (_, Some(name)) => {
                place.write(name, &(block.join("\n") + "\n"));
                text += &(block.join("\n") + "\n");
            }
            (kind, None) => panic!("a block of {kind} is neither a file nor a run"),
        }
        text += "```\n";
    }
    text
}

fn answer(place: &Place, command: &str) -> String {
    let Some(arguments) = command.strip_prefix("metaxy ") else {
        // What the guide leaves to the reader: it adds a column to every line.
        let words: Vec<&str> = command.split(' ').collect();
        let ["./crop", from, to] = words[..] else { panic!("no such command: {command}") };
        let add = |row: &Value| with(row, &json!({ "num_faces": 1 }));
        place.lines(to, &place.read(from).iter().map(add).collect::<Vec<_>>());
        return String::new();
    };
    let ran = place.run_with_times(arguments);
    let code = match ran.code {
        Some(0) => String::new(),
        code => format!("[exit code {}]\n", code.expect("a code")),
    };
    ran.stdout + &ran.stderr + &code
}

#[test]
fn the_guide_of_the_readme() {
    let readme = fs::read_to_string(Path::new(README)).expect("a README");
    let (before, rest) = readme.split_once(TITLE).expect("a guide");
    let end = rest.find("\n## ").expect("a section after it") + 1;
    let (guide, after) = rest.split_at(end);
    let now = run(&Place::new("memory:"), guide);
    if without_times(&now) != without_times(guide)
        && std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always")
    {
        fs::write(README, format!("{before}{TITLE}{now}{after}")).expect("a file");
        return;
    }
    assert_eq!(without_times(&now), without_times(guide), "`cargo xtask bless` writes it");
}
