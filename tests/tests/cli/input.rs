//! Input that cannot be used: what is said, and the exit code.

use crate::life::video;
use crate::place::Place;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A store with videos, and rows to compute.
fn begun() -> Place {
    let place = Place::duckdb();
    place.lines("videos.jsonl", &[video("a", 10.0, "f1"), video("b", 20.0, "f1")]);
    place.run("sync demo/video videos.jsonl").ok();
    place
}

#[test]
fn names_with_a_slip() {
    let place = begun();
    insta::assert_snapshot!("feature", place.run("resolve demo/corp").refused());
    insta::assert_snapshot!("no_key_at_all", place.run("read Demo/Video").refused());
    insta::assert_snapshot!(
        "column",
        place.run("read demo/video --columns video_id,pth").refused()
    );
    insta::assert_snapshot!("id_column", place.run("delete demo/video --id vidoe_id=a").refused());
    insta::assert_snapshot!("command", place.run("resovle demo/crop").refused());
    insta::assert_snapshot!("reason", place.run("rebase demo/crop --accept why").refused());
    insta::assert_snapshot!(
        "rebase_by_nobody",
        place.run("rebase demo/crop --accept code").refused()
    );
}

#[test]
fn filters_with_a_mistake_are_drawn() {
    let place = begun();
    let filters = [
        ("read", "read demo/video --filter 'duration > AND path IS NULL'"),
        ("unknown_column", "resolve demo/crop --target-filter 'num_face > 3'"),
        ("of_an_upstream", "resolve demo/crop --filter 'demo/video: path ='"),
    ];
    for (name, arguments) in filters {
        insta::assert_snapshot!(format!("filter_{name}"), place.run(arguments).refused());
    }
    let ran = place.run("resolve demo/crop --filter 'path IS NULL'").refused();
    assert!(ran.contains("write the upstream, a colon and the condition"), "{ran}");
}

#[test]
fn rows_that_are_refused() {
    let place = begun();
    let refused = |name: &str, command: &str, lines: &str| {
        place.write("rows.jsonl", lines);
        insta::assert_snapshot!(format!("rows_{name}"), place.run(command).refused());
        let again = place.pipe(&command.replace("rows.jsonl", "-"), lines).refused();
        // What is wrong with the rows as a whole is wrong in no place.
        assert!(again.contains("`standard input`") || name == "twice", "{again}");
    };
    let crop = "write demo/crop rows.jsonl";
    let good = r#"{"video_id": "a", "num_faces": 1, "metaxy_provenance_by_field": {"face": "p"}}"#;
    refused("no_json", crop, "{\"video_id\": \"a\",\n");
    refused("no_object", crop, "[1]\n");
    refused("missing", crop, &format!("{good}\n{{\"video_id\": \"b\", \"num_face\": 1}}\n"));
    refused(
        "unknown",
        crop,
        &good.replace("{\"video_id", "{\"metaxy_provenence\": \"x\", \"video_id"),
    );
    refused("fraction", crop, &format!("{good}\n\n{}", good.replace(": 1", ": 1.5")));
    refused("negative", crop, &good.replace(": 1", ": -1"));
    refused("text_for_number", crop, &good.replace(": 1", ": \"1\""));
    refused("null", crop, &format!("{good}\n{}", good.replace(": 1", ": null")));
    refused("no_provenance", crop, r#"{"video_id": "a", "num_faces": 1}"#);
    refused(
        "orphaned",
        crop,
        &good.replace("{\"video_id", "{\"metaxy_status\": \"orphaned\", \"video_id"),
    );
    refused("twice", crop, &format!("{good}\n{good}\n"));
    let video = "sync demo/video rows.jsonl";
    refused(
        "sync_fraction",
        video,
        r#"{"video_id": 1, "path": null, "duration": 1, "audio": "a", "frames": "f"}"#,
    );
    refused(
        "sync_lacks_a_field",
        video,
        r#"{"video_id": "a", "path": null, "duration": 1, "audio": "a"}"#,
    );
    // Nothing of it was written.
    assert_eq!(place.run("read demo/video --rows jsonl").rows().len(), 2);
}

#[test]
fn files_that_are_refused() {
    let place = begun();
    let said = |arguments: &str| place.run(arguments).refused();
    assert!(said("write demo/crop none.jsonl").starts_with("error: cannot read `none.jsonl`: "));
    assert!(said("sync demo/video none.csv").starts_with("error: cannot read `none.csv`: "));
    insta::assert_snapshot!("no_format", said("write demo/crop rows.txt"));
    for name in ["x.parquet", "x.arrow", "x.arrows"] {
        place.write(name, "nothing of the kind, and no rows");
        let refused = said(&format!("write demo/crop {name}"));
        assert!(refused.starts_with(&format!("error: cannot read `{name}`: ")), "{refused}");
    }
    assert!(said("sync demo/video").contains("required arguments were not provided"));
    insta::assert_snapshot!("sync_of_no_root", said("sync demo/crop videos.jsonl"));
    insta::assert_snapshot!("sql_of_a_root", said("sql demo/video --dialect duckdb"));
    insta::assert_snapshot!("hard_without_yes", said("delete demo/video --all --hard"));
    insta::assert_snapshot!("delete_what", said("delete demo/video"));
    insta::assert_snapshot!("copy_to_itself", said("copy --from dev --to dev"));
}

/// A store that cannot be reached is no mistake of the input, and is not waited for.
#[test]
fn a_store_that_fails() {
    let place = Place::new("postgres://nobody@127.0.0.1:1/none");
    let begun = Instant::now();
    let ran = place.run("status");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(
        ran.stderr.starts_with("error: Postgres cannot be reached: Connection refused"),
        "{ran:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Whoever reads may stop: `metaxy man | head`, also within rows that are more than a pipe holds.
#[test]
fn a_pipe_that_is_closed() {
    let place = Place::duckdb();
    let long = |n: usize| video(&format!("{n:0>100}"), 10.0, "f1");
    place.lines("videos.jsonl", &(0..2_000).map(long).collect::<Vec<_>>());
    place.run("sync demo/video videos.jsonl").ok();
    for arguments in [
        "man",
        "completions zsh",
        "list",
        "versions --format json",
        "read demo/video --format json",
        "read demo/video --rows jsonl",
        "read demo/video --rows arrow",
        "read demo/video --rows arrow-file",
        "read demo/video --rows parquet",
        "resolve demo/crop --rows jsonl",
    ] {
        let mut command = place.command(&place.path(""), arguments);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
        let ended = (said.as_str(), child.wait().expect("an end").code());
        assert_eq!(ended, ("", Some(0)), "{arguments}");
    }
}
