//! Rows in the binary format of `COPY`, there and back, without a server.

use super::decode::Decoder;
use super::encode::encode;
use super::oid::PgType;
use super::{Options, connect_options};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, LargeStringArray, ListArray, MapBuilder, RecordBatch,
    StringArray, StringBuilder, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{Int32Type, UInt64Type};
use std::sync::Arc;

/// What comes out when a column of a type with this number takes these values, chunk by chunk of so
/// many bytes.
fn through(oid: u32, values: ArrayRef, size: usize) -> ArrayRef {
    let ty = PgType::of(oid).expect("a type");
    let batch = RecordBatch::try_from_iter_with_nullable([("x", values, true)]).expect("a batch");
    let chunks = encode(&batch, &[ty]).expect("chunks");
    let mut decoder = Decoder::new(&[("x".to_owned(), ty)]);
    let bytes = chunks.concat();
    for chunk in bytes.chunks(size) {
        assert!(decoder.take(chunk).expect("rows").is_none());
    }
    let batch = decoder.finish().expect("the end").expect("rows");
    Arc::clone(batch.column(0))
}

fn assert_unchanged(oid: u32, values: impl arrow::array::Array + 'static) {
    let values: ArrayRef = Arc::new(values);
    for size in [1, 7, 1 << 20] {
        let back = through(oid, Arc::clone(&values), size);
        assert_eq!(&back, &values, "type {oid} in chunks of {size}");
    }
}

#[test]
fn values_of_every_type_come_back() {
    assert_unchanged(16, BooleanArray::from(vec![Some(true), None, Some(false)]));
    assert_unchanged(21, Int16Array::from(vec![Some(i16::MIN), None, Some(i16::MAX)]));
    assert_unchanged(23, Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)]));
    assert_unchanged(20, Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]));
    assert_unchanged(700, Float32Array::from(vec![Some(f32::NAN), None, Some(-0.0)]));
    assert_unchanged(701, Float64Array::from(vec![Some(f64::INFINITY), None, Some(1e-320)]));
    let numbers = [0, 1, 9_999, 10_000, 10_001, 100_000_000, u64::MAX, 12_345_678_901_234_567_890];
    assert_unchanged(1700, UInt64Array::from_iter_values(numbers));
    assert_unchanged(25, StringArray::from(vec![Some(""), None, Some("ü\u{1F980}'\"\\\n")]));
    assert_unchanged(17, BinaryArray::from_opt_vec(vec![Some(b""), None, Some(b"\0\xff")]));
    assert_unchanged(1082, Date32Array::from(vec![Some(-719_162), None, Some(2_932_896)]));
    let times = vec![Some(-62_135_596_800_000_000), None, Some(253_402_300_799_999_999)];
    assert_unchanged(1184, TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    let uuid = "6f1c1b9e-0b1c-4c86-9d83-d37f8bd1a2a6";
    assert_unchanged(2950, StringArray::from(vec![Some(uuid), None]));
}

#[test]
fn lists_and_maps_come_back() {
    let lists = [Some(vec![Some(1), None, Some(3)]), None, Some(vec![]), Some(vec![None])];
    assert_unchanged(1007, ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
    let lists = [Some(vec![Some(u64::MAX), None])];
    assert_unchanged(1231, ListArray::from_iter_primitive::<UInt64Type, _, _>(lists));
    let names = arrow::array::MapFieldNames {
        entry: "entries".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("a\"\\");
    maps.values().append_value("'\n\u{1F980}");
    maps.keys().append_value("b");
    maps.values().append_null();
    maps.append(true).expect("a map");
    maps.append(false).expect("a map");
    maps.append(true).expect("a map");
    assert_unchanged(3802, maps.finish());
}

#[test]
fn what_is_kept_in_another_type_is_converted() {
    let bytes: ArrayRef = Arc::new(Int8Array::from(vec![Some(-128), None]));
    let back = through(21, bytes, 64);
    assert_eq!(*back, Int16Array::from(vec![Some(-128), None]));
    let texts: ArrayRef = Arc::new(LargeStringArray::from(vec!["x"]));
    assert_eq!(*through(25, texts, 64), StringArray::from(vec!["x"]));
}

#[test]
fn what_postgres_cannot_store_is_refused() {
    let refusal = |oid, values: ArrayRef| {
        let batch = RecordBatch::try_from_iter([("x", values)]).expect("a batch");
        encode(&batch, &[PgType::of(oid).expect("a type")]).expect_err("refused").to_string()
    };
    let nul = refusal(25, Arc::new(StringArray::from(vec!["a\0b"])));
    assert!(nul.contains("NUL"), "{nul}");
    let uuid = refusal(2950, Arc::new(StringArray::from(vec!["abc"])));
    assert_eq!(uuid, "Postgres: `abc` is no UUID");
    let large = refusal(23, Arc::new(Int64Array::from(vec![i64::MAX])));
    assert!(large.contains("9223372036854775807"), "{large}");
}

#[test]
fn rows_that_end_in_the_middle_are_an_error() {
    let ty = PgType::of(25).expect("a type");
    let values: ArrayRef = Arc::new(StringArray::from(vec!["abc", "def"]));
    let batch = RecordBatch::try_from_iter([("x", values)]).expect("a batch");
    let bytes = encode(&batch, &[ty]).expect("chunks").concat();
    for end in 0..bytes.len() {
        let mut decoder = Decoder::new(&[("x".to_owned(), ty)]);
        decoder.take(&bytes[..end]).expect("rows");
        assert!(decoder.finish().is_err(), "{end} of {} bytes", bytes.len());
    }
}

#[test]
fn addresses_say_where_and_how() {
    let mut options = Options::default();
    let address =
        "postgres://ann:p%40ss@db.example:5433/my%20data?schema=a%22b&statement_timeout=30s";
    let connect = connect_options(address, &mut options, true).expect("an address");
    assert_eq!((connect.get_host(), connect.get_port()), ("db.example", 5433));
    assert_eq!((connect.get_username(), connect.get_database()), ("ann", Some("my data")));
    assert_eq!(options.schema.as_deref(), Some("a\"b"));
    assert_eq!(options.statement_timeout.as_deref(), Some("30s"));
    let socket = "postgresql:///data?host=/run/here&user=ann";
    let connect = connect_options(socket, &mut Options::default(), true).expect("an address");
    assert_eq!(
        connect.get_socket().map(|path| path.display().to_string()),
        Some("/run/here".into())
    );
    assert_eq!(connect.get_database(), Some("data"));
    let error = connect_options("postgres://ann:secret@db:x/", &mut Options::default(), true);
    let error = error.expect_err("no port").to_string();
    assert!(
        error.contains("postgres://user:password@host") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn without_encryption_an_address_that_asks_for_it_is_refused() {
    let of = |mode: &str| {
        let address = format!("postgres://ann:secret@db/x?sslmode={mode}");
        connect_options(&address, &mut Options::default(), false)
    };
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = of(mode).expect_err("it cannot be").to_string();
        assert!(error.contains("without the cargo feature `tls`"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    for mode in ["disable", "allow", "prefer"] {
        of(mode).expect(mode);
    }
}
