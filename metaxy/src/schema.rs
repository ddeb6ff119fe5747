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

/// The columns that a schema of this producer tells, ids first; `None` if another program made it.
pub(crate) fn columns(schema: &Value, ids: &[String]) -> Option<Vec<ColumnSpec>> {
    let properties = schema.get("properties")?.as_object()?;
    let column = |(name, property): (&String, &Value)| {
        let mut property = property.as_object()?.clone();
        property.shift_remove("description");
        let property = Value::Object(property);
        let (inner, nullable) =
            match property.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
                Some([ty, null]) if *null == json!({ "type": "null" }) => (ty, true),
                _ => (&property, false),
            };
        Some(ColumnSpec { name: name.clone(), ty: type_of(inner)?, nullable })
    };
    let columns: Vec<ColumnSpec> = properties.iter().map(column).collect::<Option<_>>()?;
    let names = columns.iter().map(|column| &column.name);
    names.take(ids.len()).eq(ids).then_some(columns)
}

/// The type that has these keywords; of several, the first.
fn type_of(keywords: &Value) -> Option<ColumnType> {
    let scalar = |keywords: &Value| SCALARS.into_iter().find(|ty| of_scalar(*ty) == *keywords);
    if let Some(scalar) = scalar(keywords) {
        return Some(scalar.into());
    }
    let list = keywords.get("items").and_then(scalar).map(ColumnType::List);
    [list, Some(ColumnType::TextMap)].into_iter().flatten().find(|ty| of_type(*ty) == *keywords)
}

/// All of them, so that keywords can be read back.
const SCALARS: [ScalarType; 17] = [
    ScalarType::Bool,
    ScalarType::Int8,
    ScalarType::Int16,
    ScalarType::Int32,
    ScalarType::Int64,
    ScalarType::UInt8,
    ScalarType::UInt16,
    ScalarType::UInt32,
    ScalarType::UInt64,
    ScalarType::Float32,
    ScalarType::Float64,
    ScalarType::Text,
    ScalarType::Bytes,
    ScalarType::Date,
    ScalarType::Timestamp,
    ScalarType::Uuid,
    ScalarType::Json,
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back_out_of_a_schema() {
        let lists = SCALARS.map(ColumnType::List);
        let types = SCALARS.map(ColumnType::Scalar).into_iter().chain(lists);
        let types = types.chain([ColumnType::TextMap]);
        let columns: Vec<ColumnSpec> = types
            .enumerate()
            .map(|(i, ty)| ColumnSpec { name: format!("c{i}"), ty, nullable: i % 2 == 1 })
            .collect();
        let schema = of("T", Some("text"), columns.iter().map(Property::from));
        assert_eq!(super::columns(&schema, &["c0".to_owned()]), Some(columns));
        assert_eq!(super::columns(&schema, &["c1".to_owned()]), None);
        // As pydantic writes it.
        let python = json!({ "properties": { "id": { "title": "Id", "type": "string" } } });
        assert_eq!(super::columns(&python, &["id".to_owned()]), None);
        assert_eq!(super::columns(&json!({}), &[]), None);
    }
}
