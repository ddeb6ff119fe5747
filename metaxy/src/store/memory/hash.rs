//! Texts -> hashes, in the wire format (section 2.2).

use super::rows::ByField;
use md5::Md5;
use metaxy_sql::HashAlgorithm;
use metaxy_sql::plan::{Hash, ids_text};
use sha2::{Digest, Sha256};
use xxhash_rust::{xxh3::xxh3_64, xxh32::xxh32, xxh64::xxh64};

/// The hash of a text, cut to the length of the store.
pub(super) fn hash(how: Hash, text: &str) -> String {
    let bytes = text.as_bytes();
    let mut hash = match how.algorithm {
        HashAlgorithm::XxHash64 => xxh64(bytes, 0).to_string(),
        HashAlgorithm::XxHash32 => xxh32(bytes, 0).to_string(),
        HashAlgorithm::Xxh3_64 => xxh3_64(bytes).to_string(),
        HashAlgorithm::Md5 => hex::encode(Md5::digest(bytes)),
        // SHA-256: there is no other, which only `metaxy-sql` can know.
        _ => hex::encode(Sha256::digest(bytes)),
    };
    hash.truncate(how.length as usize);
    hash
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

/// The write token of the n-th commit of a write that the caller has named.
pub(super) fn named_token(name: &str, commit: u64) -> i64 {
    let digest = hex::encode(Md5::digest(format!("{name}/{commit}").as_bytes()));
    i64::try_from(number(&digest)).unwrap_or_default()
}
