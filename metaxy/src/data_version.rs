//! [`DataVersion`]: the version of one field of one record, as user code sees it.

use sha2::{Digest, Sha256};
use std::fmt;

/// The version of one field of one record: what downstream features compare.
///
/// In a feature without upstreams it is the caller's: a hash of the content, a version number, an
/// etag. There [`DataVersion::default()`] is refused when it is written. In every other feature
/// `default()` means "as computed from the inputs", and any other value overrides that.
///
/// A version that came out of a store is kept as it is when the row is written again unchanged; it
/// does not become an override.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DataVersion(Version);

#[derive(Clone, Default, PartialEq, Eq)]
enum Version {
    #[default]
    Computed,
    Given(String),
    Stored(String),
}

impl DataVersion {
    /// The version of a content: its SHA-256 as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn of(content: impl AsRef<[u8]>) -> Self {
        Self::new(hex::encode(Sha256::digest(content)))
    }

    /// A version of the caller's own: a number, a date, an etag.
    ///
    /// A text that is empty or contains `|` is refused when it is written.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Version::Given(text.into()))
    }

    /// The version of what never changes once it is there: `exists`.
    #[must_use]
    pub fn constant() -> Self {
        Self::new("exists")
    }

    /// The version as text; `None` if it is still to be computed.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Version::Computed => None,
            Version::Given(text) | Version::Stored(text) => Some(text),
        }
    }

    /// A version that a store has handed out.
    pub(crate) fn stored(text: impl Into<String>) -> Self {
        Self(Version::Stored(text.into()))
    }

    /// The version that user code has set.
    pub(crate) fn as_given(&self) -> Option<&str> {
        match &self.0 {
            Version::Given(text) => Some(text),
            Version::Computed | Version::Stored(_) => None,
        }
    }

    /// The version that a store has handed out.
    #[allow(dead_code, reason = "the store does")]
    pub(crate) fn as_stored(&self) -> Option<&str> {
        match &self.0 {
            Version::Stored(text) => Some(text),
            Version::Computed | Version::Given(_) => None,
        }
    }
}

impl fmt::Debug for DataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Version::Computed => f.write_str("DataVersion(as computed)"),
            Version::Given(text) => write!(f, "DataVersion({text:?})"),
            Version::Stored(text) => write!(f, "DataVersion({text:?}, stored)"),
        }
    }
}

/// A member that is a field of a feature.
///
/// A trait and not a spelling decides, so that aliases and re-exports of [`DataVersion`] work.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a member with `#[metaxy(field)]` is a `DataVersion`, not `{Self}`",
    label = "expected `DataVersion`",
    note = "a value that is kept with the record is a column: leave `field` out"
)]
pub trait VersionMember: Sized {
    /// The version in the member.
    fn version(&self) -> &DataVersion;
    /// The member for a version.
    fn member(version: DataVersion) -> Self;
}

impl VersionMember for DataVersion {
    fn version(&self) -> &DataVersion {
        self
    }

    fn member(version: DataVersion) -> Self {
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_is_sha_256() {
        assert_eq!(
            DataVersion::of("abc").as_str(),
            Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        );
    }

    #[test]
    fn only_what_the_caller_set_is_an_override() {
        assert_eq!(DataVersion::default().as_given(), None);
        assert_eq!(DataVersion::constant().as_given(), Some("exists"));
        let stored = DataVersion::stored("7");
        assert_eq!((stored.as_given(), stored.as_stored()), (None, Some("7")));
        assert_eq!(stored.as_str(), Some("7"));
        assert_ne!(stored, DataVersion::new("7"));
    }
}
