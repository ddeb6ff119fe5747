//! Reading and writing of specs.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

/// The texts of all mistakes of a spec, one per line.
#[track_caller]
fn check(spec: &serde_json::Value, expected: &[&str]) {
    let messages: Vec<_> = match FeatureSpec::from_json(spec) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.messages().collect(),
    };
    assert_eq!(messages, expected, "\n{messages:#?}");
}

/// A spec with one upstream.
fn with_dep(dep: &serde_json::Value) -> serde_json::Value {
    json!({"key": "a", "id_columns": ["id"], "deps": [dep]})
}

/// A spec with one field.
fn with_field(field: &serde_json::Value) -> serde_json::Value {
    json!({"key": "a", "id_columns": ["id"], "fields": [field]})
}

#[track_caller]
fn read(spec: &serde_json::Value) -> FeatureSpec {
    FeatureSpec::from_json(spec).expect("a spec")
}

#[test]
fn short_forms() {
    let short = json!({
        "key": ["media", "crop"],
        "id_columns": ["id"],
        "deps": ["media/video", ["media", "meta"], {"feature": {"parts": ["media", "x"]}, "filters": ["a = 1"]}],
        "fields": [
            "audio",
            ["video", "frames"],
            {"code_version": "2", "deps": ["media/meta", {"feature": {"root": ["media", "video"]}, "fields": [["a", "b"], "c"]}]},
        ],
    });
    let spec = read(&short);
    assert_eq!(
        spec.canonical_json(),
        concat!(
            r#"{"deps": [{"feature": "media/video", "fields_mapping": {"mapping": {"exclude_fields": [], "match_suffix": false, "type": "default"}}, "#,
            r#""lineage": {"relationship": {"type": "1:1"}}, "optional": false, "rename": null, "select": null, "sql_filters": null}, "#,
            r#"{"feature": "media/meta", "fields_mapping": {"mapping": {"exclude_fields": [], "match_suffix": false, "type": "default"}}, "#,
            r#""lineage": {"relationship": {"type": "1:1"}}, "optional": false, "rename": null, "select": null, "sql_filters": null}, "#,
            r#"{"feature": "media/x", "fields_mapping": {"mapping": {"exclude_fields": [], "match_suffix": false, "type": "default"}}, "#,
            r#""lineage": {"relationship": {"type": "1:1"}}, "optional": false, "rename": null, "select": null, "sql_filters": ["a = 1"]}], "#,
            r#""description": null, "fields": [{"code_version": "__metaxy_initial__", "deps": [], "key": "audio"}, "#,
            r#"{"code_version": "__metaxy_initial__", "deps": [], "key": "video/frames"}, "#,
            r#"{"code_version": "2", "deps": [{"feature": "media/meta", "fields": "__METAXY_ALL_DEP__"}, "#,
            r#"{"feature": "media/video", "fields": ["a/b", "c"]}], "key": "default"}], "#,
            r#""id_columns": ["id"], "key": "media/crop", "metadata": {}}"#
        )
    );
}

#[test]
fn no_fields_and_an_empty_list_differ() {
    let fields = |spec: &serde_json::Value| read(spec).fields.len();
    assert_eq!(fields(&json!({"key": "a", "id_columns": ["id"]})), 1);
    assert_eq!(fields(&json!({"key": "a", "id_columns": ["id"], "fields": []})), 0);
}

#[test]
fn a_file_may_carry_any_code_version() {
    for code_version in ["", "1|2", "é"] {
        let spec = read(&with_field(&json!({"key": "x", "code_version": code_version})));
        assert_eq!(spec.fields[0].code_version, code_version);
    }
}

#[test]
fn mistakes_of_a_feature() {
    check(&json!([]), &["expected an object, the spec of a feature, found `[]`"]);
    check(
        &json!({}),
        &[
            "`key` is missing; give the feature its key, `\"key\": \"example/video\"`",
            "`id_columns` is missing; name the columns that identify a record, `\"id_columns\": [\"id\"]`",
        ],
    );
    check(
        &json!({"key": "a//b", "id_colums": ["id"], "id_columns": ["id", 3], "metadata": [], "description": 1, "deps": {}}),
        &[
            "unknown member `id_colums`, the nearest is `id_columns`; expected one of `key`, `id_columns`, `deps`, `fields`, `metadata`, `description`",
            "`key`: `a//b` is not a key: a part is empty; parts are joined by a single `/`",
            "`id_columns[1]`: expected a text, found `3`; put it in quotes: `\"3\"`",
            "`deps`: expected a list of upstream features, found `{}`",
            "`metadata`: expected an object, found `[]`",
            "`description`: expected a text, found `1`; put it in quotes: `\"1\"`",
        ],
    );
    check(
        &json!({"key": ["a/b"], "id_columns": ["id"]}),
        &[
            "`key`: expected a key, as a text with `/` or a list of parts, found `[\"a/b\"]`; `a/b` is two parts: give each its own item",
        ],
    );
    check(
        &json!({"key": {"prats": ["a"]}, "id_columns": ["id"]}),
        &[
            "`key`: expected a key, as a text with `/` or a list of parts, found `{\"prats\": [\"a\"]}`",
        ],
    );
}

#[test]
fn mistakes_of_a_field() {
    check(
        &with_field(&json!({"key": "x", "code_version": 1})),
        &[
            "feature `a`, field `x`, `fields[0].code_version`: expected a text, found `1`; put it in quotes: `\"1\"`",
        ],
    );
    check(
        &with_field(&json!({"key": "x", "dep": [], "deps": "all"})),
        &[
            "feature `a`, field `x`, `fields[0]`: unknown member `dep`, the nearest is `deps`; expected one of `key`, `code_version`, `deps`",
            "feature `a`, field `x`, `fields[0].deps`: `all` is unknown; expected `__METAXY_ALL_DEP__`",
        ],
    );
    check(
        &with_field(
            &json!({"key": "x", "deps": [{"feature": "b", "fields": "*"}, {"fields": []}, 1]}),
        ),
        &[
            "feature `a`, field `x`, `fields[0].deps[0].fields`: `*` is unknown; expected `__METAXY_ALL_DEP__`",
            "feature `a`, field `x`, `fields[0].deps[1]`: `feature` is missing; name the upstream feature, `\"feature\": \"example/video\"`",
            "feature `a`, field `x`, `fields[0].deps[2]`: expected a feature key or an object with `feature` and `fields`, found `1`",
        ],
    );
    check(
        &with_field(&json!("X")),
        &[
            "feature `a`, `fields[0]`: `X` is not a key: only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed",
        ],
    );
}

#[test]
fn mistakes_of_an_upstream() {
    check(
        &with_dep(&json!({"feature": "b", "filters": [], "sql_filters": []})),
        &[
            "feature `a`, `deps[0].filters`: `filters` is another name of `sql_filters`, and both are given; remove one",
        ],
    );
    check(
        &with_dep(&json!({"feature": "b", "filters": "x = 1", "optional": 1, "rename": ["x"]})),
        &[
            "feature `a`, `deps[0].rename`: expected an object of names upstream and names here, found `[\"x\"]`",
            "feature `a`, `deps[0].filters`: expected a list of filters, found `\"x = 1\"`; write `[\"x = 1\"]`",
            "feature `a`, `deps[0].optional`: expected `true` or `false`, found `1`",
        ],
    );
    check(
        &with_dep(&json!({"feature": "b", "lineage": {"type": "1:1"}})),
        &[
            "feature `a`, `deps[0].lineage`: unknown member `type`; expected one of `relationship`",
            "feature `a`, `deps[0].lineage`: `relationship` is missing; say which one, `\"relationship\": {\"type\": \"1:1\"}`",
        ],
    );
    check(
        &with_dep(&json!({"feature": "b", "lineage": {"relationship": {"type": "1:n"}}})),
        &[
            "feature `a`, `deps[0].lineage.relationship.type`: `1:n` is unknown; expected one of `1:1`, `N:1`, `1:N`",
        ],
    );
    check(
        &with_dep(&json!({"feature": "b", "lineage": {"relationship": {"type": "1:N"}}})),
        &[
            "feature `a`, `deps[0].lineage.relationship`: `on` is missing; name the columns of the parent, `\"on\": [\"id\"]`",
        ],
    );
    check(
        &with_dep(&json!({"feature": "b", "lineage": {"relationship": {"type": "1:1", "on": []}}})),
        &[
            "feature `a`, `deps[0].lineage.relationship`: unknown member `on`; expected one of `type`",
        ],
    );
    check(
        &with_dep(&json!({"feature": "b", "fields_mapping": {"mapping": {"match_suffix": true}}})),
        &[
            "feature `a`, `deps[0].fields_mapping.mapping`: `type` is missing; expected one of `default`, `specific`, `all`, `none`",
        ],
    );
    check(
        &with_dep(
            &json!({"feature": "b", "fields_mapping": {"mapping": {"type": "specific", "mapping": {"x": "y", "X": []}}}}),
        ),
        &[
            "feature `a`, `deps[0].fields_mapping.mapping.mapping.x`: expected a list of field keys, found `\"y\"`; write `[\"y\"]`",
            "feature `a`, `deps[0].fields_mapping.mapping.mapping.X`: `X` is not a key: only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed",
        ],
    );
}

#[test]
fn a_file_of_definitions() {
    let text = json!({"project": "p", "features": [
        {"spec": {"key": "a", "id_columns": ["id"]}, "feature_schema": "{\"title\": \"A\"}", "project": "q"},
        {"spec": {"key": "b", "id_columns": ["id"]}, "feature_schema": {"title": "B"}, "feature_class_path": "m.B"},
        {"key": "c", "id_columns": ["id"]},
    ]});
    let file = SpecFile::parse(&text.to_string()).unwrap();
    let schemas: Vec<_> = file.features.iter().map(|d| d.schema.to_string()).collect();
    assert_eq!(schemas, [r#"{"title":"A"}"#, r#"{"title":"B"}"#, "{}"]);
    assert_eq!(file.features[0].project, "q");
    assert_eq!(
        (file.features[1].project.as_str(), file.features[1].type_path.as_str()),
        ("p", "m.B")
    );

    let text = json!({"project": "p", "features": [
        {"spec": {"key": "a", "id_columns": ["id"]}, "feature_schema": "{", "schema": {}},
        {"spec": {"key": "b", "id_columns": ["id"]}, "feature_schema": [], "project": "a__b"},
    ]});
    let errors = SpecFile::parse(&text.to_string()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "4 mistakes:\n\
         - features[0]: unknown member `schema`; expected one of `spec`, `feature_schema`, `feature_class_path`, `project`\n\
         - feature `a` (features[0]), `feature_schema`: not valid JSON: EOF while parsing an object at line 1 column 1\n\
         - feature `b` (features[1]), `feature_schema`: expected a JSON schema, an object, found `[]`\n\
         - feature `b` (features[1]), `project`: `a__b` is not a project: `__` is reserved; use a single `_`"
    );
}

#[test]
fn serde() {
    let spec = read(&with_dep(&json!("b")));
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<FeatureSpec>(&text).unwrap(), spec);
    let error = serde_json::from_str::<FeatureSpec>("{}").unwrap_err().to_string();
    assert!(error.contains("`id_columns` is missing"), "{error}");
}

fn feature_key() -> impl Strategy<Value = FeatureKey> {
    "[a-z][a-z0-9]{0,3}(/[a-z0-9][a-z0-9-]{0,3}){0,2}"
        .prop_map(|text| FeatureKey::new(text).unwrap())
}

fn field_key() -> impl Strategy<Value = FieldKey> {
    "[a-z_][a-z0-9-]{0,3}(/[a-z0-9]{1,3}){0,2}".prop_map(|text| FieldKey::new(text).unwrap())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(any::<String>(), 0..3)
}

fn lineage() -> impl Strategy<Value = Lineage> {
    let expansion = (texts(), option::of(any::<String>()));
    prop_oneof![
        Just(Lineage::Identity),
        option::of(texts()).prop_map(|on| Lineage::Aggregation { on }),
        expansion.prop_map(|(on, id_generation_pattern)| Lineage::Expansion {
            on,
            id_generation_pattern
        }),
    ]
}

fn mapping() -> impl Strategy<Value = FieldsMapping> {
    // Sets in Python: sorted, nothing twice.
    let upstream = proptest::collection::btree_set(field_key(), 0..3);
    let specific = btree_map(field_key(), upstream, 0..3).prop_map(|fields| {
        let fields = fields.into_iter().map(|(field, up)| (field, up.into_iter().collect()));
        FieldsMapping::Specific(fields.collect())
    });
    let default = (any::<bool>(), vec(field_key(), 0..3));
    prop_oneof![
        default
            .prop_map(|(match_suffix, exclude)| FieldsMapping::Default { match_suffix, exclude }),
        specific,
        Just(FieldsMapping::All),
        Just(FieldsMapping::None),
    ]
}

fn dep() -> impl Strategy<Value = FeatureDep> {
    let rename = btree_map(any::<String>(), any::<String>(), 0..3);
    let rename = option::of(rename.prop_map(|pairs| pairs.into_iter().collect()));
    let columns = (option::of(texts()), rename, option::of(texts()));
    (feature_key(), columns, mapping(), lineage(), any::<bool>()).prop_map(
        |(feature, (select, rename, filters), fields_mapping, lineage, optional)| FeatureDep {
            feature,
            select,
            rename,
            fields_mapping,
            filters,
            lineage,
            optional,
        },
    )
}

fn field() -> impl Strategy<Value = FieldSpec> {
    let dep = (feature_key(), option::of(vec(field_key(), 0..3)))
        .prop_map(|(feature, fields)| FieldDep { feature, fields });
    let deps = prop_oneof![
        Just(FieldDeps::Mapped),
        Just(FieldDeps::All),
        vec(dep, 1..3).prop_map(FieldDeps::Fields),
    ];
    (field_key(), any::<String>(), deps).prop_map(|(key, code_version, deps)| FieldSpec {
        key,
        code_version,
        deps,
        renamed_from: None,
    })
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has no such number", |f| f.is_finite()).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Into::into),
            btree_map(any::<String>(), inner, 0..3)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn spec() -> impl Strategy<Value = FeatureSpec> {
    let metadata = btree_map(any::<String>(), json_value(), 0..3);
    let rest = (metadata, option::of(any::<String>()));
    (feature_key(), texts(), vec(dep(), 0..3), vec(field(), 0..3), rest).prop_map(
        |(key, id_columns, deps, fields, (metadata, description))| FeatureSpec {
            key,
            id_columns,
            deps,
            fields,
            metadata: metadata.into_iter().collect(),
            description,
        },
    )
}

proptest! {
    /// What is written is read back, in the order of Python's models and sorted.
    #[test]
    fn round_trip(spec in spec()) {
        let recorded = crate::pyjson::in_order(&spec.to_json());
        prop_assert_eq!(&FeatureSpec::from_json_text(&recorded).unwrap(), &spec);
        let sorted = spec.canonical_json();
        let read = FeatureSpec::from_json_text(&sorted).unwrap();
        prop_assert_eq!(read.canonical_json(), sorted);
    }

    /// No JSON whatsoever makes the reader panic.
    #[test]
    fn any_json_is_read_or_refused(value in json_value(), member in "key|deps|fields|id_columns") {
        let _ = FeatureSpec::from_json(&value);
        let mut spec = json!({"key": "a", "id_columns": ["id"]});
        spec[&member] = value.clone();
        let _ = FeatureSpec::from_json(&spec);
        let _ = FeatureSpec::from_json(&with_dep(&json!({ "feature": "b", "lineage": value })));
    }
}
