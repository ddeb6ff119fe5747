//! What the derives make of a struct: its definition, and its rows to and from Arrow.

use metaxy::arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use metaxy::arrow::datatypes::{DataType, Field};
use metaxy::prelude::*;
use metaxy::{ColumnType, FeatureKey, IdValue, RowError, ScalarType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Raw videos, as ingested.
///
/// From every camera.
#[derive(Feature, Clone, Debug, PartialEq)]
#[metaxy(key = "example/video", metadata(owner = "media", cost = -1.5, tags = ["a", "b"], n = 3, on = true, team(name = "x")))]
struct Video {
    #[metaxy(id)]
    video_id: String,
    /// Where the file is.
    path: String,
    #[metaxy(field, code_version = "1")]
    audio: DataVersion,
    #[metaxy(field, key = "video/frames", code_version = "1")]
    frames: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "example/crop", project = "other", deps(Video))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
    #[metaxy(field)]
    frames: DataVersion,
}

#[derive(Feature)]
#[metaxy(
    key = "example/face_detection",
    deps(
        Crop(optional, fields = by_suffix, exclude(audio)),
        Video(select(path), rename(path = "source"), filter = "source <> ''"),
    )
)]
struct FaceDetection {
    num_faces: u32,
    #[metaxy(field, code_version = "1", deps(Crop::frames, Video::audio, Video::frames))]
    faces: DataVersion,
    #[metaxy(field, deps(Video, Video::audio))]
    whole: DataVersion,
    #[metaxy(field, deps(all), renamed_from = "everything_before")]
    everything: DataVersion,
    #[metaxy(id)]
    video_id: String,
}

#[derive(Feature)]
#[metaxy(
    key = "example/frame",
    deps(
        Video(lineage = expansion(on(video_id)), fields = specific(image(frames), sound(audio))),
    )
)]
struct Frame {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(id, name = "frame_number")]
    number: u64,
    #[metaxy(field)]
    image: DataVersion,
    #[metaxy(field)]
    sound: DataVersion,
}

#[derive(Feature)]
#[metaxy(
    key = "example/summary",
    deps(Frame(lineage = aggregation(on(video_id)), fields = all), Crop(fields = none, lineage = identity))
)]
struct Summary {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    text: DataVersion,
}

#[derive(Column, Clone, Debug, PartialEq)]
struct Meters(f64);

#[derive(Column, Clone, Debug, PartialEq)]
struct SensorId {
    number: i32,
}

#[derive(Column, Clone, Debug, PartialEq)]
#[metaxy(rename_all = "kebab-case")]
enum Quality {
    VeryGood,
    Good,
    #[metaxy(name = "not good")]
    Bad,
}

#[derive(Feature, Clone, Debug, PartialEq)]
#[metaxy(key = "sensor")]
struct Sensor {
    #[metaxy(id)]
    id: SensorId,
    distance: Meters,
    last: Option<Meters>,
    quality: Quality,
    qualities: Vec<Quality>,
    blob: Vec<u8>,
    r#type: Option<Vec<String>>,
    labels: BTreeMap<String, String>,
    #[metaxy(field)]
    r#fn: DataVersion,
}

#[derive(Row, Debug, PartialEq)]
struct Input {
    #[metaxy(name = "video_id")]
    id: String,
    path: Option<String>,
}

#[test]
fn definition_has_everything_that_was_declared() {
    let definition = Video::definition();
    assert_eq!(definition.spec.key, FeatureKey::new("example/video").unwrap());
    assert_eq!(
        definition.spec.description.as_deref(),
        Some("Raw videos, as ingested.\n\nFrom every camera.")
    );
    assert_eq!(definition.project, "metaxy-tests");
    assert_eq!(Crop::definition().project, "other");
    assert_eq!(definition.type_path, "derive::Video");
    assert!(definition.origin.to_string().ends_with("tests/derive.rs:13"), "{}", definition.origin);
    insta::assert_debug_snapshot!("video_spec", definition.spec);
    insta::assert_snapshot!("video_schema", format!("{:#}", definition.schema));
    insta::assert_debug_snapshot!("face_detection_spec", FaceDetection::definition().spec);
    insta::assert_debug_snapshot!("frame_spec", Frame::definition().spec);
    insta::assert_debug_snapshot!("summary_deps", Summary::definition().spec.deps);
    insta::assert_debug_snapshot!("sensor_columns", Sensor::definition().columns);
    insta::assert_snapshot!("sensor_schema", format!("{:#}", Sensor::definition().schema));
}

#[test]
fn handles_name_fields_and_columns() {
    assert_eq!(Video::FIELDS.frames.key(), "video/frames");
    assert_eq!(Frame::COLUMNS.number.name(), "frame_number");
    assert_eq!(Sensor::COLUMNS.r#type.name(), "type");
    assert_eq!(format!("{:?}", Sensor::FIELDS.r#fn), "FieldRef(`fn`)");
    // Declared and not stored anywhere: a handle may go unused.
    let _ = (Crop::FIELDS.audio, Summary::COLUMNS.video_id, FaceDetection::COLUMNS.num_faces);
}

fn videos() -> Vec<Video> {
    let video = |id: &str, audio| Video {
        video_id: id.to_owned(),
        path: format!("{id}.mp4"),
        audio,
        frames: DataVersion::default(),
    };
    vec![video("v1", DataVersion::of("sound")), video("v2", DataVersion::constant())]
}

#[test]
fn arrays_come_ids_first() {
    let number = |faces| FaceDetection {
        num_faces: faces,
        faces: DataVersion::default(),
        whole: DataVersion::default(),
        everything: DataVersion::new("3"),
        video_id: "v".to_owned(),
    };
    let arrays = FaceDetection::encode(&[number(1), number(2)]);
    let types: Vec<_> = arrays.iter().map(|array| array.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::UInt32]);
    assert_eq!(FaceDetection::columns()[0].name, "video_id");
    assert_eq!(number(1).ids(), [IdValue::Text("v".to_owned())]);
    assert_eq!(number(1).data_versions()[2].as_str(), Some("3"));
}

/// As a store hands rows out: the columns, and the data versions in one map.
fn batch(rows: &[impl Feature], versions: ArrayRef) -> RecordBatch {
    fn encode<F: Feature>(rows: &[F]) -> Vec<(String, ArrayRef)> {
        F::columns().into_iter().map(|column| column.name).zip(F::encode(rows)).collect()
    }
    let mut columns = encode(rows);
    columns.push(("metaxy_data_version_by_field".to_owned(), versions));
    // Order and other columns do not matter.
    columns.push(("other".to_owned(), Arc::new(Int64Array::from(vec![1; rows.len()]))));
    columns.reverse();
    RecordBatch::try_from_iter(columns).unwrap()
}

fn maps(entries: &[&[(&str, &str)]]) -> ArrayRef {
    let maps: Vec<BTreeMap<String, String>> = entries
        .iter()
        .map(|row| row.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect())
        .collect();
    BTreeMap::encode(&mut maps.iter().map(Some))
}

#[test]
fn rows_come_back() {
    let versions = maps(&[&[("audio", "a1"), ("video_frames", "f1"), ("gone", "x")], &[]]);
    let read = Video::decode(&batch(&videos(), versions)).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].path, "v1.mp4");
    assert_eq!(read[0].audio.as_str(), Some("a1"));
    assert_eq!(read[0].frames.as_str(), Some("f1"));
    assert_eq!(read[1].audio, DataVersion::default());
    // What was stored is not what the caller gave, even if it reads the same.
    assert_ne!(read[0].audio, DataVersion::new("a1"));
}

#[test]
fn data_versions_may_be_a_struct() {
    let field = |name| Arc::new(Field::new(name, DataType::Utf8, true));
    let column =
        |values: [Option<&str>; 2]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let versions = StructArray::from(vec![
        (field("audio"), column([Some("a1"), None])),
        (field("video_frames"), column([Some("f1"), Some("f2")])),
    ]);
    let read = Video::decode(&batch(&videos(), Arc::new(versions))).unwrap();
    assert_eq!(read[1].audio.as_str(), None);
    assert_eq!(read[1].frames.as_str(), Some("f2"));
}

#[test]
fn every_kind_of_column_comes_back() {
    let sensor = |number, last| Sensor {
        id: SensorId { number },
        distance: Meters(0.5),
        last,
        quality: Quality::Bad,
        qualities: vec![Quality::VeryGood, Quality::Good],
        blob: vec![0, 255],
        r#type: (number == 1).then(|| vec!["x".to_owned(), String::new()]),
        labels: [("k".to_owned(), "v".to_owned())].into(),
        r#fn: DataVersion::default(),
    };
    let sensors = vec![sensor(1, Some(Meters(2.0))), sensor(-2, None)];
    let batch = batch(&sensors, maps(&[&[], &[]]));
    assert_eq!(Sensor::decode(&batch).unwrap(), sensors);
    for column in Sensor::columns() {
        assert_eq!(
            *batch.column_by_name(&column.name).unwrap().data_type(),
            column.ty.to_arrow(),
            "{}",
            column.name
        );
    }
    let texts = batch.column_by_name("quality").unwrap();
    assert_eq!(String::decode(texts).unwrap()[0].as_deref(), Some("not good"));
    assert_eq!(sensors[1].ids(), [IdValue::Int(-2)]);
}

#[test]
fn rows_are_read_by_name() {
    let batch = batch(&videos(), maps(&[&[], &[]]));
    let rows = Input::decode(&batch).unwrap();
    assert_eq!(rows[1], Input { id: "v2".to_owned(), path: Some("v2.mp4".to_owned()) });
    let columns = Input::columns();
    assert_eq!(columns[1].ty, ColumnType::Scalar(ScalarType::Text));
    assert_eq!((columns[0].nullable, columns[1].nullable), (false, true));
}

#[test]
fn errors_name_row_type_and_column() {
    fn message(error: &RowError) -> String {
        let source = std::error::Error::source(error).expect("a reason");
        format!("{error}: {source}")
    }
    let read = |name: &str, array: ArrayRef| {
        let batch = RecordBatch::try_from_iter([(name, array)]).unwrap();
        message(&Input::decode(&batch).unwrap_err())
    };
    let texts =
        |values: [Option<&str>; 2]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let ids = || texts([Some("a"), Some("b")]);
    assert_eq!(
        read("id", ids()),
        "column `video_id` of `Input` cannot be read: there is no such column among `id`"
    );
    assert_eq!(
        read("video_id", Arc::new(Int64Array::from(vec![1]))),
        "column `video_id` of `Input` cannot be read: expected Utf8, found Int64"
    );
    assert_eq!(
        read("video_id", texts([Some("a"), None])),
        "column `video_id` of `Input` cannot be read: NULL in row 1; only an `Option` can hold it"
    );
    let quality = texts([Some("good"), Some("better")]);
    assert_eq!(
        Quality::decode(&quality).unwrap_err().to_string(),
        "row 1: `better` is none of `very-good`, `good`, `not good`"
    );
}
