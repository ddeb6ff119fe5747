//! What a run did, as a table: the records of each class, what was computed, and why.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use metaxy::store::Committed;
use metaxy::{Counts, Reason};

/// What happened to one feature.
#[derive(Clone, Debug)]
pub struct FeatureReport {
    key: String,
    counts: Counts,
    /// `None` for the root: its records are looked at, not computed.
    computed: Option<u64>,
    /// (field, reason) -> number of stale records.
    reasons: BTreeMap<(String, Reason), u64>,
    /// The records that could not be computed, each with its error.
    failed: Vec<String>,
}

impl FeatureReport {
    /// The report on a root feature.
    #[must_use]
    pub fn root(key: impl fmt::Display, counts: Counts) -> Self {
        Self {
            key: key.to_string(),
            counts,
            computed: None,
            reasons: BTreeMap::new(),
            failed: Vec::new(),
        }
    }

    /// The report on a feature of which nothing has been computed yet.
    #[must_use]
    pub fn computed(key: impl fmt::Display, counts: Counts) -> Self {
        Self { computed: Some(0), ..Self::root(key, counts) }
    }

    /// Notes one reason for which a field of one record is stale.
    pub fn add_reason(&mut self, field: &str, reason: Reason) {
        *self.reasons.entry((field.to_owned(), reason)).or_default() += 1;
    }

    /// Notes what was computed and written, and what failed.
    pub fn add_committed(&mut self, committed: Committed) {
        *self.computed.get_or_insert_default() += committed.rows;
        self.failed.extend(committed.failed);
    }

    /// The number of records that computing everything from scratch would have had to compute.
    fn all_records(&self) -> u64 {
        self.computed.map_or(0, |_| self.counts.to_compute() + self.counts.unchanged)
    }

    fn why(&self) -> String {
        let new = (self.counts.new > 0).then(|| format!("new ×{}", self.counts.new));
        // A root has one reason only: the value that was handed in is another one.
        let differs = self.computed.is_none() && self.counts.stale > 0;
        let differs = differs.then(|| format!("differs ×{}", self.counts.stale));
        let stale =
            self.reasons.iter().map(|((field, reason), n)| format!("{field}: {reason} ×{n}"));
        let gone = (self.counts.orphaned > 0).then(|| format!("gone ×{}", self.counts.orphaned));
        new.into_iter().chain(differs).chain(stale).chain(gone).collect::<Vec<_>>().join(", ")
    }
}

/// What happened to all features of a run, in the order of the graph.
#[derive(Clone, Debug, Default)]
pub struct Report {
    features: Vec<FeatureReport>,
}

impl Report {
    /// Adds the report on one feature.
    pub fn push(&mut self, feature: FeatureReport) {
        self.features.push(feature);
    }

    /// Whether every feature was up to date.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.features.iter().all(|feature| feature.counts.is_up_to_date())
    }

    /// How much was computed, and how much was not.
    #[must_use]
    pub fn work(&self) -> Work {
        let computed = self.features.iter().filter_map(|feature| feature.computed).sum();
        Work { computed, from_scratch: self.features.iter().map(FeatureReport::all_records).sum() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["feature", "new", "stale", "orphaned", "unchanged", "computed", "why"]);
        for feature in &self.features {
            let Counts { new, stale, orphaned, unchanged, .. } = feature.counts;
            // What is not there needs no digit, so that what is there catches the eye.
            let number = |n: u64| if n == 0 { "·".to_owned() } else { n.to_string() };
            table.add_row([
                feature.key.clone(),
                number(new),
                number(stale),
                number(orphaned),
                number(unchanged),
                feature.computed.map_or_else(String::new, number),
                feature.why(),
            ]);
        }
        for column in table.column_iter_mut().filter(|column| (1..=5).contains(&column.index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        for failed in self.features.iter().flat_map(|feature| &feature.failed) {
            writeln!(f, "failed, and comes again: {failed}")?;
        }
        if self.is_up_to_date() {
            write!(f, "Nothing to do: ")?;
        }
        write!(f, "{}", self.work())
    }
}

/// How much was computed, and how much was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    computed: u64,
    from_scratch: u64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.computed += other.computed;
        self.from_scratch += other.from_scratch;
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { computed, from_scratch } = *self;
        let saved = from_scratch.saturating_sub(computed);
        let percent =
            if from_scratch == 0 { 0.0 } else { saved as f64 * 100.0 / from_scratch as f64 };
        write!(f, "{computed} of {from_scratch} computations, {saved} saved ({percent:.1} %)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(new: u64, stale: u64, unchanged: u64) -> Counts {
        let mut counts = Counts::default();
        (counts.new, counts.stale, counts.unchanged) = (new, stale, unchanged);
        counts
    }

    #[test]
    fn what_was_not_computed_is_saved() {
        let mut report = Report::default();
        // Looking at files is no computation.
        report.push(FeatureReport::root("a", counts(0, 1, 9)));
        let mut feature = FeatureReport::computed("b", counts(0, 1, 9));
        feature.add_reason("x", Reason::Upstream);
        feature.computed = Some(1);
        report.push(feature);
        assert_eq!(report.work().to_string(), "1 of 10 computations, 9 saved (90.0 %)");
        assert!(!report.is_up_to_date());
    }

    #[test]
    fn the_reasons_say_field_and_number() {
        let mut feature = FeatureReport::computed("b", counts(1, 3, 0));
        feature.add_reason("y", Reason::Code);
        feature.add_reason("y", Reason::Code);
        feature.add_reason("x", Reason::Upstream);
        assert_eq!(feature.why(), "new ×1, x: upstream ×1, y: code ×2");
    }
}
