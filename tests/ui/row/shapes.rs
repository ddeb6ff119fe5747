//! What a row cannot be.

use metaxy::prelude::*;

#[derive(Row)]
struct Empty {}

#[derive(Row)]
struct Tuple(String);

#[derive(Row)]
struct Generic<T> {
    value: T,
}

#[derive(Row)]
struct Named {
    #[metaxy(nmae = "video_id")]
    id: String,
    #[metaxy(name = "ID")]
    other: String,
}

fn main() {}
