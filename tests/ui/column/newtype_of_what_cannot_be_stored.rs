//! A newtype asks the same of its member.

use metaxy::prelude::*;

use std::rc::Rc;

#[derive(Column)]
struct Shared(Rc<str>);

fn main() {}
