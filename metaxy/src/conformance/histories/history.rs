//! A random history: what programs, old and new, do to one store.

use super::program::{
    Edit, FeatureSketch, edits, field_is_added, second_root_is_added, sketches,
    two_roots_and_a_child,
};
use crate::HashAlgorithm;
use proptest::collection::vec;
use proptest::prelude::*;

/// A program, and what happens after it was first run.
#[derive(Clone, Debug)]
pub struct History {
    pub(crate) hash_algorithm: HashAlgorithm,
    pub(crate) features: Vec<FeatureSketch>,
    /// Whether features are groups, children or optional, and rows come back or go for good.
    pub(crate) has_lineages: bool,
    /// What is in the roots and computed before the first step, if anything is.
    pub(crate) first: Option<Samples>,
    pub(crate) steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Which earlier program does it; today's if there is none.
    pub(crate) by: Option<u8>,
    pub(crate) action: Action,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A root is compared with samples.
    Sync { root: u8, samples: Samples, are_complete: bool, deletes: bool, overrides: bool },
    /// Rows are written to a root without any comparison.
    Put { root: u8, samples: Samples, overrides: bool },
    /// An increment is resolved, and these of its jobs are done.
    Work { feature: u8, jobs: Jobs, overrides: bool },
    /// An increment is resolved, and kept for later.
    Take { feature: u8, jobs: Jobs },
    /// What was taken is written: much may have happened in between.
    Finish,
    /// Some records are deleted.
    Delete { feature: u8, records: u8 },
    /// Orphans are deleted.
    DeleteOrphans { feature: u8, and_missing: bool },
    /// A developer changes today's program.
    Edit(Edit),
    /// A developer goes back to an earlier program.
    Revert { program: u8 },
    /// Everything is brought up to date, upstream first.
    WorkThrough,
    /// Some records are removed with all of their rows, and what is computed from them as well.
    Remove { feature: u8, records: u8, cascade: bool },
    /// Some records come back if they were deleted.
    Undelete { feature: u8, records: u8 },
    /// Rows of former definitions get today's.
    Rebase { feature: u8, accepts_code: bool },
    /// A worker that computes an expansion anew dies: before it seals, or with only some of the
    /// children.
    Crash { expansion: u8, jobs: Jobs, seals: bool },
    /// A developer changes the code of a field, and only some of the records are computed again.
    Release { feature: u8, field: u8, version: u8, jobs: Jobs },
    /// An increment is resolved with options, and perhaps written.
    Call { feature: u8, call: Call, writes: bool },
    /// An increment is resolved, and these of its jobs fail.
    Fail { feature: u8, jobs: Jobs },
    /// Another program, of which nothing is recorded, has written rows of these jobs.
    Foreign { feature: u8, jobs: Jobs, samples: Samples },
    /// Superseded rows are removed.
    Vacuum { feature: u8, keep: u64 },
}

/// The options of a resolve. Filters are numbers, 0 for none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// An upstream, and a filter over its columns.
    pub(crate) on_upstream: (u8, u8),
    pub(crate) on_all: bool,
    pub(crate) on_stored: u8,
    pub(crate) stale_if: u8,
    pub(crate) skip_comparison: bool,
    pub(crate) shard: Option<(u64, u64)>,
    /// A column, and whether the largest comes first.
    pub(crate) order_by: Option<(u8, bool)>,
    pub(crate) limit: Option<u64>,
    /// 0: failures are like all others, 1: left out, others: tried again so often but for once.
    pub(crate) failed: u8,
}

/// Per record of a root: none if it is not there, else its versions, shared by its even and by its
/// odd fields.
pub(crate) type Samples = Vec<Option<(u8, u8)>>;

/// Which jobs of an increment are done.
#[derive(Clone, Debug)]
pub(crate) enum Jobs {
    All,
    /// One of eight bits for each, in turn.
    Some(u8),
}

impl Jobs {
    pub(crate) fn includes(&self, job: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => bits >> (job % 8) & 1 == 1,
        }
    }
}

fn samples() -> impl Strategy<Value = Samples> {
    vec(prop::option::weighted(0.75, (0..3_u8, 0..3_u8)), 6)
}

fn jobs() -> impl Strategy<Value = Jobs> {
    prop_oneof![2 => Just(Jobs::All), 1 => any::<u8>().prop_map(Jobs::Some)]
}

fn calls() -> impl Strategy<Value = Call> {
    let filters = (
        // Often one over an id: within a group by a column it holds for some members alone.
        (0..3_u8, prop_oneof![1 => Just(0_u8), 1 => Just(4), 1 => 1..6_u8]),
        prop::bool::weighted(0.15),
        prop_oneof![2 => Just(0_u8), 1 => 1..7_u8],
        prop_oneof![2 => Just(0_u8), 1 => 1..7_u8],
        prop::bool::weighted(0.2),
    );
    let shard = prop::option::weighted(0.2, (0..2_u64, Just(2_u64)));
    let order_by = prop::option::of((0..6_u8, any::<bool>()));
    (filters, shard, order_by, prop::option::weighted(0.4, 0..4_u64), 0..4_u8).prop_map(
        |(filters, shard, order_by, limit, failed)| {
            let (on_upstream, on_all, on_stored, stale_if, skip_comparison) = filters;
            Call {
                on_upstream,
                on_all,
                on_stored,
                stale_if,
                skip_comparison,
                shard,
                order_by,
                limit,
                failed,
            }
        },
    )
}

fn actions(has_lineages: bool) -> BoxedStrategy<Action> {
    let feature = 0..6_u8;
    let plain = prop_oneof![
        4 => (
            feature.clone(), samples(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.15)
        )
            .prop_map(|(root, samples, are_complete, deletes, overrides)| {
                Action::Sync { root, samples, are_complete, deletes, overrides }
            }),
        1 => (feature.clone(), samples(), any::<bool>())
            .prop_map(|(root, samples, overrides)| Action::Put { root, samples, overrides }),
        6 => (feature.clone(), jobs(), prop::bool::weighted(0.1))
            .prop_map(|(feature, jobs, overrides)| Action::Work { feature, jobs, overrides }),
        1 => (feature.clone(), jobs()).prop_map(|(feature, jobs)| Action::Take { feature, jobs }),
        1 => Just(Action::Finish),
        2 => (feature.clone(), any::<u8>())
            .prop_map(|(feature, records)| Action::Delete { feature, records }),
        1 => (feature.clone(), any::<bool>())
            .prop_map(|(feature, and_missing)| Action::DeleteOrphans { feature, and_missing }),
        7 => edits(has_lineages).prop_map(Action::Edit),
        1 => (0..8_u8).prop_map(|program| Action::Revert { program }),
        2 => Just(Action::WorkThrough),
    ];
    if !has_lineages {
        return plain.boxed();
    }
    prop_oneof![
        10 => plain,
        1 => (feature.clone(), any::<u8>(), any::<bool>()).prop_map(
            |(feature, records, cascade)| Action::Remove { feature, records, cascade }
        ),
        1 => (feature.clone(), any::<u8>())
            .prop_map(|(feature, records)| Action::Undelete { feature, records }),
        1 => (feature.clone(), any::<bool>())
            .prop_map(|(feature, accepts_code)| Action::Rebase { feature, accepts_code }),
        2 => (feature.clone(), jobs(), any::<bool>())
            .prop_map(|(expansion, jobs, seals)| Action::Crash { expansion, jobs, seals }),
        2 => (feature.clone(), 0..3_u8, 0..3_u8, any::<u8>()).prop_map(
            |(feature, field, version, bits)| {
                Action::Release { feature, field, version, jobs: Jobs::Some(bits) }
            }
        ),
        4 => (feature.clone(), calls(), prop::bool::weighted(0.3))
            .prop_map(|(feature, call, writes)| Action::Call { feature, call, writes }),
        2 => (feature.clone(), jobs()).prop_map(|(feature, jobs)| Action::Fail { feature, jobs }),
        1 => (feature.clone(), jobs(), samples())
            .prop_map(|(feature, jobs, samples)| Action::Foreign { feature, jobs, samples }),
        1 => (feature, 1..3_u64).prop_map(|(feature, keep)| Action::Vacuum { feature, keep }),
    ]
    .boxed()
}

fn steps(has_lineages: bool) -> impl Strategy<Value = Step> {
    (prop::option::weighted(0.1, 0..8_u8), actions(has_lineages))
        .prop_map(|(by, action)| Step { by, action })
}

/// Histories of up to twelve steps after the first run.
pub(super) fn histories(
    begins_full: bool,
    has_lineages: bool,
    is_long: bool,
) -> impl Strategy<Value = History> + use<> {
    let hash_algorithm = prop_oneof![
        6 => Just(HashAlgorithm::XxHash64),
        1 => Just(HashAlgorithm::XxHash32),
        1 => Just(HashAlgorithm::Xxh3_64),
        1 => Just(HashAlgorithm::Md5),
        1 => Just(HashAlgorithm::Sha256),
    ];
    let first = if begins_full { samples().prop_map(Some).boxed() } else { Just(None).boxed() };
    // Many short histories and some long ones find more than some of middle length.
    let (features, most_steps) = if is_long || begins_full { (6, 12) } else { (4, 4) };
    let features = sketches(has_lineages, features);
    (hash_algorithm, features, first, vec(steps(has_lineages), 1..=most_steps)).prop_map(
        move |(hash_algorithm, features, first, steps)| History {
            hash_algorithm,
            features,
            has_lineages,
            first,
            steps,
        },
    )
}

/// Histories that are worth a run every time: they are rare among the random ones, or have found
/// something.
pub(super) fn known() -> Vec<History> {
    let history = |first: [bool; 6], actions: Vec<Action>| History {
        hash_algorithm: HashAlgorithm::XxHash64,
        features: two_roots_and_a_child(),
        has_lineages: false,
        first: Some(first.map(|is_there| is_there.then_some((0, 0))).into()),
        steps: actions.into_iter().map(|action| Step { by: None, action }).collect(),
    };
    vec![
        // A record is orphaned, and no upstream record was ever deleted.
        history(
            [true, false, true, true, true, true],
            vec![
                Action::Edit(second_root_is_added()),
                Action::DeleteOrphans { feature: 2, and_missing: false },
            ],
        ),
        // What the child reads has another field than its upstream's rows.
        history([true; 6], vec![Action::Edit(field_is_added())]),
    ]
}
