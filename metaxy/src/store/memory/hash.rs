//! Hashes over by-field maps and over ids.

use super::rows::ByField;
use crate::store::hashing::Hashing;
use md5::{Digest, Md5};
use metaxy_sql::plan::{Hash, ids_text};

/// The hash of a text, cut to the length of the store.
pub(super) fn hash(how: Hash, text: &str) -> String {
    Hashing::from(how).of(text)
}

/// The hash over a by-field map: its values alone, by the order of their keys (wire format, section
/// 2.1); none if one of these fields has no value.
pub(super) fn hash_over(how: Hash, by_field: &ByField, fields: &[String]) -> Option<String> {
    let mut fields: Vec<&String> = fields.iter().collect();
    fields.sort();
    let values: Option<Vec<&str>> =
        fields.into_iter().map(|field| by_field.get(field).map(String::as_str)).collect();
    Some(hash(how, &values?.join("|")))
}

/// The MD5 of the ids of a record: what is kept of one that was removed.
pub(super) fn ids_md5<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    hex::encode(Md5::digest(ids_text(ids).as_bytes()))
}

/// The number that the first 15 digits of an MD5 are: it fits into 60 bits.
pub(super) fn number(md5: &str) -> u64 {
    u64::from_str_radix(md5.get(..15).unwrap_or_default(), 16).unwrap_or_default()
}
