//! [`Feature`]: a struct whose values are the records of a feature, and [`FeatureSet`]: some of them.

use crate::column::IdValue;
use crate::data_version::DataVersion;
use crate::def::{DefPtr, FeatureDef};
use crate::key::FeatureKey;
use crate::row::Row;
use crate::spec::FeatureDefinition;
use arrow::array::ArrayRef;

/// A feature: its struct holds one record.
///
/// Implemented by [`#[derive(Feature)]`](derive@crate::Feature), which documents all options.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a feature",
    label = "expected a type that derives `Feature`",
    note = "add `#[derive(metaxy::Feature)]` to `{Self}`"
)]
pub trait Feature: Row + Send + 'static {
    /// A struct with one [`FieldRef`](crate::FieldRef) per field.
    type Fields: 'static;
    /// A struct with one [`ColumnRef`](crate::ColumnRef) per column.
    type Columns: 'static;

    /// The fields: `Video::FIELDS.audio`.
    const FIELDS: Self::Fields;
    /// The columns: `Video::COLUMNS.path`.
    const COLUMNS: Self::Columns;

    /// The definition as plain data.
    #[doc(hidden)]
    const DEF: DefPtr;

    /// One array per column: ids first, then the others, in the order of declaration.
    #[doc(hidden)]
    fn encode(rows: &[Self]) -> Vec<ArrayRef>
    where
        Self: Sized;

    /// The versions of the record, per field in the order of declaration.
    #[doc(hidden)]
    fn data_versions(&self) -> Vec<&DataVersion>;

    /// The ids of the record, in the order of declaration.
    #[doc(hidden)]
    fn ids(&self) -> Vec<IdValue>;

    /// The key of the feature.
    #[must_use]
    fn key() -> FeatureKey {
        Self::DEF.get().feature_key()
    }

    /// The definition of the feature: its spec, its columns, and where it was declared.
    #[must_use]
    fn definition() -> FeatureDefinition {
        Self::DEF.get().to_definition()
    }
}

/// One or more features: a feature, or a tuple of up to twelve.
pub trait FeatureSet: sealed::Sealed {
    /// Their definitions, in order.
    #[doc(hidden)]
    fn defs() -> Vec<&'static FeatureDef>;
}

mod sealed {
    /// Only what is listed in this file is a set of features.
    pub trait Sealed {}
}

impl<F: Feature> sealed::Sealed for F {}

impl<F: Feature> FeatureSet for F {
    fn defs() -> Vec<&'static FeatureDef> {
        vec![F::DEF.get()]
    }
}

macro_rules! tuples {
    ($first:ident $($rest:ident)*) => {
        impl<$first: Feature, $($rest: Feature),*> sealed::Sealed for ($first, $($rest,)*) {}

        impl<$first: Feature, $($rest: Feature),*> FeatureSet for ($first, $($rest,)*) {
            fn defs() -> Vec<&'static FeatureDef> {
                vec![$first::DEF.get(), $($rest::DEF.get()),*]
            }
        }

        tuples! { $($rest)* }
    };
    () => {};
}

tuples! { A B C D E F G H I J K L }
