//! Values to arrays and back, and the arrays of engines that are not exactly ours.

use super::*;
use arrow::array::{
    BinaryViewArray, DictionaryArray, Int8Array, Int64Array, LargeListArray, LargeStringArray,
    StringViewArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use std::fmt::Debug;

/// Encodes with a NULL at the end, compares the type with the type table, and decodes.
fn round_trip<T: Column + Clone + Debug + PartialEq>(values: &[T]) -> ArrayRef {
    let array = T::encode(&mut values.iter().map(Some).chain([None]));
    assert_eq!(*array.data_type(), T::TYPE.to_arrow());
    let decoded = T::decode(&array).expect("what was encoded");
    // An `Option` has a value for NULL, others do not.
    let last = T::decode(&array.slice(values.len(), 1)).expect("a NULL").remove(0);
    let expected: Vec<_> = values.iter().cloned().map(Some).chain([last]).collect();
    assert_eq!(decoded, expected);
    // Also from the middle of an array.
    if values.len() > 1 {
        let tail = T::decode(&array.slice(1, values.len() - 1)).expect("a part of it");
        assert_eq!(tail, values[1..].iter().cloned().map(Some).collect::<Vec<_>>());
    }
    array
}

#[test]
fn scalars_come_back() {
    round_trip(&[true, false]);
    round_trip(&[i8::MIN, 0, i8::MAX]);
    round_trip(&[i16::MIN, i16::MAX]);
    round_trip(&[i32::MIN, i32::MAX]);
    round_trip(&[i64::MIN, i64::MAX]);
    round_trip(&[u8::MAX]);
    round_trip(&[u16::MAX]);
    round_trip(&[u32::MAX]);
    round_trip(&[u64::MAX]);
    round_trip(&[0.5_f32, f32::INFINITY]);
    round_trip(&[f64::MIN_POSITIVE, -0.0]);
    round_trip(&[String::new(), "é\0|".to_owned()]);
    round_trip(&[Some(1_u8), None, Some(2)]);
}

#[test]
fn bytes_are_no_list() {
    let array = round_trip(&[vec![0_u8, 255], vec![]]);
    assert_eq!(*array.data_type(), DataType::Binary);
    assert_eq!(<Vec<Vec<u8>>>::TYPE, ColumnType::List(ScalarType::Bytes));
    round_trip(&[vec![vec![1_u8], vec![]], vec![]]);
}

#[test]
fn lists_and_maps_come_back() {
    round_trip(&[vec![1_i64, 2], vec![], vec![3]]);
    round_trip(&[vec!["a".to_owned()], vec![]]);
    round_trip(&[Some(vec![true]), None]);
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    round_trip(&[map(&[("a", "1"), ("b", "")]), map(&[]), map(&[("a", "2")])]);
}

#[cfg(feature = "chrono")]
#[test]
fn times_come_back() {
    use arrow::array::{TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray};
    use chrono::{DateTime, NaiveDate, Utc};
    let time = |micros| DateTime::<Utc>::from_timestamp_micros(micros).expect("in range");
    round_trip(&[time(-1), time(1_700_000_000_000_001)]);
    round_trip(&[NaiveDate::from_ymd_opt(1969, 12, 31).expect("a day")]);
    round_trip(&[vec![NaiveDate::default()], vec![]]);
    // The clock says more than is kept.
    let finer = DateTime::<Utc>::from_timestamp_nanos(-1);
    assert_eq!(
        DateTime::decode(&DateTime::encode(&mut [Some(&finer)].into_iter())),
        Ok(vec![Some(time(-1))])
    );
    // Other units, with a time zone and without.
    let nanos = TimestampNanosecondArray::from(vec![Some(-1), None]).with_timezone("+01:00");
    assert_eq!(DateTime::decode(&nanos), Ok(vec![Some(time(-1)), None]));
    let millis = TimestampMillisecondArray::from(vec![2]);
    assert_eq!(DateTime::decode(&millis), Ok(vec![Some(time(2_000))]));
    let error = DateTime::decode(&TimestampSecondArray::from(vec![0, i64::MAX])).unwrap_err();
    assert_eq!(error.to_string(), "row 1: the time is out of range at microseconds");
}

#[cfg(feature = "uuid")]
#[test]
fn uuids_come_back() {
    use arrow::array::FixedSizeBinaryArray;
    use uuid::Uuid;
    let uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    round_trip(&[uuid, Uuid::nil()]);
    let bytes = FixedSizeBinaryArray::try_from_iter([*uuid.as_bytes()].into_iter()).unwrap();
    assert_eq!(Uuid::decode(&bytes), Ok(vec![Some(uuid)]));
    assert_eq!(uuid.to_id().to_string(), uuid.to_string());
    let error = Uuid::decode(&StringArray::from(vec!["x"])).unwrap_err().to_string();
    assert!(error.starts_with("row 0: `x` is no UUID: "), "{error}");
}

#[cfg(feature = "json")]
#[test]
fn json_comes_back() {
    use serde_json::{Value, json};
    round_trip(&[json!({ "a": [1, null] }), json!(null)]);
    let error = Value::decode(&StringArray::from(vec!["{"])).unwrap_err().to_string();
    assert!(error.starts_with("row 0: no JSON: "), "{error}");
}

#[test]
fn engines_choose_their_own_widths() {
    let wide = Int64Array::from(vec![Some(1), None, Some(127)]);
    assert_eq!(i8::decode(&wide), Ok(vec![Some(1), None, Some(127)]));
    assert_eq!(u64::decode(&wide), Ok(vec![Some(1), None, Some(127)]));
    let narrow = Int8Array::from(vec![-1]);
    assert_eq!(i64::decode(&narrow), Ok(vec![Some(-1)]));
    let texts = [
        Arc::new(LargeStringArray::from(vec!["a"])) as ArrayRef,
        Arc::new(StringViewArray::from(vec!["a"])),
        Arc::new(BinaryViewArray::from(vec![b"a".as_slice()])),
        Arc::new(vec!["a"].into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    for text in texts {
        assert_eq!(String::decode(&text), Ok(vec![Some("a".to_owned())]), "{}", text.data_type());
    }
    let lists = LargeListArray::from_iter_primitive::<types::Int16Type, _, _>([
        Some(vec![Some(1), Some(2)]),
        None,
    ]);
    assert_eq!(<Vec<i64>>::decode(&lists), Ok(vec![Some(vec![1, 2]), None]));
}

#[test]
fn what_does_not_fit_is_an_error_with_its_row() {
    let error = |error: DecodeError| error.to_string();
    let wide = Int64Array::from(vec![Some(1), None, Some(128)]);
    assert_eq!(
        i8::decode(&wide).map_err(error),
        Err("row 2: the value of type Int64 does not fit into Int8".to_owned())
    );
    assert_eq!(bool::decode(&wide).map_err(error), Err("expected Boolean, found Int64".to_owned()));
    let lists = ListArray::from_iter_primitive::<types::UInt64Type, _, _>([
        Some(vec![Some(1)]),
        Some(vec![]),
        Some(vec![Some(2), Some(u64::MAX)]),
    ]);
    assert_eq!(
        <Vec<i64>>::decode(&lists).map_err(error),
        Err("row 2: the value of type UInt64 does not fit into Int64".to_owned())
    );
    let holes = ListArray::from_iter_primitive::<types::Int64Type, _, _>([
        Some(vec![]),
        Some(vec![Some(1), None]),
    ]);
    assert_eq!(
        <Vec<i64>>::decode(&holes).map_err(error),
        Err("NULL in row 1; only an `Option` can hold it".to_owned())
    );
    let bytes = BinaryArray::from(vec![b"ok".as_slice(), b"\xff"]);
    assert_eq!(
        String::decode(&bytes).map_err(error),
        Err("row 1: the value of type Binary does not fit into Utf8".to_owned())
    );
    assert!(<Vec<u8>>::decode(&UInt64Array::from(vec![1])).is_err());
    assert!(<BTreeMap<String, String>>::decode(&wide).is_err());
}

#[test]
fn ids_can_be_compared_and_shown() {
    assert_eq!((-1_i8).to_id(), IdValue::Int(-1));
    assert_eq!(u64::MAX.to_id().to_string(), "18446744073709551615");
    assert_eq!("a".to_owned().to_id().to_string(), "a");
    assert_eq!(IdValue::Date(-1).to_string(), "1969-12-31");
    assert!(IdValue::Int(2) < IdValue::Int(10));
    let bytes = std::array::from_fn(|i| u8::try_from(i).expect("16 of them"));
    assert_eq!(IdValue::Uuid(bytes).to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
}
