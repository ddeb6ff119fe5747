//! Two features that depend on each other; reported once, from the smallest key.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "b", deps(B))]
struct A {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "a", deps(A))]
struct B {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
