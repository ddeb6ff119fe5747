//! What a feature cannot be.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "a")]
struct Generic<T> {
    #[metaxy(id)]
    id: String,
    #[metaxy(field)]
    audio: DataVersion,
    value: T,
}

#[derive(Feature)]
#[metaxy(key = "b")]
struct Borrowed<'a> {
    #[metaxy(id)]
    id: &'a str,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "c")]
struct Tuple(String, DataVersion);

#[derive(Feature)]
#[metaxy(key = "d")]
struct Unit;

#[derive(Feature)]
#[metaxy(key = "e")]
enum Enum {
    A,
}

#[derive(Feature)]
struct Empty {}

#[derive(Feature)]
#[metaxy(key = "f")]
struct NoId {
    path: String,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "g")]
struct NoField {
    #[metaxy(id)]
    id: String,
}

fn main() {}
