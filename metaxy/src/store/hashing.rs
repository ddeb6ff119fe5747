//! Texts -> hashes, as the wire format says (section 2.2), without a database.

use arrow::array::{StringArray, StringBuilder};
use md5::{Digest, Md5};
use metaxy_sql::HashAlgorithm;
use metaxy_sql::plan::Hash;
use std::fmt::Write;

/// How a store hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashing {
    pub(crate) algorithm: HashAlgorithm,
    /// The number of leading characters that are kept.
    pub(crate) length: usize,
}

impl From<Hash> for Hashing {
    fn from(hash: Hash) -> Self {
        Self {
            algorithm: hash.algorithm,
            length: usize::try_from(hash.length).unwrap_or(usize::MAX),
        }
    }
}

impl Hashing {
    /// The hash of a text, cut.
    pub(crate) fn of(self, text: &str) -> String {
        let mut hash = String::new();
        self.write(text, &mut hash);
        hash
    }

    /// Puts the hash of a text, cut, in the place of another one.
    fn write(self, text: &str, hash: &mut String) {
        let bytes = text.as_bytes();
        hash.clear();
        let written = match self.algorithm {
            HashAlgorithm::XxHash64 => write!(hash, "{}", xxhash_rust::xxh64::xxh64(bytes, 0)),
            HashAlgorithm::XxHash32 => write!(hash, "{}", xxhash_rust::xxh32::xxh32(bytes, 0)),
            HashAlgorithm::Xxh3_64 => write!(hash, "{}", xxhash_rust::xxh3::xxh3_64(bytes)),
            HashAlgorithm::Md5 => write!(hash, "{}", hex::encode(Md5::digest(bytes))),
            HashAlgorithm::Sha256 => write!(hash, "{}", hex::encode(sha2::Sha256::digest(bytes))),
            other => unreachable!("`{other}` has no function here"),
        };
        written.expect("a text takes what is written to it");
        hash.truncate(self.length);
    }

    /// The hash over the values of a by-field column: values alone, joined by `|`, in the order of
    /// their keys (section 2.1).
    pub(crate) fn of_values<'a>(
        self,
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> String {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable();
        let values: Vec<_> = values.into_iter().map(|(_, value)| value).collect();
        self.of(&values.join("|"))
    }

    /// The same for many rows, by field and row; nothing where a value is missing.
    pub(crate) fn of_rows<'a>(
        self,
        names: &[String],
        n_rows: usize,
        value: impl Fn(usize, usize) -> Option<&'a str>,
    ) -> StringArray {
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|k| &names[*k]);
        let mut hashes = StringBuilder::with_capacity(n_rows, n_rows * self.length.min(20));
        let (mut joined, mut hash) = (String::new(), String::new());
        for row in 0..n_rows {
            joined.clear();
            let mut is_whole = true;
            for (i, k) in order.iter().enumerate() {
                if i > 0 {
                    joined.push('|');
                }
                match value(*k, row) {
                    Some(value) => joined.push_str(value),
                    None => is_whole = false,
                }
            }
            if is_whole {
                self.write(&joined, &mut hash);
                hashes.append_value(&hash);
            } else {
                hashes.append_null();
            }
        }
        hashes.finish()
    }
}

/// The number of the n-th commit, from 0, of a write that the caller has a name for: the first 15
/// hexadecimal digits of the MD5 of `name/n`.
pub(crate) fn write_token(name: &str, n: u64) -> i64 {
    let digest = Md5::digest(format!("{name}/{n}"));
    let number = digest.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    i64::try_from(number >> 4).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_the_wire_format() {
        let of = |algorithm, length| Hashing { algorithm, length }.of("hello");
        assert_eq!(of(HashAlgorithm::XxHash64, 99), "2794345569481354659");
        assert_eq!(of(HashAlgorithm::XxHash32, 99), "4211111929");
        assert_eq!(of(HashAlgorithm::Md5, 16), "5d41402abc4b2a76");
        assert_eq!(of(HashAlgorithm::Sha256, 8), "2cf24dba");
        let hashing = Hashing { algorithm: HashAlgorithm::Md5, length: 99 };
        assert_eq!(hashing.of_values([("b", "2"), ("a", "1")]), hashing.of("1|2"));
    }

    #[test]
    fn a_write_has_the_same_number_everywhere() {
        // printf 'run/0' | md5sum
        assert_eq!(write_token("run", 0), 0x4bb_f6be_276f_e752);
        assert_ne!(write_token("run", 0), write_token("run", 1));
    }
}
