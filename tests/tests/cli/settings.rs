//! Where the configuration is, what wins over it, and what is said about mistakes in it.

use crate::life::video;
use crate::place::Place;
use metaxy_tests::databases::Database;
use serde_json::json;

#[test]
fn the_file_is_searched_upward_and_paths_are_relative_to_it() {
    let place = Place::duckdb();
    place.lines("deep/er/videos.jsonl", &[video("a", 1.0, "f1")]);
    let deep = place.path("deep/er");
    place.run_in(&deep, "sync demo/video videos.jsonl", &[], "").ok();
    assert!(place.path("meta.duckdb").exists());
    assert!(!deep.join("meta.duckdb").exists());
    let config = place.run_in(&deep, "config --format json", &[], "").json();
    assert_eq!(config["file"], "HERE/metaxy.toml");
    // A file nearer by hides it, and one that is named hides both.
    place.write("deep/metaxy.toml", "store = \"nearer\"");
    let config = place.run_in(&deep, "config --format json", &[], "").json();
    assert_eq!(config["config"]["store"], "nearer");
    let named = place.run_in(&deep, "config --format json --config ../../metaxy.toml", &[], "");
    assert_eq!(named.json()["config"]["store"], "dev");
}

#[test]
fn variables_win() {
    let place = Place::duckdb();
    let variables = [("METAXY_STORE", "ci"), ("METAXY_STORES__CI__URL", "duckdb:ci.duckdb")];
    let config = place.with(&variables, "config --format json").json();
    assert_eq!(config["config"]["store"], "ci");
    assert_eq!(config["config"]["stores"]["ci"]["url"], "duckdb:ci.duckdb");
    assert_eq!(config["config"]["stores"]["dev"]["url"], "duckdb:meta.duckdb");
    let config = place.with(&[("METAXY_CONFIG", "none.toml")], "config").refused();
    assert!(config.starts_with("error: cannot read `none.toml`: "), "{config}");
}

#[test]
fn variables_in_texts() {
    let place = Place::new("duckdb:${NAME:-meta}.duckdb");
    let url = |ran: crate::place::Ran| ran.json()["config"]["stores"]["dev"]["url"].clone();
    assert_eq!(url(place.run("config --format json")), "duckdb:meta.duckdb");
    assert_eq!(url(place.with(&[("NAME", "x")], "config --format json")), "duckdb:x.duckdb");
    let place = Place::new("postgres://u:${PGPASSWORD_OF_NOBODY}@host/db");
    insta::assert_snapshot!(place.run("status").refused());
}

#[test]
fn secrets_are_masked() {
    let place = Place::duckdb();
    place.configure(
        "[stores.a]\nurl = \"postgres://user:hunter2@host/db?sslpassword=hunter3&schema=s\"\n\
         [stores.b]\nurl = \"clickhouse://host/db?password=hunter4\"\n",
    );
    for format in ["table", "json", "markdown"] {
        let config = place.run(&format!("config --format {format}")).ok();
        assert!(!config.contains("hunter"), "{config}");
        assert!(config.contains("postgres://***@host/db?sslpassword=***&schema=s"), "{config}");
    }
    // Nor does an error tell one.
    let ran = place.run("status -s 'nowhere://user:hunter5@host/db?password=hunter6'");
    assert!(!ran.stderr.contains("hunter"), "{ran:?}");
}

#[test]
fn mistakes_name_the_file_and_the_key() {
    let place = Place::duckdb();
    for (name, text) in [
        (
            "unknown_key",
            "store = \"dev\"\n[stores.dev]\nurl = \"memory:\"\nhash_algoritm = \"md5\"",
        ),
        ("wrong_type", "[stores.dev]\nurl = 3"),
        ("no_toml", "store = "),
        ("no_url", "[stores.dev]\nschema = \"s\""),
    ] {
        place.configure(text);
        insta::assert_snapshot!(name, place.run("status").refused());
    }
    place.configure("[stores.dev]\nurl = \"duckdb:x.duckdb\"\nhash_algorithm = \"md4\"");
    insta::assert_snapshot!("unknown_algorithm", place.run("status -s dev").refused());
}

#[test]
fn stores_that_are_not_there() {
    let place = Place::duckdb();
    insta::assert_snapshot!("unknown_store", place.run("status -s dve").refused());
    let ran = place.run("status -s duckdb:metta.duckdb");
    insta::assert_snapshot!("no_store_is_made_by_reading", ran.stderr);
    assert!(!place.path("metta.duckdb").exists());
    place.configure("");
    insta::assert_snapshot!("no_store_is_named", place.run("status").refused());
    place.configure("[stores.a]\nurl = \"memory:\"\nfallback = [\"b\"]\n[stores.b]\nurl = \"memory:\"\nfallback = [\"a\"]\n");
    let ran = place.run("status -s a").refused();
    assert!(ran.contains("`a` is a fallback of itself: a -> b -> a"), "{ran}");
}

/// A store in a file over one in Postgres.
#[tokio::test]
async fn the_configuration_of_the_readme_can_be_opened() {
    let database = Database::postgres().await;
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).expect("a README");
    let blocks = readme.split("```toml\n").filter_map(|block| block.split("```").next());
    let shown = blocks.filter(|block| block.contains("fallback")).collect::<String>();
    let address = "postgres://metaxy:${PGPASSWORD}@db.example/metaxy";
    assert!(shown.contains(address), "{shown}");
    let place = Place::duckdb();
    place.configure(&shown.replace(address, &database.url()));
    place.lines("videos.jsonl", &[video("a", 10.0, "f1")]);
    place.run("sync demo/video videos.jsonl").ok();
    let status = place.run("status demo/crop --format json").json();
    assert_eq!(status["features"]["demo/crop"]["counts"]["new"], 1);
}

/// What is not here is read below, and never written there.
#[test]
fn fallbacks() {
    let place = Place::duckdb();
    place.configure(
        "store = \"dev\"\n[stores.dev]\nurl = \"duckdb:dev.duckdb\"\ncreate_tables = true\nfallback = [\"prod\"]\n\
         [stores.prod]\nurl = \"duckdb:prod.duckdb\"\ncreate_tables = true\n",
    );
    place.lines("videos.jsonl", &[video("a", 10.0, "f1")]);
    place.run("sync demo/video videos.jsonl -s prod").ok();
    place.run("resolve demo/crop -o crops.jsonl").ok();
    let status = place.run("status demo/video demo/crop --format json").json();
    assert_eq!(status["features"]["demo/video"], json!({ "state": "root", "records": 1 }));
    assert_eq!(status["features"]["demo/crop"]["counts"]["new"], 1);
}
