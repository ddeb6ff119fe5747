//! Enums without data as text; what `#[derive(Column)]` emits for them calls these two.

use super::{Column, DecodeError, read};
use arrow::array::{Array, ArrayRef, StringArray};
use std::sync::Arc;

/// Makes a text array of the names that `name` gives.
#[doc(hidden)]
pub fn encode_text<T: Column>(
    values: &mut dyn Iterator<Item = Option<&T>>,
    name: fn(&T) -> &'static str,
) -> ArrayRef {
    Arc::new(values.map(|value| value.map(name)).collect::<StringArray>())
}

/// The values whose names are in a text array.
///
/// # Errors
/// [`DecodeError`] that lists the names if one is not among them.
#[doc(hidden)]
pub fn decode_text<T>(
    array: &dyn Array,
    names: &[&str],
    value: fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, DecodeError> {
    read::parsed(read::texts(array)?.iter(), |text| {
        value(text).ok_or_else(|| format!("`{text}` is none of `{}`", names.join("`, `")))
    })
}
