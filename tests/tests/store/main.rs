//! What a store does and what it refuses, seen from the outside.

#![allow(clippy::needless_pass_by_value, reason = "helpers take `json!(..)` as it comes")]

mod buffering;
mod children;
mod concurrency;
mod data_versions;
mod definitions;
mod deleting;
mod failing;
mod features;
mod foreign;
mod importing;
mod incremental;
mod many;
mod opening;
mod options;
mod python;
mod reading;
mod rebasing;
mod refusals;
mod several;
mod syncing;
mod typed;
mod types;
mod vacuuming;
