//! What the derives name, and nothing else: everything that is not listed here can move.
//!
//! No part of the interface. `metaxy-derive` is tied to one exact version of this crate instead.

pub use crate::check;
pub use crate::column::{ListItem, decode_text, encode_text};
pub use crate::data_version::VersionMember;
pub use crate::def::*;
pub use crate::registry::Registration;
pub use crate::row::{
    Cells, ColumnCodec, FieldCodec, IdCodec, InnerCodec, InnerId, InnerItem, Rows, column_specs,
    feature_columns,
};
pub use crate::spec::ColumnSpec;
pub use crate::{
    Column, ColumnType, DataVersion, DecodeError, Feature, IdColumn, IdValue, Row, RowError,
};
pub use arrow::array::{Array, ArrayRef, RecordBatch};
pub use inventory;

// The user's own `Option`, `Vec` or `bool` may be something else.
pub use core::iter::Iterator;
pub use core::option::Option::{self, None, Some};
pub use core::primitive::bool;
pub use core::result::Result;
pub use core::{file, line, module_path, option_env};
pub use std::vec::Vec;

/// The type of an enum without data.
pub const TEXT: ColumnType = ColumnType::Scalar(crate::ScalarType::Text);

/// A `Vec` without naming a trait, which may not be in scope.
pub fn vec<T, const N: usize>(items: [T; N]) -> Vec<T> {
    Vec::from(items)
}

/// The body of what a broken item still has to implement.
pub fn broken<T>() -> T {
    unreachable!("a program with errors is not run")
}
