//! Every mistake that a graph can have, with the text that its author reads.

use super::*;
use crate::builder::{DepBuilder, FeatureBuilder, FieldBuilder, GraphBuilder};
use crate::def::FeatureDef;
use crate::spec::{Origin, SpecFile};
use metaxy_sql::ScalarType::{Bytes, Float64, Int64, Text};
use metaxy_sql::{ColumnType, ScalarType};
use std::fmt::Write;

/// The texts of all mistakes, one per line, with `here` in place of files and lines.
#[track_caller]
fn check<const N: usize>(features: [FeatureBuilder; N], expected: &[&str]) {
    let graph = features.into_iter().fold(FeatureGraph::builder(), GraphBuilder::feature).build();
    check_errors(graph, expected);
}

#[track_caller]
fn check_errors(graph: Result<FeatureGraph, GraphErrors>, expected: &[&str]) {
    let texts: Vec<_> = match graph {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| without_lines(&error.to_string())).collect(),
    };
    assert_eq!(texts, expected, "\n{texts:#?}");
}

fn without_lines(text: &str) -> String {
    let mut parts = text.split(file!());
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.strip_prefix(':').unwrap_or(part);
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        write!(out, "here{rest}").expect("a String takes everything");
    }
    out
}

/// The same for features of a spec file.
#[track_caller]
fn check_json(features: &str, expected: &[&str]) {
    let file = SpecFile::parse(&format!(r#"{{"project": "p", "features": {features}}}"#));
    check_errors(FeatureGraph::build(file.expect("readable specs").features), expected);
}

fn feature(key: &str) -> FeatureBuilder {
    FeatureBuilder::new(key).id("id", Text)
}

fn graph<const N: usize>(features: [FeatureBuilder; N]) -> FeatureGraph {
    let graph = features.into_iter().fold(FeatureGraph::builder(), GraphBuilder::feature).build();
    graph.expect("a valid graph")
}

fn key(text: &str) -> FeatureKey {
    FeatureKey::new(text).expect("a key")
}

fn field_key(text: &str) -> FieldKey {
    FieldKey::new(text).expect("a key")
}

fn keys(definitions: &[&FeatureDefinition]) -> Vec<String> {
    definitions.iter().map(|d| d.spec.key.to_string()).collect()
}

#[test]
fn missing_upstream() {
    check(
        [feature("raw/video"), feature("crop").dep("raw/vidoe"), feature("faces").dep("x")],
        &[
            "`crop` (here) depends on `raw/vidoe`, which is not in the graph, the nearest is `raw/video`",
            "`faces` (here) depends on `x`, which is not in the graph",
        ],
    );
}

#[test]
fn cycle() {
    check(
        [
            feature("a").dep("b"),
            feature("b").dep("c"),
            feature("c").dep("a"),
            feature("d").dep("c"),
        ],
        &[
            "features depend on each other in a cycle: `a` (here) -> `b` (here) -> `c` (here) -> `a`",
        ],
    );
    check([feature("a").dep("a")], &["`a` (here) depends on itself"]);
}

#[test]
fn two_cycles() {
    check(
        [
            feature("a").dep("b"),
            feature("b").dep("a"),
            feature("c").dep("d"),
            feature("d").dep("c"),
        ],
        &[
            "features depend on each other in a cycle: `a` (here) -> `b` (here) -> `a`",
            "features depend on each other in a cycle: `c` (here) -> `d` (here) -> `c`",
        ],
    );
}

#[test]
fn duplicate_key() {
    check(
        [feature("a"), feature("b").dep("a"), feature("a")],
        &["the key `a` is used by 2 features: here, here; give each its own"],
    );
}

#[test]
fn table_collision() {
    check(
        [feature("a-b"), feature("a_b"), feature("a_/c"), feature("a/_c")],
        &[
            "the table `a___c` would belong to several features: `a/_c` (here), `a_/c` (here); rename all but one",
            "the table `a_b` would belong to several features: `a-b` (here), `a_b` (here); rename all but one",
        ],
    );
}

#[test]
fn system_table() {
    check(
        [feature("metaxy-system/events"), feature("metaxy/x")],
        &[
            "the key of `metaxy-system/events` (here) is reserved: tables that begin with `metaxy_system__` belong to Metaxy; rename the feature",
        ],
    );
}

#[test]
fn projects() {
    check(
        [
            feature("a").project("my__pkg"),
            feature("b"),
            feature("c").project("my__pkg").dep("b"),
            feature("d").project("vidéo").dep("nowhere"),
            feature("e").project(""),
        ],
        &[
            "`` is not a project: it is empty; it is that of `e` (here): name another with `project = \"..\"`, without which a struct has the name of its package",
            "`my__pkg` is not a project: `__` is reserved; use a single `_`; it is that of `a` (here), `c` (here): name another with `project = \"..\"`, without which a struct has the name of its package",
            "`vidéo` is not a project: only ASCII letters, digits, `_` and `-` are allowed; it is that of `d` (here): name another with `project = \"..\"`, without which a struct has the name of its package",
            "`d` (here) depends on `nowhere`, which is not in the graph",
        ],
    );
    let errors = FeatureGraph::builder().project("a b").feature(feature("a")).build();
    let errors: Vec<_> = errors.unwrap_err().into_iter().collect();
    assert!(matches!(&errors[..], [GraphError::Project { .. }]), "{errors:?}");
}

/// Cargo takes names of packages that are none of projects, and so does the store of another program.
#[test]
fn projects_that_nobody_has_written() {
    let spec = graph([feature("a")]).expect(&key("a")).expect("a feature").spec.clone();
    let of = |package| {
        let def = FeatureDef { package: Some(package), ..FeatureDef::broken("Video") };
        FeatureDefinition { spec: spec.clone(), columns: None, ..def.to_definition() }
    };
    assert!(FeatureGraph::build(vec![of("my-pkg")]).is_ok());
    let error = FeatureGraph::build(vec![of("my__pkg")]).unwrap_err();
    assert!(error.to_string().contains("name another with `project = "), "{error}");
    let recorded = FeatureDefinition { origin: Origin::Recorded, ..of("my__pkg") };
    assert!(FeatureGraph::build(vec![recorded]).is_ok());
}

#[test]
fn keys_and_code_versions() {
    check(
        [
            feature("A"),
            feature("b")
                .dep(DepBuilder::new("b//c").exclude(["x y"]))
                .field(FieldBuilder::new("Audio").renamed_from("-"))
                .field(FieldBuilder::new("x").code_version("1|2").dep("é", ["f"])),
        ],
        &[
            "`A` (here): `A` is not a key: only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed",
            "`b` (here): `Audio` is not a key: only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed",
            "`b` (here): `-` is not a key: a part may not start with `-`",
            "`b` (here): `é` is not a key: only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed",
            "`b` (here): `b//c` is not a key: a part is empty; parts are joined by a single `/`",
            "`b` (here): `x y` is not a key: only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed",
            "the code version `1|2` of field `x` of `b` (here) contains `|`, which separates the parts of a pre-image; use another character",
        ],
    );
}

#[test]
fn what_is_wrong_elsewhere_is_reported_with_bad_keys() {
    check(
        [
            feature("a").field(FieldBuilder::new("x").code_version("|")).dep("nowhere"),
            feature("b").field("B"),
            feature("c").dep("b").field(FieldBuilder::new("x").dep("b", ["y"])),
        ],
        &[
            "the code version `|` of field `x` of `a` (here) contains `|`, which separates the parts of a pre-image; use another character",
            "`b` (here): `B` is not a key: only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed",
            "`a` (here) depends on `nowhere`, which is not in the graph",
        ],
    );
}

#[test]
fn struct_keys() {
    check(
        [feature("a").field("b_c").field("b/c").field("d").field("d").field("d").field("b/c-d")],
        &[
            "`a` (here) has several fields `d`; give each its own name",
            "the fields `b_c`, `b/c` of `a` (here) are all stored as `b_c`; rename all but one",
        ],
    );
}

#[test]
fn ids() {
    check(
        [
            FeatureBuilder::new("a"),
            FeatureBuilder::new("b")
                .id("x", Float64)
                .id("y", ColumnType::List(Text))
                .id("z", Bytes),
        ],
        &[
            "`a` (here) has no id column; name at least one",
            "the id column `x` of `b` (here) is Float64; an id is an integer, a text, a date or a UUID",
            "the id column `y` of `b` (here) is List<Utf8>; an id is an integer, a text, a date or a UUID",
            "the id column `z` of `b` (here) is Binary; an id is an integer, a text, a date or a UUID",
        ],
    );
    check_json(
        r#"[{"key": "a", "id_columns": ["id", "x", "id"]}, {"key": "b", "id_columns": []}]"#,
        &[
            "`a` (spec file, features[0]) has several columns of one name: `id`, `id`; databases ignore case, so rename all but one",
            "`b` (spec file, features[1]) has no id column; name at least one",
        ],
    );
}

#[test]
fn id_columns_among_columns() {
    let mut definition = graph([feature("a").column("path", Text)]).iter().next().unwrap().clone();
    definition.spec.id_columns = vec!["pth".to_owned(), "id".to_owned()];
    definition.columns.as_mut().unwrap()[0].nullable = true;
    check_errors(
        FeatureGraph::build(vec![definition]),
        &[
            "the id column `pth` of `a` (here) is not among its columns, the nearest is `path`",
            "the id column `id` of `a` (here) may hold NULL, which identifies nothing; make it required",
        ],
    );
}

#[test]
fn column_names() {
    check(
        [feature("a")
            .column("Path", Text)
            .column("path", Text)
            .column("ID", Text)
            .column("x", Text)],
        &[
            "`a` (here) has several columns of one name: `id`, `ID`; databases ignore case, so rename all but one",
            "`a` (here) has several columns of one name: `Path`, `path`; databases ignore case, so rename all but one",
        ],
    );
    check(
        [feature("a").id("id", Text)],
        &[
            "`a` (here) has several columns of one name: `id`, `id`; databases ignore case, so rename all but one",
        ],
    );
}

#[test]
fn reserved_names() {
    let reserved = |name: &str, feature: &str| {
        format!(
            "the name `{name}` in `{feature}` (here) is reserved: names that begin with `metaxy_` belong to Metaxy; rename it"
        )
    };
    let expected = [
        reserved("metaxy_id", "a"),
        reserved("metaxy_x", "a"),
        reserved("metaxy_f", "a"),
        reserved("metaxy_y", "b"),
        reserved("metaxy_provenance", "b"),
    ];
    check(
        [
            feature("a").id("metaxy_id", Text).column("metaxy_x", Text).field("metaxy_f"),
            feature("b").dep("c").dep(
                DepBuilder::new("d").rename("x", "metaxy_y").select(["z", "metaxy_provenance"]),
            ),
            feature("c"),
            feature("d").column("x", Text).column("z", Text),
        ],
        &expected.each_ref().map(String::as_str),
    );
}

#[test]
fn renamed_fields() {
    let renamed = |field: &str, first: &str| FieldBuilder::new(field).renamed_from(first);
    check(
        [
            feature("a").field(renamed("x", "x")),
            feature("b").field(renamed("x", "y")).field("y"),
            feature("c").field(renamed("x", "y")).field(renamed("y", "x")),
            feature("d").field(renamed("x", "y")).field(renamed("y", "z")).field(renamed("z", "x")),
            feature("e").field(renamed("x", "w")).field(renamed("y", "w")),
            feature("f").field(renamed("x", "y")).field(renamed("y", "z")),
            feature("g").field(renamed("x", "y")).field(renamed("y", "z")).field(renamed("z", "y")),
            feature("h").field(renamed("x", "a/b")).field("a_b"),
        ],
        &[
            "field `x` of `a` (here) was renamed from its own name; remove `renamed_from`",
            "field `x` of `b` (here) was renamed from `y`, but another field has that name; a first name cannot be given to another field",
            "fields of `c` (here) have exchanged their names: `x` from `y` from `x`; stored rows would then belong to the wrong field, so give them new names",
            "fields of `d` (here) have exchanged their names: `x` from `y` from `z` from `x`; stored rows would then belong to the wrong field, so give them new names",
            "the fields `x`, `y` of `e` (here) were all renamed from `w`; only one of them can be",
            "field `x` of `f` (here) was renamed from `y`, but another field has that name; a first name cannot be given to another field",
            "field `x` of `g` (here) was renamed from `y`, but another field has that name; a first name cannot be given to another field",
            "fields of `g` (here) have exchanged their names: `y` from `z` from `y`; stored rows would then belong to the wrong field, so give them new names",
            "the fields `x`, `z` of `g` (here) were all renamed from `y`; only one of them can be",
            "the fields `x`, `a_b` of `h` (here) are all stored as `a_b`; rename all but one",
        ],
    );
}

#[test]
fn parents_of_fields() {
    check(
        [
            feature("a").field("audio").field("frames"),
            feature("b")
                .dep("a")
                .field(FieldBuilder::new("x").dep("a", ["audoi", "q"]).dep("c", ["y"])),
            feature("c").dep(DepBuilder::new("a").no_fields()).field("y"),
            feature("d").dep(DepBuilder::new("a").exclude(["audio", "frames"])).field("audio"),
            feature("e").dep(DepBuilder::new("a").specific("x", ["audio"])).field("x").field("y"),
            feature("f").field(FieldBuilder::new("x").dep("a", ["audio"])),
            feature("g").dep("a").field(FieldBuilder::new("x").dep("a", [""; 0])),
        ],
        &[
            "field `x` of `b` (here) depends on field `audoi` of `a` (here), which has no such field, the nearest is `audio`",
            "field `x` of `b` (here) depends on field `q` of `a` (here), which has no such field",
            "field `x` of `b` (here) depends on a field of `c`, which is not among the dependencies of the feature; add it to them",
            "field `y` of `c` (here) has no parents, since no mapping gives it one; name them in the deps of the field, or change a mapping",
            "field `audio` of `d` (here) has no parents, since no mapping gives it one; name them in the deps of the field, or change a mapping",
            "field `y` of `e` (here) has no parents, since no mapping gives it one; name them in the deps of the field, or change a mapping",
            "field `x` of `f` (here) depends on a field of `a`, which is not among the dependencies of the feature; add it to them",
            "field `x` of `g` (here) has no parents, since no mapping gives it one; name them in the deps of the field, or change a mapping",
        ],
    );
}

#[test]
fn duplicate_upstream() {
    check(
        [feature("a"), feature("b").dep("a").dep(DepBuilder::new("a").filter("x = 1")).dep("a")],
        &["`b` (here) depends on `a` (here) more than once; merge the dependencies into one"],
    );
}

#[test]
fn identity_ids() {
    let scene = || FeatureBuilder::new("scene").id("vid", Text).id("scene", Int64);
    check(
        [
            scene(),
            FeatureBuilder::new("a").id("vid", Text).dep("scene"),
            FeatureBuilder::new("b").id("id", Text).dep("scene"),
        ],
        &[
            "`a` (here) takes `scene` (here) one to one, but the upstream's id column `scene` is not among the ids of `a`; rename to one of these ids, or declare an aggregation",
            "`b` (here) takes `scene` (here) one to one, but the upstream's id columns `vid`, `scene` are not among the ids of `b`; rename to one of these ids, or declare an aggregation",
            "no required upstream gives the id column `id` of `b` (here); drop the column, rename one of an upstream's ids to it, or declare an expansion",
        ],
    );
    // Renamed, and met by an upstream of coarser records.
    check(
        [
            scene(),
            FeatureBuilder::new("vid").id("vid", Text),
            FeatureBuilder::new("a")
                .id("video", Text)
                .id("scene", Int64)
                .dep(DepBuilder::new("scene").rename("vid", "video"))
                .dep(DepBuilder::new("vid").rename("vid", "video")),
        ],
        &[],
    );
}

#[test]
fn ids_that_nobody_gives() {
    let video = || FeatureBuilder::new("vid").id("vid", Text);
    let frame = |dep: DepBuilder| {
        FeatureBuilder::new("frame").id("vid", Text).id("frame", Int64).field("x").dep(dep)
    };
    check(
        [video(), frame(DepBuilder::new("vid"))],
        &[
            "no required upstream gives the id column `frame` of `frame` (here); drop the column, rename one of an upstream's ids to it, or declare an expansion",
        ],
    );
    check([video(), frame(DepBuilder::new("vid").expansion(["vid"]))], &[]);
    check([video(), frame(DepBuilder::new("vid").expansion(["vid"]).optional())], &[]);

    let scene = || FeatureBuilder::new("scene").id("vid", Text).id("frame", Int64);
    // The required one gives both.
    check([video(), scene(), frame(DepBuilder::new("vid").optional()).dep("scene")], &[]);
    // The optional one does not count.
    check(
        [video(), scene(), frame(DepBuilder::new("scene").optional()).dep("vid")],
        &[
            "no required upstream gives the id column `frame` of `frame` (here); drop the column, rename one of an upstream's ids to it, or declare an expansion",
        ],
    );
    // Nor does an expansion add what an optional one decides: its record may not be there.
    let frames = || DepBuilder::new("vid").expansion(["vid"]);
    check(
        [video(), scene(), frame(frames()).dep(DepBuilder::new("scene").optional())],
        &[
            "no required upstream gives the id column `frame` of `frame` (here); drop the column, rename one of an upstream's ids to it, or declare an expansion",
        ],
    );
    check(
        [video(), scene(), frame(frames().optional()).dep(DepBuilder::new("scene").optional())],
        &[
            "all upstreams of `frame` (here) are optional, so each has to give every id column, but `vid` (here) does not give `frame`; make an upstream required, or rename a column to it",
        ],
    );
    check([video(), scene(), frame(frames()).dep("scene")], &[]);
    // Each can be the only one.
    check(
        [
            video(),
            scene(),
            frame(DepBuilder::new("vid").optional()).dep(DepBuilder::new("scene").optional()),
        ],
        &[
            "all upstreams of `frame` (here) are optional, so each has to give every id column, but `vid` (here) does not give `frame`; make an upstream required, or rename a column to it",
        ],
    );
}

#[test]
fn aggregation() {
    let reads =
        || FeatureBuilder::new("reads").id("sensor", Text).id("n", Int64).column("day", Text);
    let by = |ids: &[&str], dep: DepBuilder| {
        ids.iter().fold(FeatureBuilder::new("a"), |f, id| f.id(*id, Text)).dep(dep)
    };
    let reads_on = |on: &[&str]| DepBuilder::new("reads").aggregation(on.iter().copied());
    check([reads(), by(&["sensor"], reads_on(&["sensor"]))], &[]);
    check([reads(), by(&["day"], DepBuilder::new("reads").aggregation_on_ids())], &[]);
    check(
        [reads(), by(&["sensor"], reads_on(&["sensro"]))],
        &[
            "the aggregation of `reads` (here) in `a` (here) is on `sensro`, which is no id column of `a`, the nearest is `sensor`",
            "no required upstream gives the id column `sensor` of `a` (here); drop the column, rename one of an upstream's ids to it, or declare an expansion",
        ],
    );
    check(
        [reads(), by(&["device"], DepBuilder::new("reads").aggregation_on_ids())],
        &[
            "the aggregation of `reads` (here) in `a` (here) is on `device`, which is no column of the upstream",
        ],
    );
    check(
        [reads(), by(&["sensor"], reads_on(&["sensor", "sensor"]))],
        &[
            "the aggregation of `reads` (here) in `a` (here) has to name at least one column in `on`, and none of them twice",
        ],
    );
    check([reads(), by(&["device"], reads_on(&["device"]).rename("sensor", "device"))], &[]);
}

#[test]
fn expansion() {
    let video = || FeatureBuilder::new("vid").id("vid", Text).column("path", Text);
    let frames = |dep: DepBuilder| FeatureBuilder::new("f").id("vid", Text).id("n", Int64).dep(dep);
    check(
        [video(), frames(DepBuilder::new("vid").expansion(["path"]))],
        &["the expansion of `vid` (here) in `f` (here) is on `path`, which is no id column of `f`"],
    );
    check(
        [video(), frames(DepBuilder::new("vid").expansion([""; 0]))],
        &[
            "the expansion of `vid` (here) in `f` (here) has to name at least one column in `on`, and none of them twice",
        ],
    );
    check(
        [video(), frames(DepBuilder::new("vid").expansion(["n"]))],
        &[
            "the expansion of `vid` (here) in `f` (here) is on `n`, which is no column of the upstream",
        ],
    );
    check(
        [
            video(),
            FeatureBuilder::new("g").id("vid", Text).dep(DepBuilder::new("vid").expansion(["vid"])),
        ],
        &[
            "the expansion of `vid` (here) in `g` (here) adds no id column, so the children of a parent could not be told apart; add one, or take the upstream one to one",
        ],
    );
}

#[test]
fn id_types() {
    let number = |key: &str| FeatureBuilder::new(key).id("n", Int64);
    check(
        [
            number("a"),
            FeatureBuilder::new("b").id("n", Text).dep("a"),
            FeatureBuilder::new("c")
                .id("id", ScalarType::Int32)
                .dep(DepBuilder::new("a").rename("n", "id")),
            number("d").dep("a"),
        ],
        &[
            "the id column `n` of `b` (here) is Utf8, but Int64 in `a` (here); make the types equal",
            "the id column `id` of `c` (here) is Int32, but Int64 in `a` (here); make the types equal",
        ],
    );
}

#[test]
fn column_collision() {
    let with_path = |key: &str| feature(key).column("path", Text).column("size", Int64);
    check(
        [with_path("a"), with_path("b"), feature("c").dep("a").dep("b")],
        &[
            "the upstreams `a` (here), `b` (here) of `c` (here) all bring a column `path`; rename or leave out all but one, with `rename` or `select`",
            "the upstreams `a` (here), `b` (here) of `c` (here) all bring a column `size`; rename or leave out all but one, with `rename` or `select`",
        ],
    );
    check(
        [
            with_path("a"),
            with_path("b"),
            feature("c")
                .dep(DepBuilder::new("a").select(["size"]))
                .dep(DepBuilder::new("b").rename("size", "b_size")),
        ],
        &[],
    );
    // Only what is named is known of a spec file.
    check_json(
        r#"[{"key": "a", "id_columns": ["id"]}, {"key": "b", "id_columns": ["id"]},
            {"key": "c", "id_columns": ["id"], "deps": [
                {"feature": "a", "select": ["path"]}, {"feature": "b", "rename": {"name": "path"}}]}]"#,
        &[
            "the upstreams `a` (spec file, features[0]), `b` (spec file, features[1]) of `c` (spec file, features[2]) all bring a column `path`; rename or leave out all but one, with `rename` or `select`",
        ],
    );
    // An id of one that is a plain column of another.
    check(
        [
            FeatureBuilder::new("a").id("id", Text).id("n", Int64),
            feature("b").column("n", Int64),
            FeatureBuilder::new("c").id("id", Text).id("n", Int64).dep("a").dep("b"),
        ],
        &[
            "the upstreams `a` (here), `b` (here) of `c` (here) all bring a column `n`; rename or leave out all but one, with `rename` or `select`",
        ],
    );
}

#[test]
fn select_and_rename() {
    let video = || feature("video").column("path", Text).column("size", Int64);
    let child = |dep: DepBuilder| feature("child").dep(dep);
    check(
        [video(), child(DepBuilder::new("video").select(["pth"]).rename("sze", "bytes"))],
        &[
            "`child` (here) names the column `sze` of `video` (here) in `rename`, but there is no such column, the nearest is `size`",
            "`child` (here) names the column `pth` of `video` (here) in `select`, but there is no such column, the nearest is `path`",
        ],
    );
    check(
        [video(), child(DepBuilder::new("video").rename("path", "id"))],
        &[
            "`child` (here) renames `path` of `video` (here) to `id`, a name that another column of it has; choose a new one, or rename that one too",
        ],
    );
    check(
        [video(), child(DepBuilder::new("video").rename("path", "size"))],
        &[
            "`child` (here) renames `path` of `video` (here) to `size`, a name that another column of it has; choose a new one, or rename that one too",
        ],
    );
    check(
        [video(), child(DepBuilder::new("video").rename("path", "size").rename("size", "path"))],
        &[],
    );
    check(
        [video(), child(DepBuilder::new("video").rename("path", "p").rename("path", "q"))],
        &["`child` (here) renames `path` of `video` (here) more than once; keep one of them"],
    );
    check(
        [video(), child(DepBuilder::new("video").rename("path", "p").rename("size", "p"))],
        &[
            "`child` (here) renames `size` of `video` (here) to `p`, a name that another column of it has; choose a new one, or rename that one too",
        ],
    );
    check_json(
        r#"[{"key": "a", "id_columns": ["id"]},
            {"key": "b", "id_columns": ["id"], "deps": [
                {"feature": "a", "select": ["path", "x"], "rename": {"path": "video_path"}}]}]"#,
        &[
            "`b` (spec file, features[1]) selects `path` of `a` (spec file, features[0]), but renames it to `video_path`; select the new name",
        ],
    );
}

#[test]
fn errors_name_file_and_line() {
    let line = line!() + 1;
    let error = FeatureGraph::builder().feature(feature_here()).build().unwrap_err();
    let FeatureSite { key, origin } = match error.iter().next() {
        Some(GraphError::NoIdColumn { feature }) => feature,
        other => panic!("{other:?}"),
    };
    assert_eq!(key.as_str(), "a");
    let Origin::Source { file, line: declared } = origin else { panic!("{origin}") };
    assert_eq!(file, file!());
    assert!(*declared > line, "{declared}");
}

fn feature_here() -> FeatureBuilder {
    FeatureBuilder::new("a")
}

#[test]
fn several_mistakes_are_counted() {
    let errors = FeatureGraph::builder()
        .feature(FeatureBuilder::new("a"))
        .feature(FeatureBuilder::new("b"))
        .build()
        .unwrap_err();
    assert_eq!(
        without_lines(&errors.to_string()),
        "the feature graph has 2 mistakes:\n\
         - `a` (here) has no id column; name at least one\n\
         - `b` (here) has no id column; name at least one"
    );
}

#[test]
fn walks() {
    let graph = graph([
        feature("d").dep("b").dep("c"),
        feature("c").dep("a"),
        feature("b").dep("a"),
        feature("a"),
        feature("x"),
    ]);
    assert_eq!(graph.keys().map(FeatureKey::as_str).collect::<Vec<_>>(), ["a", "b", "c", "d", "x"]);
    assert_eq!(keys(&graph.upstreams(&key("d"))), ["b", "c"]);
    assert_eq!(keys(&graph.downstreams(&key("a"))), ["b", "c"]);
    assert_eq!(keys(&graph.all_upstreams(&key("d"))), ["a", "b", "c"]);
    assert_eq!(keys(&graph.all_downstreams(&key("a"))), ["b", "c", "d"]);
    assert_eq!(keys(&graph.upstreams(&key("nowhere"))), [""; 0]);
    let levels: Vec<_> = graph.levels().iter().map(|level| keys(level)).collect();
    assert_eq!(levels, [vec!["a", "x"], vec!["b", "c"], vec!["d"]]);
}

#[test]
fn unknown_feature() {
    let graph = graph([feature("raw/video")]);
    let error = graph.expect(&key("raw/vidoe")).unwrap_err().to_string();
    assert_eq!(error, "there is no feature `raw/vidoe` in the graph, the nearest is `raw/video`");
}

#[test]
fn an_empty_graph_is_a_graph() {
    let graph = FeatureGraph::build(Vec::new()).unwrap();
    assert!(graph.is_empty() && graph.levels().is_empty() && graph.project().is_none());
    assert_eq!(graph.versions(8).project("p"), "empty");
}

#[test]
fn what_if() {
    let graph = graph([
        feature("a").field("x").field("y"),
        feature("b").dep("a").field("x").field("y"),
        feature("c").dep("b").field("y"),
    ]);
    let changed = graph.with_code_version("a.x", "2").unwrap();
    let (before, after) = (graph.versions(16), changed.versions(16));
    let changed: Vec<_> = before
        .features()
        .flat_map(|(key, versions)| {
            let after = &after.feature(key).unwrap().fields;
            let changed =
                versions.fields.iter().filter(|(field, version)| after[*field] != **version);
            changed.map(|(field, _)| format!("{key}.{field}")).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(changed, ["a.x", "b.x"]);

    for (field, text) in [
        ("a.z", "there is no field `z` in the feature `a`"),
        ("q.x", "there is no feature `q` in the graph"),
        ("a", "`a` names no field; write feature and field with a dot, `example/video.audio`"),
    ] {
        let error = graph.with_code_version(field, "2").unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
    assert!(graph.with_code_version("a.x", "|").unwrap_err().to_string().contains("contains `|`"));
}

/// H7: a field that is renamed is hashed, mapped and recorded under its first name.
#[test]
fn a_rename_changes_no_version() {
    let chain = |field: FieldBuilder, name: &str| {
        graph([
            feature("a").field(field).field("frames"),
            feature("b").dep("a").field("audio").field(FieldBuilder::new("x").dep("a", [name])),
            feature("c").dep(DepBuilder::new("a").exclude([name])).field("y"),
            feature("d").dep(DepBuilder::new("a").specific("z", [name])).field("z"),
        ])
    };
    let before = chain(FieldBuilder::new("audio"), "audio");
    let after = chain(FieldBuilder::new("speech").renamed_from("audio"), "speech");
    for (key, versions) in before.versions(16).features() {
        let after_versions = after.versions(16);
        let after_versions = after_versions.feature(key).unwrap();
        assert_eq!(versions.feature_version, after_versions.feature_version, "{key}");
        assert_eq!(versions.feature_code_version, after_versions.feature_code_version, "{key}");
        assert_eq!(versions.spec_version, after_versions.spec_version, "{key}");
    }
    let parents = after.parents(&key("b"), &field_key("audio"));
    assert_eq!(parents.len(), 1);
    assert_eq!((parents[0].to_string(), parents[0].label()), ("a.speech".into(), "a.audio".into()));
    assert!(
        after.versions(16).feature(&key("a")).unwrap().fields.contains_key(&field_key("speech"))
    );
    let recorded = after.wire_spec(&key("b")).unwrap().canonical_json();
    assert!(!recorded.contains("speech"), "{recorded}");
}

#[test]
fn suffixes() {
    let parents = |upstream: &[&str], field: &str| {
        let above = upstream.iter().fold(feature("a"), |f, field| f.field(*field));
        let below = feature("b").dep(DepBuilder::new("a").by_suffix()).field(field);
        let graph = graph([above, below]);
        let parents = graph.parents(&key("b"), &field_key(field)).iter();
        parents.map(|parent| parent.field.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        parents(&["audio/english", "english", "french"], "english"),
        "audio/english english"
    );
    assert_eq!(parents(&["a/b/c", "b/c", "c", "a/c"], "b/c"), "a/b/c b/c");
    assert_eq!(parents(&["a/b", "b"], "x/b"), "a/b b");
    assert_eq!(parents(&["a/xb", "b"], "b"), "b");
}

/// Parents are sorted by label, bytes of the text, whatever the order of declaration.
#[test]
fn parents_are_sorted_by_label() {
    let graph = graph([
        feature("a/b").field("x"),
        feature("a-b").field("x"),
        feature("a").field("z/y").field("z0").field("z"),
        feature("d").dep("a/b").dep("a").dep("a-b").field(FieldBuilder::new("f").deps_all()),
    ]);
    let labels: Vec<_> =
        graph.parents(&key("d"), &field_key("f")).iter().map(ParentField::label).collect();
    assert_eq!(labels, ["a-b.x", "a.z", "a.z/y", "a.z0", "a/b.x"]);
}

#[test]
fn filters() {
    let video = || feature("video").column("size", Int64).column("path", Text);
    check(
        [
            video(),
            feature("a").dep(
                DepBuilder::new("video")
                    .rename("size", "bytes")
                    .filter("bytes > 3")
                    .filter("size > 3")
                    .filter("path > 3 AND bytes"),
            ),
        ],
        &[
            "`a` (here) has a filter on `video` (here) that cannot be used: there is no column `size`\n    \
             size > 3\n    ^^^^\n    \
             the columns are `id`, `bytes`, `path`; a text stands in single quotes",
            "`a` (here) has a filter on `video` (here) that cannot be used: `3` cannot be compared with \
             `path`, which is Utf8\n    path > 3 AND bytes\n           ^\n    write a text, as `'abc'`",
        ],
    );
    // The columns of a spec file are not known: its filters are read, and that is all.
    let file = |filter: &str| {
        format!(
            r#"[{{"key": "v", "id_columns": ["id"]}}, {{"key": "a", "id_columns": ["id"],
                "deps": [{{"feature": "v", "sql_filters": ["{filter}"]}}]}}]"#
        )
    };
    check_json(&file("whatever > 3"), &[]);
    check_json(
        &file("whatever +"),
        &[
            "`a` (spec file, features[1]) has a filter on `v` (spec file, features[0]) that cannot be \
           used: `+` is not part of the filter language\n    whatever +\n             ^\n    \
           a filter has no arithmetic; compute the constant before",
        ],
    );
}

#[test]
fn copies_that_decide() {
    let lints = |graph: FeatureGraph| -> Vec<String> {
        graph.lints().iter().map(|lint| without_lines(&lint.to_string())).collect()
    };
    let video = || feature("video").column("size", Int64).column("show", Text);
    let crop = || {
        let dep = DepBuilder::new("video").rename("show", "of").select(["size", "of"]);
        feature("crop").column("size", Int64).column("of", Text).column("own", Int64).dep(dep)
    };
    let copy = "`crop` (here) keeps a copy of the column";
    let rest =
        "no version sees that column, so the copy stays as it is when the original changes; let";
    let filtered = DepBuilder::new("crop").rename("size", "s").filter("s > 3 AND own > 3");
    let grouped = DepBuilder::new("crop").rename("of", "show").aggregation(["show"]);
    assert_eq!(
        lints(graph([
            video(),
            crop(),
            feature("filtered").dep(filtered),
            FeatureBuilder::new("grouped").id("show", Text).dep(grouped),
        ])),
        [
            format!(
                "{copy} `size` that it selects from `video` (here), and `filtered` (here) filters by \
                 it; {rest} `filtered` depend on `video` and take the column from there, or let a \
                 field of `crop` depend on what decides it"
            ),
            format!(
                "{copy} `of` that it selects from `video` (here), and `grouped` (here) groups by it; \
                 {rest} `grouped` depend on `video` and take the column from there, or let a field of \
                 `crop` depend on what decides it"
            ),
        ]
    );
    // Ids are no copies, what is not selected is its own, and the original may decide.
    let own = DepBuilder::new("crop").filter("id <> 'x' AND own > 3");
    let original = DepBuilder::new("video").filter("size > 3");
    assert_eq!(
        lints(graph([video(), crop(), feature("own").dep(own), feature("original").dep(original)])),
        [""; 0]
    );
}
