//! Tables that the Python implementation has made in DuckDB. What it answers to the record scenarios of the
//! golden file is asked of every engine: `metaxy::conformance`.

use futures::TryStreamExt;
use metaxy::{FeatureKey, HashAlgorithm};
use metaxy_tests::batch::{collect, only, sorted};
use metaxy_tests::flow::graph;
use metaxy_tests::golden;
use metaxy_tests::place::Place;
use serde_json::{Value, json};

#[tokio::test]
async fn tables_of_python_are_read_and_resolved() {
    let golden = golden::load();
    let scenarios = golden["records"].as_array().expect("a list of scenarios");
    let scenario = scenarios.iter().find(|scenario| scenario["name"] == "root_then_simple_child");
    let scenario = scenario.expect("a scenario");
    let python = &scenario["outputs"]["xxhash32"];
    for (mode, storage) in golden["duckdb_storage"].as_object().expect("modes") {
        let is_map = mode.starts_with("map");
        let place = Place::new();
        for ddl in storage["duckdb_ddl"].as_object().expect("statements").values() {
            place.execute(ddl.as_str().expect("a statement"));
        }
        let versions = |versions: &Value| {
            let entries = versions.as_object().expect("an object").iter();
            let entries = entries.map(|(k, v)| format!("'{k}': '{}'", v.as_str().expect("a text")));
            let entries = entries.collect::<Vec<_>>().join(", ");
            if is_map { format!("MAP {{{entries}}}") } else { format!("{{{entries}}}") }
        };
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        // All of the root; of the child the record 1 as it is, and the record 2 as it was computed
        // from something else.
        let root = python[1]["rows"].as_array().expect("rows");
        let child = python[2]["new"].as_array().expect("rows");
        for (table, row, version) in root
            .iter()
            .map(|row| ("a__root", row, "d97edefc"))
            .chain([("b", &child[0], "81a5714b"), ("b", &child[1], "81a5714b")])
        {
            let mut by_field = row["metaxy_provenance_by_field"].clone();
            if table == "b" && row["id"] == "2" {
                by_field["z"] = json!("before");
            }
            let by_field = versions(&by_field);
            place.execute(&format!(
                "INSERT INTO {table} BY NAME SELECT '{}' AS id, '{}' AS path,
                 {by_field} AS metaxy_provenance_by_field, '{}' AS metaxy_provenance,
                 {by_field} AS metaxy_data_version_by_field, '{}' AS metaxy_data_version,
                 '{version}' AS metaxy_feature_version, '4a4122e5' AS metaxy_project_version,
                 TIMESTAMPTZ '2026-01-01 00:00:00+00' AS metaxy_created_at,
                 TIMESTAMPTZ '2026-01-01 00:00:00+00' AS metaxy_updated_at",
                text(&row["id"]),
                text(&row["path"]),
                text(&row["metaxy_provenance"]),
                text(&row["metaxy_data_version"]),
            ));
        }

        let shorts = scenario["features"].as_array().expect("features");
        let graph = graph(shorts);
        let open = place.open(&graph).hash_algorithm(HashAlgorithm::XxHash32);
        let store = open.hash_truncation_length(8).await.expect("a store");
        let (root, child) = (FeatureKey::new("a/root").expect("a key"), FeatureKey::new("b"));
        let child = child.expect("a key");

        let read = collect(store.read_of(&root).batches().await.expect("a read")).await;
        let columns = ["id", "path", "metaxy_provenance_by_field", "metaxy_data_version"];
        let expected = python[1]["rows"].as_array().expect("rows");
        assert_eq!(only(&read, &columns), only(expected, &columns), "{mode}");

        let increment = store.resolve_update_of(&child).await.expect("an increment");
        let counts = increment.counts();
        assert_eq!((counts.new, counts.stale, counts.unchanged), (1, 1, 1), "{mode}");
        let rows = collect(increment.batches()).await;
        let columns = ["id", "metaxy_status", "metaxy_stale_fields", "metaxy_provenance_by_field"];
        let expected = [
            json!({ "id": "2", "metaxy_status": "stale", "metaxy_stale_fields": {"z": "upstream"},
                    "metaxy_provenance_by_field": {"x": "39581045", "z": "19837586"} }),
            json!({ "id": "3", "metaxy_status": "new", "metaxy_stale_fields": null,
                    "metaxy_provenance_by_field": {"x": "39965062", "z": "99562686"} }),
        ];
        assert_eq!(only(&rows, &columns), sorted(expected.to_vec()), "{mode}");

        // Writing adds what the table lacks of ours nowhere: it is written as Python made it.
        let mut batches = store.resolve_update_of(&child).await.expect("an increment").to_compute();
        let mut out = store.batch_writer(&child);
        while let Some(batch) = batches.try_next().await.expect("a batch") {
            out.push(&batch).await.expect("good rows");
        }
        if is_map {
            assert_eq!(out.commit().await.expect("a commit").rows, 2);
            let counts = store.count_update_of(&child).await.expect("counts");
            assert!(counts.is_up_to_date(), "{mode}: {counts}");
        } else {
            assert_eq!(
                out.commit().await.expect_err("a refusal").to_string(),
                "not supported yet: writing to `b`, which keeps versions per field as a STRUCT; \
                 change `metaxy_provenance_by_field` and `metaxy_data_version_by_field` to \
                 MAP(VARCHAR, VARCHAR) (feature `b`)"
            );
            let counts = store.count_update_of(&child).await.expect("counts");
            assert_eq!((counts.new, counts.stale), (1, 1), "nothing was written");
        }
    }
}
