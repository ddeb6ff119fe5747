//! What `#[derive(Column)]` refuses, all in one run.

use metaxy::prelude::*;

#[derive(Column)]
struct Pair(u8, u8);

#[derive(Column)]
struct Wrapper<T>(T);

#[derive(Column)]
enum Shape {
    Circle(f32),
    Square { side: f32 },
    Point,
}

#[derive(Column)]
enum Nothing {}

#[derive(Column)]
#[metaxy(rename_all = "snake-case")]
enum Size {
    Large,
    #[metaxy(name = "Large", code_version = "1")]
    Small,
}

#[derive(Column)]
union Bits {
    int: u32,
    float: f32,
}

// None of these is an error of its own.
#[derive(Row)]
struct Uses {
    pair: Pair,
    shape: Option<Shape>,
    sizes: Vec<Size>,
    bits: Bits,
}

fn main() {}
