//! [`Rule`]: what makes an answer correct, one rule at a time, each of which can be left out.
//!
//! This is for tests of tests: an engine without a rule is wrong, and a test that compares engines has
//! to notice.

/// A rule that [`Memory::without`](super::Memory::without) leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// First the latest row of a record, then any test of it: an older row is never revived.
    LatestFirst,
    /// A tombstone hides the rows before it.
    Tombstones,
    /// Another code version makes a row outdated.
    OutdatedByCode,
    /// Another set of parent fields makes a row outdated.
    OutdatedByParents,
    /// A row is outdated only if that concerns the fields that are read (H5).
    OnlyFieldsThatAreRead,
    /// A row is not outdated because of what changed further up: that arrives as a data version.
    NotTransitive,
    /// What is computed from outdated rows is blocked.
    Blocked,
    /// A field outside the stale set keeps its data version.
    KeptDataVersions,
    /// What is hashed are data versions and not provenances.
    DataVersionsAreHashed,
    /// Another code version makes a record of a root stale, with the same value too.
    RootCodeVersion,
    /// Upstreams with different ids are joined on those that they share (H4).
    SharedIds,
    /// An orphan is gone only if its upstream record was deleted.
    MissingIsNotGone,
    /// Of an expansion, only children of the seal in force exist (H2).
    SealsDecide,
    /// The seal in force is found first, and then the latest row of each of its children.
    SealsBeforeLatest,
    /// A parent of which fewer children are there than its seal says is pending (H1).
    PendingIsNotThere,
    /// The values of a group are hashed in the order of the upstream's ids (H9).
    GroupValuesInOrder,
    /// Members of a group without a value are skipped (H9).
    NullsSkippedInGroups,
    /// A group is one row (H8).
    OneRowPerGroup,
    /// What an optional upstream does not have is hashed as the empty text.
    OptionalAbsentIsEmpty,
    /// A row of an optional upstream blocks as well if it is outdated.
    OptionalRowsOutdateToo,
    /// Every member of a group blocks it if it is outdated.
    GroupMembersOutdateToo,
    /// The filters of a definition decide which upstream rows there are, before they are joined.
    FiltersBeforeJoin,
    /// An orphan whose upstream record a filter leaves out, or that moved to another group, is
    /// excluded and not missing.
    ExcludedIsNotMissing,
    /// The filters of a call select records; they never change what these are computed from (H16).
    CallsSelectOnly,
    /// A failure counts for the inputs that the record had then.
    FailuresCountForTheirInputs,
    /// It is known of a record that was removed with all of its rows that it was there (H13).
    HardDeletesLeaveATrace,
    /// A call can declare records stale, whatever they were computed from.
    ForcedReasons,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::LatestFirst,
        Self::Tombstones,
        Self::OutdatedByCode,
        Self::OutdatedByParents,
        Self::OnlyFieldsThatAreRead,
        Self::NotTransitive,
        Self::Blocked,
        Self::KeptDataVersions,
        Self::DataVersionsAreHashed,
        Self::RootCodeVersion,
        Self::SharedIds,
        Self::MissingIsNotGone,
        Self::SealsDecide,
        Self::SealsBeforeLatest,
        Self::PendingIsNotThere,
        Self::GroupValuesInOrder,
        Self::NullsSkippedInGroups,
        Self::OneRowPerGroup,
        Self::OptionalAbsentIsEmpty,
        Self::OptionalRowsOutdateToo,
        Self::GroupMembersOutdateToo,
        Self::FiltersBeforeJoin,
        Self::ExcludedIsNotMissing,
        Self::CallsSelectOnly,
        Self::FailuresCountForTheirInputs,
        Self::HardDeletesLeaveATrace,
        Self::ForcedReasons,
    ];
}
