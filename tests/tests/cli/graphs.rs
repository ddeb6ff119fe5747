//! Graphs: what is pushed, what differs, and pictures of both.

use crate::life::video;
use crate::place::Place;

/// A store to which the graph was pushed.
fn pushed() -> Place {
    let place = Place::duckdb();
    place.run("push --tag git=4b825dc").ok();
    place
}

#[test]
fn a_push_is_made_once_and_stays_in_the_history() {
    for format in ["table", "json", "markdown"] {
        let place = Place::duckdb();
        place.lines("videos.jsonl", &[video("a", 10.0, "f1")]);
        place.run("sync demo/video videos.jsonl").ok();
        let mut text = place.run(&format!("push --dry-run --format {format}")).ok();
        assert!(!place.run("history --format json").ok().contains("4b825dc"));
        for command in ["push --tag git=4b825dc", "push", "history", "history --limit 0"] {
            text += &format!("$ metaxy {command}\n");
            text += &place.run(&format!("{command} --format {format}")).ok();
        }
        insta::assert_snapshot!(format!("push_{format}"), text);
    }
}

#[test]
fn a_difference_in_words_and_as_a_picture() {
    let place = pushed();
    assert_eq!(place.run("diff").ok(), "no difference\n");
    assert_eq!(place.run("diff latest code --check").code, Some(0));
    place.write(
        "old.json",
        r#"{"project": "demo", "features": [
            {"key": "demo/video", "id_columns": ["video_id"], "fields": ["audio", "pictures"]}
        ]}"#,
    );
    for format in ["table", "json", "markdown"] {
        let diff = place.run(&format!("diff old.json latest --format {format}")).ok();
        insta::assert_snapshot!(format!("diff_{format}"), diff);
    }
    insta::assert_snapshot!("diff_tree", place.run("diff old.json code --as tree").ok());
    assert_eq!(place.run("diff old.json code --check").code, Some(3));
}

#[test]
fn a_graph_in_all_forms() {
    let place = Place::duckdb();
    place.lines("videos.jsonl", &[video("a", 10.0, "f1")]);
    place.run("sync demo/video videos.jsonl").ok();
    insta::assert_snapshot!("graph_tree", place.run("graph").ok());
    insta::assert_snapshot!("graph_counts", place.run("graph --counts --no-fields").ok());
    insta::assert_snapshot!("graph_markdown", place.run("graph --as mermaid -f markdown").ok());
    let around = place.run("graph --around demo/crop --up 1 --down 0 --no-fields").ok();
    insta::assert_snapshot!("graph_around", around);
    for (file, begins) in [("g.svg", "<svg"), ("g.html", "<!"), ("g.dot", "digraph")] {
        assert_eq!(place.run(&format!("graph -o {file}")).ok(), format!("wrote {file}\n"));
        let text = std::fs::read_to_string(place.path(file)).expect("a file");
        assert!(text.starts_with(begins) && text.contains("demo/crop"), "{text}");
    }
    let json = place.run("graph --as dot --format json").json();
    assert_eq!(json["form"], "dot");
}

#[test]
fn mistakes_about_graphs() {
    let place = pushed();
    insta::assert_snapshot!("diff_no_push", place.run("diff latest~7 code").refused());
    insta::assert_snapshot!("diff_no_file", place.run("diff none.json code").refused());
    insta::assert_snapshot!("graph_no_feature", place.run("graph --around demo/corp").refused());
    insta::assert_snapshot!("graph_no_form", place.run("graph -o graph.bmp").refused());
    insta::assert_snapshot!("push_no_project", place.run("push --project dmeo").refused());
    insta::assert_snapshot!("push_own_tag", place.run("push --tag metaxy=1").refused());
}

#[test]
fn features_out_of_the_store() {
    let place = pushed();
    let linked = place.run("versions --format json").json();
    let recorded = place.run("versions --recorded --format json").json();
    assert_eq!(recorded["features"], linked["features"]);
    assert_eq!(place.run("list --recorded --spec x.json").code, Some(2));
    // Where nothing was pushed there is nothing to take.
    let ran = Place::duckdb().run("list --recorded");
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(place.run("list --lock none.lock").refused().contains("cannot read `none.lock`"));
}

/// A store with two projects, and commands of which some can be told which one.
#[test]
fn several_projects_are_told_apart() {
    let place = Place::duckdb();
    place.write(
        "two.json",
        r#"{"project": "a", "features": [
            {"key": "a/x", "id_columns": ["id"], "fields": ["f"]},
            {"project": "b", "spec": {"key": "b/y", "id_columns": ["id"], "fields": ["f"]}}
        ]}"#,
    );
    insta::assert_snapshot!("push_several", place.run("push --spec two.json").refused());
    place.run("push --spec two.json --all-projects").ok();

    let several = place.run("versions --recorded").refused();
    insta::assert_snapshot!("recorded_several", several);
    assert_eq!(place.run("list --recorded").refused(), several);
    let list = place.run("list --recorded --project b").ok();
    assert!(list.contains("b/y") && !list.contains("a/x"), "{list}");
    let versions = place.with(&[("METAXY_PROJECT", "a")], "versions --recorded").ok();
    assert!(versions.contains("a/x") && !versions.contains("b/y"), "{versions}");
    // The option of the command goes first.
    let list = place.with(&[("METAXY_PROJECT", "a")], "list --recorded --project b").ok();
    assert!(list.contains("b/y"), "{list}");
    let push = place.run("push --recorded --project b").ok();
    assert!(push.starts_with("b: ") && push.contains("is pushed already"), "{push}");
}
