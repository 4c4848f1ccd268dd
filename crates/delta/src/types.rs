//! Delta's types, and how `schemaString` writes them.

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// A type of a column, or of a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    Boolean,
    Byte,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Binary,
    Date,
    /// An instant, in microseconds since 1970 UTC.
    Timestamp,
    /// A time on a calendar and a clock, of no zone.
    TimestampNtz,
    Array(Box<DataType>),
    Map(Box<DataType>, Box<DataType>),
    Struct(Vec<Field>),
    /// Nulls alone: Parquet has a type for them, Delta has one that DuckDB and Sail do not read. A column of it is in no schema until
    /// a file gives it another type.
    Null,
}

/// A column, or a field of a struct. All may be null: a file that lacks a column has nulls in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub data_type: DataType,
    /// Earlier types of the column, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub type_changes: Vec<TypeChange>,
}

/// One widening of a type, as the table feature `typeWidening` records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeChange {
    pub from_type: String,
    pub to_type: String,
    /// Within a list: `element`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
}

impl Field {
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self { name: name.into(), data_type, type_changes: Vec::new() }
    }
}

impl DataType {
    /// Whether it can be in a schema: it holds something other than nulls.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Array(element) => element.is_known(),
            Self::Map(key, value) => key.is_known() && value.is_known(),
            Self::Struct(fields) => fields.iter().any(|field| field.data_type.is_known()),
            _ => true,
        }
    }

    /// Whether a type like this is in it.
    pub fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        test(self)
            || match self {
                Self::Array(element) => element.any(test),
                Self::Map(key, value) => key.any(test) || value.any(test),
                Self::Struct(fields) => fields.iter().any(|field| field.data_type.any(test)),
                _ => false,
            }
    }

    /// The name of a type without parts.
    fn primitive(&self) -> Option<std::borrow::Cow<'static, str>> {
        Some(
            match self {
                Self::Boolean => "boolean",
                Self::Byte => "byte",
                Self::Short => "short",
                Self::Integer => "integer",
                Self::Long => "long",
                Self::Float => "float",
                Self::Double => "double",
                Self::Decimal { precision, scale } => return Some(format!("decimal({precision},{scale})").into()),
                Self::String => "string",
                Self::Binary => "binary",
                Self::Date => "date",
                Self::Timestamp => "timestamp",
                Self::TimestampNtz => "timestamp_ntz",
                Self::Null => "void",
                Self::Array(_) | Self::Map(..) | Self::Struct(_) => return None,
            }
            .into(),
        )
    }
}

/// For people: `array<struct<a: long>>`.
impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(element) => write!(f, "array<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (at, field) in fields.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", field.name, field.data_type)?;
                }
                f.write_str(">")
            }
            Self::Null => f.write_str("null"),
            other => f.write_str(&other.primitive().unwrap_or_default()),
        }
    }
}

/// The text of `schemaString`. Fields of nulls alone are left out.
///
/// # Errors
/// None that a list of fields can cause.
pub fn schema_string(fields: &[Field]) -> Result<String, serde_json::Error> {
    serde_json::to_string(&AsStruct(fields))
}

/// A type as the schema writes it.
struct AsType<'a>(&'a DataType);
struct AsStruct<'a>(&'a [Field]);
struct AsFields<'a>(&'a [Field]);
struct AsField<'a>(&'a Field);

impl Serialize for AsType<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            DataType::Array(element) => {
                let mut array = serializer.serialize_struct("array", 3)?;
                array.serialize_field("type", "array")?;
                array.serialize_field("elementType", &AsType(element))?;
                array.serialize_field("containsNull", &true)?;
                array.end()
            }
            DataType::Map(key, value) => {
                let mut map = serializer.serialize_struct("map", 4)?;
                map.serialize_field("type", "map")?;
                map.serialize_field("keyType", &AsType(key))?;
                map.serialize_field("valueType", &AsType(value))?;
                map.serialize_field("valueContainsNull", &true)?;
                map.end()
            }
            DataType::Struct(fields) => AsStruct(fields).serialize(serializer),
            other => serializer.serialize_str(&other.primitive().unwrap_or_default()),
        }
    }
}

impl Serialize for AsStruct<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut whole = serializer.serialize_struct("struct", 2)?;
        whole.serialize_field("type", "struct")?;
        whole.serialize_field("fields", &AsFields(self.0))?;
        whole.end()
    }
}

impl Serialize for AsFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for field in self.0.iter().filter(|field| field.data_type.is_known()) {
            list.serialize_element(&AsField(field))?;
        }
        list.end()
    }
}

impl Serialize for AsField<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Metadata<'a> {
            #[serde(rename = "delta.typeChanges", skip_serializing_if = "<[_]>::is_empty")]
            type_changes: &'a [TypeChange],
        }
        let mut field = serializer.serialize_struct("field", 4)?;
        field.serialize_field("name", &self.0.name)?;
        field.serialize_field("type", &AsType(&self.0.data_type))?;
        field.serialize_field("nullable", &true)?;
        field.serialize_field("metadata", &Metadata { type_changes: &self.0.type_changes })?;
        field.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_written_as_the_protocol_shows_it() {
        let inner = vec![
            Field::new("b", DataType::Decimal { precision: 9, scale: 2 }),
            Field::new("nothing", DataType::Null),
            Field::new("at", DataType::TimestampNtz),
        ];
        let fields = vec![
            Field::new("id", DataType::Long),
            Field::new("nulls", DataType::Array(Box::new(DataType::Null))),
            Field::new("s", DataType::Struct(inner)),
            Field::new("m", DataType::Map(Box::new(DataType::String), Box::new(DataType::Date))),
        ];
        assert_eq!(
            schema_string(&fields).unwrap(),
            concat!(
                r#"{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{}},"#,
                r#"{"name":"s","type":{"type":"struct","fields":[{"name":"b","type":"decimal(9,2)","nullable":true,"metadata":{}},"#,
                r#"{"name":"at","type":"timestamp_ntz","nullable":true,"metadata":{}}]},"nullable":true,"metadata":{}},"#,
                r#"{"name":"m","type":{"type":"map","keyType":"string","valueType":"date","valueContainsNull":true},"#,
                r#""nullable":true,"metadata":{}}]}"#
            )
        );
    }

    #[test]
    fn a_type_in_words_shows_its_parts() {
        let of = vec![Field::new("a", DataType::Null), Field::new("b", DataType::Decimal { precision: 5, scale: 0 })];
        let kind = DataType::Array(Box::new(DataType::Struct(of)));
        assert_eq!(kind.to_string(), "array<struct<a: null, b: decimal(5,0)>>");
    }
}
