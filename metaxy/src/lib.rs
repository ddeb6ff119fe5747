//! Record-level feature metadata for multimodal pipelines.

// What the derives emit names the crate as users do.
extern crate self as metaxy;

#[doc(hidden)]
pub mod __private;
#[doc(hidden)]
pub mod check;
pub mod column;
mod data_version;
mod def;
pub mod error;
mod feature;
pub mod graph;
pub mod increment;
pub mod key;
mod nearest;
pub mod prelude;
pub mod pyjson;
pub mod registry;
pub mod row;
mod schema;
pub mod spec;
pub mod store;
pub mod version;

pub use arrow;
pub use column::{Column, DecodeError, IdColumn, IdValue};
pub use data_version::DataVersion;
pub use def::{ColumnRef, FieldRef};
pub use error::{Error, Result};
pub use feature::{Feature, FeatureSet};
pub use graph::FeatureGraph;
pub use increment::{Counts, Done, Increment, Job, Reason, Status};
pub use key::{FeatureKey, FieldKey};
pub use metaxy_derive::{Column, Feature, Row};
pub use metaxy_sql::{ColumnType, ScalarType};
pub use row::{Row, RowError};
pub use store::{Store, WriteError};
