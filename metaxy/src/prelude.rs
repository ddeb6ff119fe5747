//! What a file that declares features needs: `use metaxy::prelude::*;`.

pub use crate::{Column, DataVersion, Feature, IdColumn, Row};
