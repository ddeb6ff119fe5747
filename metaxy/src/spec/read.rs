//! Specs read from their JSON form: all mistakes of a file at once, each with its place and the fix.
//!
//! What Python 0.1.11 and its predecessors have written is understood: keys as texts, as lists of
//! parts and as `{"parts": [..]}` or `{"root": [..]}`, `filters` for `sql_filters`, fields and deps
//! as plain texts. What has an unknown name is refused: a typing error would otherwise be a default.
//!
//! A spec with mistakes is still read as far as it goes, so that the graph around it can be checked
//! in the same run. Whether features fit together is not decided here.

use super::json::ALL;
use super::{
    FeatureDep, FeatureSpec, FieldDep, FieldDeps, FieldSpec, FieldsMapping, INITIAL_CODE_VERSION,
    Lineage, SpecError, SpecErrors, SpecProblem,
};
use crate::key::{FeatureKey, FieldKey, KeyError};
use crate::nearest::nearest;
use crate::pyjson;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// The key of the field of a feature that lists none (wire format, section 1).
const DEFAULT_FIELD: &str = "default";

impl FeatureSpec {
    /// Reads a spec from its JSON form.
    ///
    /// # Errors
    /// All mistakes.
    pub fn from_json(value: &Value) -> Result<Self, SpecErrors> {
        let mut reader = Reader::new(None);
        let spec = reader.feature(At::root(value));
        match spec {
            Some(spec) if reader.errors.is_empty() => Ok(spec),
            _ => Err(SpecErrors::new(reader.errors, Vec::new())),
        }
    }

    /// Reads a spec from the text of its JSON form.
    ///
    /// # Errors
    /// All mistakes.
    pub fn from_json_text(text: &str) -> Result<Self, SpecErrors> {
        let value = pyjson::parse(text).map_err(SpecErrors::text)?;
        Self::from_json(&value)
    }
}

impl Serialize for FeatureSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FeatureSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A value and the path that leads to it from the feature: `fields[0].deps`.
#[derive(Clone)]
pub(super) struct At<'v> {
    value: &'v Value,
    path: String,
}

impl<'v> At<'v> {
    pub(super) fn root(value: &'v Value) -> Self {
        Self { value, path: String::new() }
    }

    /// The same value, with paths that begin at it.
    pub(super) fn at_root(&self) -> Self {
        Self::root(self.value)
    }

    pub(super) fn value(&self) -> &'v Value {
        self.value
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn has(&self, member: &str) -> bool {
        self.value.get(member).is_some()
    }

    fn member(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The members of an object whose names have been checked.
pub(super) struct Members<'v> {
    members: &'v Map<String, Value>,
    at: At<'v>,
}

impl<'v> Members<'v> {
    pub(super) fn get(&self, name: &str) -> Option<At<'v>> {
        let value = self.members.get(name)?;
        Some(At { value, path: self.at.member(name) })
    }

    /// A member that is there and is not `null`.
    pub(super) fn some(&self, name: &str) -> Option<At<'v>> {
        self.get(name).filter(|at| !at.value.is_null())
    }
}

/// Collects the mistakes of one feature; what a function cannot read, it reports and leaves out.
pub(super) struct Reader {
    pub(super) errors: Vec<SpecError>,
    /// The position of the feature in its file.
    index: Option<usize>,
    feature: Option<String>,
    field: Option<String>,
}

impl Reader {
    pub(super) fn new(index: Option<usize>) -> Self {
        Self { errors: Vec::new(), index, feature: None, field: None }
    }

    pub(super) fn report(&mut self, path: &str, problem: SpecProblem) {
        self.errors.push(SpecError {
            index: self.index,
            feature: self.feature.clone(),
            field: self.field.clone(),
            path: path.to_owned(),
            problem,
        });
    }

    pub(super) fn wrong_type(&mut self, at: &At<'_>, expected: &'static str) {
        let found = pyjson::in_order(at.value);
        self.report(&at.path, SpecProblem::Type { expected, found: shortened(&found), fix: None });
    }

    fn wrong_type_with(&mut self, at: &At<'_>, expected: &'static str, fix: String) {
        let found = pyjson::in_order(at.value);
        let problem = SpecProblem::Type { expected, found: shortened(&found), fix: Some(fix) };
        self.report(&at.path, problem);
    }

    pub(super) fn object<'v>(
        &mut self,
        at: At<'v>,
        expected: &'static str,
        names: &'static [&'static str],
    ) -> Option<Members<'v>> {
        let Value::Object(members) = at.value else {
            self.wrong_type(&at, expected);
            return None;
        };
        for name in members.keys().filter(|name| !names.contains(&name.as_str())) {
            let nearest = nearest(name, names.iter().copied()).map(str::to_owned);
            let problem = SpecProblem::Unknown { name: name.clone(), nearest, expected: names };
            self.report(&at.path, problem);
        }
        Some(Members { members, at })
    }

    pub(super) fn required<'v>(
        &mut self,
        members: &Members<'v>,
        name: &'static str,
        fix: &'static str,
    ) -> Option<At<'v>> {
        let member = members.get(name);
        if member.is_none() {
            self.report(&members.at.path, SpecProblem::Missing { name, fix });
        }
        member
    }

    pub(super) fn items<'v>(&mut self, at: &At<'v>, expected: &'static str) -> Vec<At<'v>> {
        let Value::Array(items) = at.value else {
            match at.value.as_str() {
                Some(text) => {
                    let fix = format!("write `[{}]`", pyjson::in_order(&text.into()));
                    self.wrong_type_with(at, expected, fix);
                }
                None => self.wrong_type(at, expected),
            }
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items.map(|(i, value)| At { value, path: format!("{}[{i}]", at.path) }).collect()
    }

    pub(super) fn text(&mut self, at: &At<'_>) -> Option<String> {
        match at.value {
            Value::String(text) => return Some(text.clone()),
            Value::Number(number) => {
                self.wrong_type_with(at, "a text", format!("put it in quotes: `\"{number}\"`"));
            }
            _ => self.wrong_type(at, "a text"),
        }
        None
    }

    fn texts(&mut self, at: &At<'_>, expected: &'static str) -> Vec<String> {
        let items = self.items(at, expected);
        items.iter().filter_map(|item| self.text(item)).collect()
    }

    fn boolean(&mut self, at: &At<'_>) -> Option<bool> {
        let value = at.value.as_bool();
        if value.is_none() {
            self.wrong_type(at, "`true` or `false`");
        }
        value
    }

    /// A key as text, as a list of parts, or as one of the two forms of old recordings.
    fn key<K>(&mut self, at: &At<'_>, new: impl Fn(String) -> Result<K, KeyError>) -> Option<K> {
        let expected = "a key, as a text with `/` or a list of parts";
        let parts = match at.value {
            Value::Object(members) if members.len() == 1 => {
                members.get("parts").or_else(|| members.get("root"))
            }
            value => Some(value),
        };
        let text = match parts {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => {
                let Some(parts) = parts.iter().map(Value::as_str).collect::<Option<Vec<_>>>()
                else {
                    self.wrong_type(at, expected);
                    return None;
                };
                if let Some(part) = parts.iter().find(|part| part.contains('/')) {
                    let fix = format!("`{part}` is two parts: give each its own item");
                    self.wrong_type_with(at, expected, fix);
                    return None;
                }
                parts.join("/")
            }
            _ => {
                self.wrong_type(at, expected);
                return None;
            }
        };
        match new(text) {
            Ok(key) => Some(key),
            Err(error) => {
                self.report(&at.path, SpecProblem::Key(error));
                None
            }
        }
    }

    fn feature_key(&mut self, at: &At<'_>) -> Option<FeatureKey> {
        self.key(at, FeatureKey::new)
    }

    fn field_key(&mut self, at: &At<'_>) -> Option<FieldKey> {
        self.key(at, FieldKey::new)
    }

    fn field_keys(&mut self, at: &At<'_>) -> Vec<FieldKey> {
        let items = self.items(at, "a list of field keys");
        items.iter().filter_map(|item| self.field_key(item)).collect()
    }

    /// A feature; `None` if not even its key can be read.
    pub(super) fn feature(&mut self, at: At<'_>) -> Option<FeatureSpec> {
        // The key comes first, so that every other mistake can name it.
        let errors_before = self.errors.len();
        let key = at.value.get("key").map(|value| At { value, path: at.member("key") });
        let key = key.and_then(|at| self.feature_key(&at));
        self.feature = key.as_ref().map(ToString::to_string);
        let key_errors = self.errors.split_off(errors_before);

        let names = &["key", "id_columns", "deps", "fields", "metadata", "description"];
        let members = self.object(at, "an object, the spec of a feature", names)?;
        self.required(&members, "key", "give the feature its key, `\"key\": \"example/video\"`");
        self.errors.extend(key_errors);

        let fix = "name the columns that identify a record, `\"id_columns\": [\"id\"]`";
        let id_columns = self.required(&members, "id_columns", fix);
        let id_columns = id_columns.map(|at| self.texts(&at, "a list of column names"));
        let deps = members.some("deps").map(|at| self.deps(&at));
        let fields = members.some("fields").map(|at| self.fields(&at));
        let metadata = match members.some("metadata") {
            Some(At { value: Value::Object(metadata), .. }) => metadata.clone(),
            Some(at) => {
                self.wrong_type(&at, "an object");
                Map::new()
            }
            None => Map::new(),
        };
        let description = members.some("description").and_then(|at| self.text(&at));
        Some(FeatureSpec {
            key: key?,
            id_columns: id_columns.unwrap_or_default(),
            deps: deps.unwrap_or_default(),
            fields: fields.unwrap_or_else(|| default_fields().into_iter().collect()),
            metadata,
            description,
        })
    }

    fn deps(&mut self, at: &At<'_>) -> Vec<FeatureDep> {
        let items = self.items(at, "a list of upstream features");
        items.into_iter().filter_map(|item| self.dep(item)).collect()
    }

    fn dep(&mut self, at: At<'_>) -> Option<FeatureDep> {
        if at.value.is_string() || at.value.is_array() {
            return self.feature_key(&at).map(FeatureDep::new);
        }
        let names = &[
            "feature",
            "select",
            "rename",
            "fields_mapping",
            "sql_filters",
            "filters",
            "lineage",
            "optional",
        ];
        let members = self.object(at, "a feature key or an object with `feature`", names)?;
        let fix = "name the upstream feature, `\"feature\": \"example/video\"`";
        let feature = self.required(&members, "feature", fix).and_then(|at| self.feature_key(&at));
        let select = members.some("select").map(|at| self.texts(&at, "a list of column names"));
        let rename = members.some("rename").map(|at| self.renames(&at));
        let fields_mapping = members.some("fields_mapping").and_then(|at| self.mapping(at));
        let filters = match (members.some("sql_filters"), members.some("filters")) {
            (Some(_), Some(at)) => {
                let problem = SpecProblem::Twice { name: "filters", other: "sql_filters" };
                self.report(&at.path, problem);
                None
            }
            (at, alias) => at.or(alias).map(|at| self.texts(&at, "a list of filters")),
        };
        let lineage = members.some("lineage").and_then(|at| self.lineage(at));
        let optional = members.get("optional").and_then(|at| self.boolean(&at));
        Some(FeatureDep {
            feature: feature?,
            select,
            rename,
            fields_mapping: fields_mapping.unwrap_or_default(),
            filters,
            lineage: lineage.unwrap_or_default(),
            optional: optional.unwrap_or_default(),
        })
    }

    fn renames(&mut self, at: &At<'_>) -> Vec<(String, String)> {
        let Value::Object(members) = at.value else {
            self.wrong_type(at, "an object of names upstream and names here");
            return Vec::new();
        };
        let pairs = members.iter().filter_map(|(from, value)| {
            let to = self.text(&At { value, path: at.member(from) })?;
            Some((from.clone(), to))
        });
        pairs.collect()
    }

    fn mapping(&mut self, at: At<'_>) -> Option<FieldsMapping> {
        let outer = self.object(at, "an object with `mapping`", &["mapping"])?;
        let fix = "say which one, `\"mapping\": {\"type\": \"default\"}`";
        let at = self.required(&outer, "mapping", fix)?;
        let types = &["default", "specific", "all", "none"];
        Some(match self.type_of(&at, types)? {
            "default" => {
                let names = &["type", "match_suffix", "exclude_fields"];
                let members = self.object(at, "an object with `type`", names)?;
                let match_suffix = members.get("match_suffix").and_then(|at| self.boolean(&at));
                let exclude = members.some("exclude_fields").map(|at| self.field_keys(&at));
                FieldsMapping::Default {
                    match_suffix: match_suffix.unwrap_or_default(),
                    exclude: exclude.unwrap_or_default(),
                }
            }
            "specific" => {
                let members = self.object(at, "an object with `type`", &["type", "mapping"])?;
                let fix = "list the upstream fields of each field, `\"mapping\": {\"audio\": [\"sound\"]}`";
                let at = self.required(&members, "mapping", fix)?;
                let Value::Object(fields) = at.value else {
                    self.wrong_type(&at, "an object of field keys");
                    return None;
                };
                let fields = fields.iter().filter_map(|(name, value)| {
                    let path = at.member(name);
                    let field =
                        self.field_key(&At { value: &name.as_str().into(), path: path.clone() });
                    let upstream = self.field_keys(&At { value, path });
                    Some((field?, upstream))
                });
                FieldsMapping::Specific(fields.collect())
            }
            kind => {
                self.object(at, "an object with `type`", &["type"])?;
                if kind == "all" { FieldsMapping::All } else { FieldsMapping::None }
            }
        })
    }

    fn lineage(&mut self, at: At<'_>) -> Option<Lineage> {
        let outer = self.object(at, "an object with `relationship`", &["relationship"])?;
        let fix = "say which one, `\"relationship\": {\"type\": \"1:1\"}`";
        let at = self.required(&outer, "relationship", fix)?;
        let columns = "a list of column names";
        Some(match self.type_of(&at, &["1:1", "N:1", "1:N"])? {
            "N:1" => {
                let members = self.object(at, "an object with `type`", &["type", "on"])?;
                let on = members.some("on").map(|at| self.texts(&at, columns));
                Lineage::Aggregation { on }
            }
            "1:N" => {
                let names = &["type", "on", "id_generation_pattern"];
                let members = self.object(at, "an object with `type`", names)?;
                let fix = "name the columns of the parent, `\"on\": [\"id\"]`";
                let on = self.required(&members, "on", fix);
                let pattern = members.some("id_generation_pattern");
                Lineage::Expansion {
                    on: on.map(|at| self.texts(&at, columns)).unwrap_or_default(),
                    id_generation_pattern: pattern.and_then(|at| self.text(&at)),
                }
            }
            _ => {
                self.object(at, "an object with `type`", &["type"])?;
                Lineage::Identity
            }
        })
    }

    /// The member `type`, which says what the other members are.
    fn type_of(&mut self, at: &At<'_>, types: &'static [&'static str]) -> Option<&'static str> {
        if !at.value.is_object() {
            self.wrong_type(at, "an object with `type`");
            return None;
        }
        let Some(value) = at.value.get("type") else {
            self.report(&at.path, SpecProblem::NoType { expected: types });
            return None;
        };
        let at = At { value, path: at.member("type") };
        let text = self.text(&at)?;
        let known = types.iter().find(|ty| **ty == text);
        if known.is_none() {
            self.report(&at.path, SpecProblem::Value { found: text, expected: types });
        }
        known.copied()
    }

    fn fields(&mut self, at: &At<'_>) -> Vec<FieldSpec> {
        let items = self.items(at, "a list of fields");
        let fields = items.into_iter().filter_map(|item| {
            let field = self.field(item);
            self.field = None;
            field
        });
        fields.collect()
    }

    fn field(&mut self, at: At<'_>) -> Option<FieldSpec> {
        if at.value.is_string() || at.value.is_array() {
            return self.field_key(&at).map(FieldSpec::new);
        }
        let key = match at.value.get("key") {
            Some(value) => self.field_key(&At { value, path: at.member("key") }),
            None => FieldKey::new(DEFAULT_FIELD).ok(),
        };
        self.field = key.as_ref().map(ToString::to_string);
        let names = &["key", "code_version", "deps"];
        let members = self.object(at, "a field key or an object with `key`", names)?;
        let code_version = members.get("code_version").and_then(|at| self.text(&at));
        let deps = members.some("deps").and_then(|at| self.field_deps(&at));
        Some(FieldSpec {
            key: key?,
            code_version: code_version.unwrap_or_else(|| INITIAL_CODE_VERSION.to_owned()),
            deps: deps.unwrap_or(FieldDeps::Mapped),
            renamed_from: None,
        })
    }

    fn field_deps(&mut self, at: &At<'_>) -> Option<FieldDeps> {
        if self.is_all(at)? {
            return Some(FieldDeps::All);
        }
        let items = self.items(at, "a list of upstream fields");
        if items.is_empty() {
            return Some(FieldDeps::Mapped);
        }
        Some(FieldDeps::Fields(items.into_iter().filter_map(|at| self.field_dep(at)).collect()))
    }

    fn field_dep(&mut self, at: At<'_>) -> Option<FieldDep> {
        if at.value.is_string() || at.value.is_array() {
            return self.feature_key(&at).map(|feature| FieldDep { feature, fields: None });
        }
        let expected = "a feature key or an object with `feature` and `fields`";
        let members = self.object(at, expected, &["feature", "fields"])?;
        let fix = "name the upstream feature, `\"feature\": \"example/video\"`";
        let feature = self.required(&members, "feature", fix).and_then(|at| self.feature_key(&at));
        let fields = match members.get("fields") {
            Some(at) if !self.is_all(&at)? => Some(self.field_keys(&at)),
            _ => None,
        };
        Some(FieldDep { feature: feature?, fields })
    }

    /// Whether the value is the text that stands for everything; `None` if it is another text.
    fn is_all(&mut self, at: &At<'_>) -> Option<bool> {
        match at.value.as_str() {
            Some(ALL) => Some(true),
            Some(text) => {
                let problem = SpecProblem::Value { found: text.to_owned(), expected: &[ALL] };
                self.report(&at.path, problem);
                None
            }
            None => Some(false),
        }
    }
}

fn default_fields() -> Option<FieldSpec> {
    FieldKey::new(DEFAULT_FIELD).ok().map(FieldSpec::new)
}

/// Enough of a value to find it.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 40;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
