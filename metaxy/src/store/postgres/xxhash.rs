//! xxHash in Postgres: functions that are made on request, for stores that have to hash like one in
//! another database.
//!
//! <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>. There are no unsigned integers,
//! and what overflows is an error: products are put together from parts of 32 or 16 bits.

/// `metaxy_xxhash32(text)` and `metaxy_xxhash64(text)`, which give decimal digits, and what they use.
pub(super) const FUNCTIONS: &str = include_str!("xxhash.sql");
