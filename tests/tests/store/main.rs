//! What a store does and what it refuses, seen from the outside.

mod concurrency;
mod definitions;
mod features;
mod identifiers;
mod opening;
mod reading;
mod refusals;
mod syncing;
mod typed;
mod types;
