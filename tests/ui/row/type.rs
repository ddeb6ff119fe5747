//! Types that no column can hold.

use metaxy::prelude::*;

use std::rc::Rc;

#[derive(Row)]
struct Input {
    video_id: String,
    shared: Rc<u8>,
}

fn is_row<R: Row>() {}

fn other() {
    is_row::<String>();
}

fn main() {}
