//! [`FeatureKey`] and [`FieldKey`]: validated once, then only passed on.
//!
//! The grammar is the one of the wire format (section 6 of its reference): parts joined by `/`; a
//! part is lower-case ASCII letters, digits, `_` and `-`, without `__`; the first part starts with a
//! letter or `_`, the others with a letter, a digit or `_`.

use serde::{Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a key: {reason}")]
pub struct KeyError {
    text: String,
    reason: &'static str,
}

/// Checks a text against the grammar; usable in constants, so that the derive and the runtime agree.
pub(crate) const fn check(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    let mut part_start = 0;
    let mut i = 0;
    loop {
        if i == bytes.len() || bytes[i] == b'/' {
            if i == part_start {
                return Err("a part is empty; parts are joined by a single `/`");
            }
            if i == bytes.len() {
                return Ok(());
            }
            part_start = i + 1;
        } else {
            let byte = bytes[i];
            match byte {
                b'a'..=b'z' => {}
                b'_' => {
                    if i > part_start && bytes[i - 1] == b'_' {
                        return Err("`__` is reserved; use a single `_`");
                    }
                }
                b'0'..=b'9' => {
                    if i == 0 {
                        return Err("the first part has to start with a lower-case letter or `_`");
                    }
                }
                b'-' => {
                    if i == part_start {
                        return Err("a part may not start with `-`");
                    }
                }
                _ => {
                    return Err(
                        "only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed",
                    );
                }
            }
        }
        i += 1;
    }
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the grammar.
            ///
            /// # Errors
            /// [`KeyError`] with the reason.
            pub fn new(text: impl AsRef<str>) -> Result<Self, KeyError> {
                let text = text.as_ref();
                match check(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(reason) => Err(KeyError { text: text.to_owned(), reason }),
                }
            }

            /// The key as text, parts joined by `/`.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The parts; at least one.
            pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
                self.0.split('/')
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0)
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// By parts, as the wire format sorts features of a project: `a/b` before `a-b`.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.parts().cmp(other.parts())
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
    };
}

key! {
    /// The name of a feature, `example/video`.
    FeatureKey
}

key! {
    /// The name of a field within its feature, `audio` or `audio/english`.
    FieldKey
}

impl FeatureKey {
    /// The name of the feature's table: parts joined by `__`, `-` replaced by `_`
    /// (wire format, section 3.2).
    #[must_use]
    pub fn table_name(&self) -> String {
        self.0.replace('/', "__").replace('-', "_")
    }
}

impl FieldKey {
    /// The key of the field in the by-field maps: parts joined by `_` (wire format, section 2.1).
    #[must_use]
    pub fn struct_key(&self) -> String {
        self.0.replace('/', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in ["a", "_a", "a/b", "a/1", "a-b_c/d", "raw/video", "a_", "a/_b"] {
            assert!(FeatureKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a//b", "A", "1a", "-a", "a__b", "a/-b", "a b", "é", "a\n"]
        {
            let error = FeatureKey::new(bad).expect_err(bad).to_string();
            assert!(error.contains("is not a key: "), "{error}");
        }
    }

    #[test]
    fn names_in_the_store() {
        assert_eq!(FeatureKey::new("a-b/c").unwrap().table_name(), "a_b__c");
        assert_eq!(FieldKey::new("audio/en-us").unwrap().struct_key(), "audio_en-us");
    }

    #[test]
    fn order_is_by_parts() {
        let mut keys = ["a-b", "a/b", "a"].map(|k| FeatureKey::new(k).unwrap());
        keys.sort();
        assert_eq!(keys.map(|k| k.to_string()), ["a", "a/b", "a-b"]);
    }
}
