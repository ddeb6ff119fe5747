//! Record-level feature metadata for multimodal pipelines.

pub mod error;
pub mod graph;
pub mod key;
pub mod spec;

pub use error::{Error, Result};
pub use key::{FeatureKey, FieldKey};
pub use metaxy_sql::{ColumnType, ScalarType};
