//! The columns of a table, and whether a file's columns fit among them.
//!
//! Delta's readers put null where a file lacks a column, so a table may gain columns. What a column is may not change while files of the
//! old type are in the table, except to a wider type where the table has the feature `typeWidening`. When all files are replaced, the
//! columns are rebuilt from the new files.

use crate::footer::FileSchema;
use crate::types::{DataType, Field, TypeChange};
use crate::unfit::{REASONS_MAX, Unfit, shortened};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether columns may become wider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Widening {
    /// A file of a wider type is unfit.
    #[default]
    Refused,
    /// The table gets the feature `typeWidening`, which delta-rs 1.6 and Polars 2.1 do not read.
    Declared,
}

/// Columns of a table, including those that hold only nulls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableSchema {
    pub fields: Vec<Field>,
    /// Columns whose values are in the folders of a file's path. Their type is string.
    pub partition_columns: Vec<String>,
}

/// Reason why two types cannot be merged.
enum Clash {
    /// They could be, if the table's type were widened.
    Wider,
    Other,
    CaseOnly(String, String),
}

impl TableSchema {
    /// Creates a schema without columns. It gets those of the first file.
    pub fn new(partition_columns: Vec<String>) -> Self {
        Self { fields: Vec::new(), partition_columns }
    }

    /// Whether at least one column is visible to readers.
    pub fn is_readable(&self) -> bool {
        self.fields.iter().any(|field| field.data_type.is_known())
    }

    /// All columns in the order of `schemaString`: those of the files, then the partition columns.
    pub fn all_fields(&self) -> Vec<Field> {
        let partitions = self.partition_columns.iter().map(|name| Field::new(name, DataType::String));
        self.fields.iter().cloned().chain(partitions).collect()
    }

    /// Whether a column has a type like this.
    pub(crate) fn any(&self, test: &impl Fn(&DataType) -> bool) -> bool {
        self.fields.iter().any(|field| field.data_type.any(test))
    }

    pub(crate) fn is_widened(&self) -> bool {
        fn is_any(fields: &[Field]) -> bool {
            fields.iter().any(|field| !field.type_changes.is_empty() || is_within(&field.data_type))
        }
        fn is_within(kind: &DataType) -> bool {
            match kind {
                DataType::Struct(fields) => is_any(fields),
                DataType::Array(element) => is_within(element),
                _ => false,
            }
        }
        is_any(&self.fields)
    }

    /// Returns this schema with the columns of a file added.
    ///
    /// # Errors
    /// The reasons why the file cannot be in the table.
    pub fn with(&self, file: &FileSchema, widening: Widening) -> Result<Self, Vec<Unfit>> {
        if !file.unfit.is_empty() {
            return Err(file.unfit.clone());
        }
        let mut unfit = Vec::new();
        let is_partition =
            |name: &str| self.partition_columns.iter().any(|one| one.to_lowercase() == name.to_lowercase());
        let mut fields = self.fields.clone();
        let mut by_name = numbered(&fields);
        // A partition's value is that of the folder, whatever the file says.
        for column in file.fields.iter().filter(|field| !is_partition(&field.name)) {
            let Some(&at) = by_name.get(&column.name.to_lowercase()) else {
                by_name.insert(column.name.to_lowercase(), fields.len());
                fields.push(column.clone());
                continue;
            };
            let before = fields[at].clone();
            match merged_field(&before, column, widening) {
                Ok(field) => fields[at] = field,
                Err(clash) => unfit.push(reason(&before, column, clash)),
            }
        }
        unfit.truncate(REASONS_MAX);
        let schema = Self { fields, partition_columns: self.partition_columns.clone() };
        if unfit.is_empty() && !schema.is_readable() {
            unfit.push(Unfit::NoColumns);
        }
        if unfit.is_empty() { Ok(schema) } else { Err(unfit) }
    }
}

fn reason(table: &Field, file: &Field, clash: Clash) -> Unfit {
    let column = shortened(&table.name);
    let (table_type, file_type) = (shortened(&table.data_type.to_string()), shortened(&file.data_type.to_string()));
    match clash {
        Clash::Wider => Unfit::WiderType { column, table_type, file_type },
        Clash::Other => Unfit::OtherType { column, table_type, file_type },
        Clash::CaseOnly(column, other) => Unfit::CaseOnly { column: shortened(&column), other: shortened(&other) },
    }
}

fn numbered(fields: &[Field]) -> BTreeMap<String, usize> {
    fields.iter().enumerate().map(|(at, field)| (field.name.to_lowercase(), at)).collect()
}

/// Merges two columns of the same name.
fn merged_field(table: &Field, file: &Field, widening: Widening) -> Result<Field, Clash> {
    if table.name != file.name {
        return Err(Clash::CaseOnly(table.name.clone(), file.name.clone()));
    }
    let mut type_changes = table.type_changes.clone();
    let data_type = merged(&table.data_type, &file.data_type, widening, "", &mut type_changes)?;
    Ok(Field { name: table.name.clone(), data_type, type_changes })
}

/// Merges two types. `path` leads from the field to the type, through lists.
fn merged(
    table: &DataType,
    file: &DataType,
    widening: Widening,
    path: &str,
    changes: &mut Vec<TypeChange>,
) -> Result<DataType, Clash> {
    use DataType::{Array, Map, Null, Struct};
    match (table, file) {
        (one, other) if one == other => Ok(one.clone()),
        // Sail reads nulls alone as no list.
        (Null, Array(_) | Map(..)) | (Array(_) | Map(..), Null) => Err(Clash::Other),
        (Null, other) | (other, Null) => Ok(other.clone()),
        (Array(one), Array(other)) => {
            let path = if path.is_empty() { "element".to_owned() } else { format!("{path}.element") };
            Ok(Array(Box::new(merged(one, other, widening, &path, changes)?)))
        }
        (Struct(one), Struct(other)) => merged_struct(one, other, widening),
        // delta-rs reads maps of exactly the table's type; so these two are told apart.
        (Map(..), _) | (_, Map(..)) => Err(Clash::Other),
        _ => {
            // Where the table's is the wider one, the file is as one that came before it was widened.
            let (narrow, wide) = if widens(table, file) { (table, file) } else { (file, table) };
            if !widens(narrow, wide) {
                return Err(Clash::Other);
            }
            if widening == Widening::Refused {
                return Err(Clash::Wider);
            }
            let field_path = (!path.is_empty()).then(|| path.to_owned());
            let change = TypeChange { from_type: narrow.to_string(), to_type: wide.to_string(), field_path };
            if !changes.contains(&change) {
                changes.push(change);
            }
            Ok(wide.clone())
        }
    }
}

/// Fields that only one of them has are null in the other. Of two without a common field, Sail reads none.
fn merged_struct(one: &[Field], other: &[Field], widening: Widening) -> Result<DataType, Clash> {
    let mut fields = one.to_vec();
    let mut by_name = numbered(&fields);
    let mut is_common = false;
    for field in other {
        match by_name.get(&field.name.to_lowercase()) {
            Some(&at) => {
                let merged = merged_field(&fields[at], field, widening)?;
                is_common |= fields[at].data_type.is_known() && field.data_type.is_known();
                fields[at] = merged;
            }
            None => {
                by_name.insert(field.name.to_lowercase(), fields.len());
                fields.push(field.clone());
            }
        }
    }
    if is_common { Ok(DataType::Struct(fields)) } else { Err(Clash::Other) }
}

/// Whether the protocol allows a column of the one type to become of the other.
fn widens(narrow: &DataType, wide: &DataType) -> bool {
    use DataType::{Byte, Date, Decimal, Double, Float, Integer, Long, Short, TimestampNtz};
    match (narrow, wide) {
        (Byte, Short | Integer | Long | Double)
        | (Short, Integer | Long | Double)
        | (Integer, Long | Double)
        | (Float, Double)
        | (Date, TimestampNtz) => true,
        (Byte | Short | Integer, Decimal { precision, scale }) => *precision >= 10 + *scale,
        (Long, Decimal { precision, scale }) => *precision >= 20 + *scale,
        (Decimal { precision: few, scale: from }, Decimal { precision: many, scale: to }) => {
            from <= to && few <= many && many - few >= to - from
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(fields: &[(&str, DataType)]) -> FileSchema {
        let fields = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone())).collect();
        FileSchema { fields, ..FileSchema::default() }
    }

    fn table(fields: &[(&str, DataType)]) -> TableSchema {
        TableSchema { fields: file(fields).fields, partition_columns: Vec::new() }
    }

    fn list(of: DataType) -> DataType {
        DataType::Array(Box::new(of))
    }

    fn structure(fields: &[(&str, DataType)]) -> DataType {
        DataType::Struct(file(fields).fields)
    }

    #[test]
    fn columns_are_added_in_the_order_in_which_they_come() {
        let before = table(&[("b", DataType::Long)]);
        let after = before.with(&file(&[("a", DataType::Date), ("b", DataType::Long)]), Widening::Refused).unwrap();
        assert_eq!(after, table(&[("b", DataType::Long), ("a", DataType::Date)]));
        assert_eq!(after.with(&file(&[("a", DataType::Date)]), Widening::Refused).unwrap(), after);
    }

    #[test]
    fn another_type_is_unfit_and_says_what_to_do() {
        let before = table(&[("a", DataType::Long), ("b", DataType::Date)]);
        let reasons = before
            .with(
                &file(&[("a", DataType::String), ("b", DataType::TimestampNtz), ("B", DataType::Date)]),
                Widening::Refused,
            )
            .unwrap_err();
        let words: Vec<_> = reasons.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                r#"column "a" is string in this file and long in the table; write it as long, or replace all files in a full sync"#,
                concat!(
                    r#"column "b" is timestamp_ntz in this file and date in the table; write it as date, "#,
                    "or replace all files in a full sync"
                ),
                r#"columns "b" and "B" differ only in upper and lower case; rename one of them"#,
            ]
        );
    }

    #[test]
    fn nulls_alone_take_the_type_that_comes_except_that_of_a_list() {
        let nulls = table(&[("a", DataType::Null), ("id", DataType::Long)]);
        let with = |kind| nulls.with(&file(&[("a", kind)]), Widening::Refused);
        assert_eq!(with(DataType::Date).unwrap().fields[0].data_type, DataType::Date);
        assert!(with(list(DataType::Date)).is_err());
        let lists = table(&[("a", list(DataType::Null)), ("id", DataType::Long)]);
        let known = lists.with(&file(&[("a", list(DataType::Date))]), Widening::Refused).unwrap();
        assert_eq!(known.fields[0].data_type, list(DataType::Date));
        assert!(lists.with(&file(&[("a", list(list(DataType::Date)))]), Widening::Refused).is_err());
    }

    #[test]
    fn a_table_of_nulls_alone_is_none() {
        let empty = TableSchema::default();
        assert_eq!(empty.with(&file(&[("a", DataType::Null)]), Widening::Refused), Err(vec![Unfit::NoColumns]));
        assert_eq!(empty.with(&file(&[]), Widening::Refused), Err(vec![Unfit::NoColumns]));
        assert!(table(&[("a", DataType::Long)]).with(&file(&[]), Widening::Refused).is_ok());
    }

    #[test]
    fn structs_gain_fields_and_need_a_common_one_and_maps_do_not_change() {
        let one = structure(&[("x", DataType::Long)]);
        let more = structure(&[("y", DataType::Date), ("x", DataType::Long)]);
        let other = structure(&[("y", DataType::Date)]);
        let with = |of: &dyn Fn(DataType) -> DataType, kind: &DataType| {
            table(&[("a", of(one.clone()))]).with(&file(&[("a", of(kind.clone()))]), Widening::Refused)
        };
        let merged = structure(&[("x", DataType::Long), ("y", DataType::Date)]);
        assert_eq!(with(&|kind| kind, &more).unwrap().fields[0].data_type, merged);
        assert_eq!(with(&list, &more).unwrap().fields[0].data_type, list(merged));
        assert!(with(&|kind| kind, &other).is_err());
        let map = |value| DataType::Map(Box::new(DataType::String), Box::new(value));
        assert!(with(&map, &one).is_ok());
        assert!(with(&map, &more).is_err());
    }

    #[test]
    fn widening_is_recorded_where_it_is_allowed() {
        let before = table(&[
            ("a", DataType::Integer),
            ("l", list(DataType::Float)),
            ("s", structure(&[("x", DataType::Byte)])),
        ]);
        let wider =
            file(&[("a", DataType::Long), ("l", list(DataType::Double)), ("s", structure(&[("x", DataType::Short)]))]);
        let reasons = before.with(&wider, Widening::Refused).unwrap_err();
        assert!(reasons.iter().all(|reason| matches!(reason, Unfit::WiderType { .. })), "{reasons:?}");
        let after = before.with(&wider, Widening::Declared).unwrap();
        assert!(after.is_widened() && !before.is_widened());
        assert_eq!(
            crate::types::schema_string(&after.fields).unwrap(),
            concat!(
                r#"{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"#,
                r#""metadata":{"delta.typeChanges":[{"fromType":"integer","toType":"long"}]}},"#,
                r#"{"name":"l","type":{"type":"array","elementType":"double","containsNull":true},"nullable":true,"#,
                r#""metadata":{"delta.typeChanges":[{"fromType":"float","toType":"double","fieldPath":"element"}]}},"#,
                r#"{"name":"s","type":{"type":"struct","fields":[{"name":"x","type":"short","nullable":true,"#,
                r#""metadata":{"delta.typeChanges":[{"fromType":"byte","toType":"short"}]}}]},"nullable":true,"metadata":{}}]}"#
            )
        );
        let narrow = after.with(&file(&[("a", DataType::Short)]), Widening::Declared).unwrap();
        assert_eq!(narrow.fields[0].data_type, DataType::Long);
        let at = DataType::TimestampNtz;
        let again = table(&[("a", DataType::Timestamp)]).with(&file(&[("a", at)]), Widening::Declared);
        assert!(matches!(again.unwrap_err()[..], [Unfit::OtherType { .. }]));
    }

    #[test]
    fn decimals_widen_by_the_rules_of_the_protocol() {
        let of = |precision, scale| DataType::Decimal { precision, scale };
        assert!(widens(&of(5, 2), &of(10, 2)) && widens(&of(5, 2), &of(6, 3)) && widens(&DataType::Long, &of(20, 0)));
        assert!(
            !widens(&of(5, 2), &of(5, 3)) && !widens(&of(5, 2), &of(10, 1)) && !widens(&DataType::Long, &of(20, 1))
        );
    }

    fn any_type() -> impl Strategy<Value = DataType> {
        let leaf = prop::sample::select(vec![
            DataType::Null,
            DataType::Byte,
            DataType::Integer,
            DataType::Long,
            DataType::Double,
            DataType::Decimal { precision: 20, scale: 0 },
            DataType::Date,
            DataType::TimestampNtz,
        ]);
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(list),
                prop::collection::btree_map("[ab]", inner.clone(), 1..3).prop_map(|map| DataType::Struct(
                    map.into_iter().map(|(name, kind)| Field::new(name, kind)).collect()
                )),
                inner.prop_map(|value| DataType::Map(Box::new(DataType::String), Box::new(value))),
            ]
        })
    }

    fn any_file() -> impl Strategy<Value = FileSchema> {
        prop::collection::btree_map("[a-c]", any_type(), 0..4).prop_map(|map| FileSchema {
            fields: map.into_iter().map(|(name, kind)| Field::new(name, kind)).collect(),
            ..FileSchema::default()
        })
    }

    proptest! {
        #[test]
        fn a_table_that_has_taken_a_file_takes_it_again_and_stays_as_it_is(
            files in prop::collection::vec(any_file(), 1..5),
            widening in prop::sample::select(vec![Widening::Refused, Widening::Declared]),
        ) {
            let mut table = TableSchema::default();
            let mut taken = Vec::new();
            for file in files {
                if let Ok(after) = table.with(&file, widening) {
                    prop_assert!(after.is_readable());
                    prop_assert_eq!(after.is_widened() && widening == Widening::Refused, false);
                    table = after;
                    taken.push(file);
                }
            }
            for file in &taken {
                let again = table.with(file, widening);
                prop_assert!(again.is_ok(), "{:?} {:?}", table, file);
                // The record of how a type was widened may grow, the columns do not.
                let kinds = |schema: &TableSchema| schema.fields.iter()
                    .map(|field| (field.name.clone(), field.data_type.to_string())).collect::<Vec<_>>();
                prop_assert_eq!(kinds(&again.unwrap()), kinds(&table));
            }
        }
    }
}
