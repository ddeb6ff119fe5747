//! The JSON schema of a derived feature; it enters the definition version and nothing else.
//!
//! The shape is JSON Schema's own: `title`, `description`, `type`, `properties` and `required`, in
//! this order. Columns appear in the order of declaration, ids first, with the keywords of the
//! table below and their doc comment. The output is a function of the definition alone, and must
//! not change between releases: a change would give every feature a new definition version.
//!
//! | column type | keywords |
//! |---|---|
//! | `Bool` | `type: boolean` |
//! | integers | `type: integer`, `format: int8` to `uint64` |
//! | floats | `type: number`, `format: float` or `double` |
//! | `Text` | `type: string` |
//! | `Bytes`, `Date`, `Timestamp`, `Uuid` | `type: string`, `format: binary`, `date`, `date-time`, `uuid` |
//! | `Json` | `format: json` |
//! | lists | `type: array`, `items` |
//! | maps | `type: object`, `additionalProperties: {type: string}` |
//!
//! A column that may hold NULL is `anyOf` its own schema and `type: null`, and is not `required`.

use crate::def::ColumnDef;
use crate::spec::ColumnSpec;
use metaxy_sql::{ColumnType, ScalarType};
use serde_json::{Map, Value, json};

/// A column, as far as the schema shows it.
pub(crate) struct Property<'a> {
    name: &'a str,
    ty: ColumnType,
    nullable: bool,
    description: Option<&'a str>,
}

impl From<&ColumnDef> for Property<'static> {
    fn from(column: &ColumnDef) -> Self {
        let ColumnDef { name, ty, nullable, description } = *column;
        Self { name, ty, nullable, description }
    }
}

impl<'a> From<&'a ColumnSpec> for Property<'a> {
    fn from(column: &'a ColumnSpec) -> Self {
        let ColumnSpec { name, ty, nullable } = column;
        Self { name, ty: *ty, nullable: *nullable, description: None }
    }
}

/// The schema of a feature.
pub(crate) fn of<'a>(
    title: &str,
    description: Option<&str>,
    columns: impl Iterator<Item = Property<'a>>,
) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for column in columns {
        let ty = of_type(column.ty);
        let mut property = match column.nullable {
            true => json!({ "anyOf": [ty, { "type": "null" }] }),
            false => {
                required.push(Value::from(column.name));
                ty
            }
        };
        if let Some(text) = column.description {
            property["description"] = text.into();
        }
        properties.insert(column.name.to_owned(), property);
    }
    let mut schema = Map::new();
    schema.insert("title".to_owned(), title.into());
    if let Some(text) = description {
        schema.insert("description".to_owned(), text.into());
    }
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("required".to_owned(), required.into());
    schema.into()
}

fn of_type(ty: ColumnType) -> Value {
    match ty {
        ColumnType::Scalar(scalar) => of_scalar(scalar),
        ColumnType::List(item) => json!({ "type": "array", "items": of_scalar(item) }),
        ColumnType::TextMap => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        other => json!({ "format": other.to_string() }),
    }
}

fn of_scalar(scalar: ScalarType) -> Value {
    let typed = |ty: &str, format: &str| json!({ "type": ty, "format": format });
    match scalar {
        ScalarType::Bool => json!({ "type": "boolean" }),
        ScalarType::Int8 => typed("integer", "int8"),
        ScalarType::Int16 => typed("integer", "int16"),
        ScalarType::Int32 => typed("integer", "int32"),
        ScalarType::Int64 => typed("integer", "int64"),
        ScalarType::UInt8 => typed("integer", "uint8"),
        ScalarType::UInt16 => typed("integer", "uint16"),
        ScalarType::UInt32 => typed("integer", "uint32"),
        ScalarType::UInt64 => typed("integer", "uint64"),
        ScalarType::Float32 => typed("number", "float"),
        ScalarType::Float64 => typed("number", "double"),
        ScalarType::Text => json!({ "type": "string" }),
        ScalarType::Bytes => typed("string", "binary"),
        ScalarType::Date => typed("string", "date"),
        ScalarType::Timestamp => typed("string", "date-time"),
        ScalarType::Uuid => typed("string", "uuid"),
        ScalarType::Json => json!({ "format": "json" }),
        other => json!({ "format": other.to_string() }),
    }
}
