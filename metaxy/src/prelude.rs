//! What a file that declares features or works through them needs: `use metaxy::prelude::*;`.

pub use crate::{Column, DataVersion, Feature, FeatureGraph, IdColumn, Row, Store};
// `try_next`, `try_collect` and the like, for streams of batches, jobs and records.
pub use futures::TryStreamExt as _;
