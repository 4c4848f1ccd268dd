//! Reader of a Parquet file's footer: the file's columns and statistics, in Delta's terms.
//!
//! It reads the schema of the parquet crate, not Lakeshore's own: that one has names and types cut for display, calls INT96 and INT64 of
//! nanoseconds by one name, and has the parts of nested types only in words.
//!
//! A file is a stranger's: call this where a stranger's files may be read, in the process of the readers.

mod leaf;

use crate::stats::{self, Leaf, Reading};
use crate::types::{DataType, Field};
use crate::unfit::{REASONS_MAX, Unfit, shortened};
use leaf::{UnsupportedType, leaf_type, no_type};
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::{Type, TypePtr};
use serde::{Deserialize, Serialize};

/// Columns of a file, those within structs, lists and maps counted.
pub const LEAVES_MAX: usize = 4096;
/// Levels of structs, lists and maps.
pub const DEPTH_MAX: usize = 32;
/// Longest name of a column, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// A file as its table needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDescription {
    pub schema: FileSchema,
    /// JSON of Delta's `stats`.
    pub stats: String,
}

/// The columns of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileSchema {
    pub fields: Vec<Field>,
    /// Why it fits no table; empty where it fits one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<Unfit>,
    /// A column has nanoseconds, which Delta does not: readers round them to microseconds, and those before 1970 each in its own way.
    #[serde(default)]
    pub has_nanoseconds: bool,
}

impl FileDescription {
    /// Describes a file by the bytes of its footer, exactly as they are in the file: a footer that was adapted to a reader has lost
    /// types.
    pub fn of_footer(footer: &[u8]) -> Self {
        match ParquetMetaDataReader::decode_metadata(footer) {
            Ok(metadata) => Self::of(&metadata),
            Err(error) => Self::unreadable(&error.to_string()),
        }
    }

    /// Describes a file whose footer cannot be read.
    pub fn unreadable(problem: &str) -> Self {
        Self::unfit(Unfit::Unreadable { problem: shortened(problem) })
    }

    /// Describes a file that fits no table.
    pub fn unfit(reason: Unfit) -> Self {
        let schema = FileSchema { unfit: vec![reason], ..FileSchema::default() };
        Self { schema, stats: "{}".to_owned() }
    }

    /// Describes a file by its parsed footer.
    pub fn of(metadata: &ParquetMetaData) -> Self {
        let mut walk = Walk::default();
        let root = metadata.file_metadata().schema_descr().root_schema();
        let fields = walk.fields(root.get_fields(), &mut Vec::new(), true);
        walk.check_chunks(metadata);
        let (fields, stats) = if walk.unfit.is_empty() {
            let stats = stats::json(metadata, &walk.leaves);
            (fields, stats)
        } else {
            (Vec::new(), stats::json(metadata, &[]))
        };
        let schema = FileSchema { fields, unfit: walk.unfit, has_nanoseconds: walk.has_nanoseconds };
        Self { schema, stats }
    }

    /// Whether it is what [`Self::of`] can give: it may come from a process that has read a hostile file.
    pub fn is_within_bounds(&self) -> bool {
        fn leaves(fields: &[Field], depth: usize) -> usize {
            fields.iter().map(|field| of_type(&field.data_type, depth).saturating_add(1)).fold(0, usize::saturating_add)
        }
        fn of_type(kind: &DataType, depth: usize) -> usize {
            match kind {
                _ if depth > DEPTH_MAX => usize::MAX,
                DataType::Struct(fields) => leaves(fields, depth + 1),
                DataType::Array(element) => of_type(element, depth + 1),
                DataType::Map(key, value) => of_type(key, depth + 1).saturating_add(of_type(value, depth + 1)),
                _ => 1,
            }
        }
        fn are_short(fields: &[Field]) -> bool {
            fields.iter().all(|field| field.name.len() <= NAME_BYTES_MAX && is_short(&field.data_type))
        }
        fn is_short(kind: &DataType) -> bool {
            !kind.any(&|kind| matches!(kind, DataType::Struct(fields) if fields.iter().any(|one| one.name.len() > NAME_BYTES_MAX)))
        }
        // Each leaf may have as many fields above it as it is deep.
        leaves(&self.schema.fields, 0) <= 2 * LEAVES_MAX * DEPTH_MAX
            && are_short(&self.schema.fields)
            && self.schema.unfit.len() <= REASONS_MAX
            && self.stats.len() <= stats::STATS_BYTES_MAX
    }
}

#[derive(Default)]
struct Walk {
    leaves: Vec<Leaf>,
    num_leaves: usize,
    unfit: Vec<Unfit>,
    has_nanoseconds: bool,
}

impl Walk {
    fn refuse(&mut self, reason: Unfit) {
        if self.unfit.len() < REASONS_MAX && !self.unfit.contains(&reason) {
            self.unfit.push(reason);
        }
    }

    fn fields(&mut self, types: &[TypePtr], path: &mut Vec<String>, has_stats: bool) -> Vec<Field> {
        let mut fields = Vec::with_capacity(types.len().min(LEAVES_MAX));
        for part in types {
            if self.num_leaves > LEAVES_MAX {
                break;
            }
            if part.name().is_empty() || part.name().len() > NAME_BYTES_MAX {
                self.refuse_type(path, part, "one without a name, or with a very long one", "give it a shorter name");
            }
            path.push(part.name().to_owned());
            let data_type = self.data_type(part, path, has_stats);
            path.pop();
            fields.push(Field::new(part.name(), data_type));
        }
        self.check_names(&fields);
        fields
    }

    /// How the values are kept, where not all readers can read that.
    fn check_chunks(&mut self, metadata: &ParquetMetaData) {
        for chunk in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
            let problem = match chunk.compression() {
                Compression::LZ4 => "is compressed with the old codec LZ4",
                Compression::LZO => "is compressed with LZO",
                _ if chunk.file_path().is_some_and(|path| !path.is_empty()) => "has its values in another file",
                _ => continue,
            };
            let column = chunk.column_path().parts().first().map_or("", String::as_str);
            self.refuse(Unfit::UnsupportedChunk { column: shortened(column), problem: problem.to_owned() });
            if self.unfit.len() >= REASONS_MAX {
                break;
            }
        }
    }

    fn check_names(&mut self, fields: &[Field]) {
        let mut names: Vec<(String, &str)> =
            fields.iter().map(|field| (field.name.to_lowercase(), field.name.as_str())).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            let [(one_lower, one), (other_lower, other)] = pair else { continue };
            if one == other {
                self.refuse(Unfit::DuplicateColumn { column: shortened(one) });
            } else if one_lower == other_lower {
                self.refuse(Unfit::CaseOnly { column: shortened(one), other: shortened(other) });
            }
        }
    }

    fn refuse_type(&mut self, path: &[String], part: &Type, kind: &str, remedy: &str) {
        let column = path.first().map_or(part.name(), String::as_str);
        self.refuse(Unfit::UnsupportedType {
            column: shortened(column),
            kind: shortened(kind),
            remedy: remedy.to_owned(),
        });
    }

    fn data_type(&mut self, part: &Type, path: &mut Vec<String>, has_stats: bool) -> DataType {
        if path.len() > DEPTH_MAX {
            self.refuse(Unfit::TooDeep { max: DEPTH_MAX as u64 });
            return DataType::Null;
        }
        if part.is_primitive() {
            return self.leaf(part, path, has_stats);
        }
        let info = part.get_basic_info();
        let is_map = matches!(info.logical_type_ref(), Some(LogicalType::Map))
            || matches!(info.converted_type(), ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE);
        let is_list =
            matches!(info.logical_type_ref(), Some(LogicalType::List)) || info.converted_type() == ConvertedType::LIST;
        let found = match info.logical_type_ref() {
            _ if is_repeated(part) => no_type("a repeated group", "write it as a list"),
            _ if is_map => self.map(part, path),
            _ if is_list => self.list(part, path),
            None => {
                let fields = self.fields(part.get_fields(), path, has_stats);
                if fields.is_empty() {
                    no_type("a struct without fields", "leave it out")
                } else {
                    Ok(DataType::Struct(fields))
                }
            }
            Some(LogicalType::Variant(_)) => no_type("variant", "write it as a string or a struct"),
            Some(_) => no_type("an unknown group", "write it as a struct"),
        };
        found.unwrap_or_else(|UnsupportedType { kind, remedy }| {
            self.refuse_type(path, part, &kind, remedy);
            DataType::Null
        })
    }

    /// Reads a list: of three levels, as Parquet wants it, or of two, as old writers have it.
    fn list(&mut self, list: &Type, path: &mut Vec<String>) -> Result<DataType, UnsupportedType> {
        let [repeated] = list.get_fields() else { return no_type("a list of several parts", "write a standard list") };
        if !is_repeated(repeated) {
            return no_type("a list that is not repeated", "write a standard list");
        }
        let has_two_levels = repeated.is_primitive()
            || repeated.get_fields().len() != 1
            || repeated.name() == "array"
            || repeated.name() == format!("{}_tuple", list.name());
        path.push("element".to_owned());
        let element = if !has_two_levels {
            self.data_type(&repeated.get_fields()[0], path, false)
        } else if repeated.is_primitive() {
            self.leaf_type(repeated, path, false)
        } else {
            DataType::Struct(self.fields(repeated.get_fields(), path, false))
        };
        path.pop();
        Ok(DataType::Array(Box::new(element)))
    }

    fn map(&mut self, map: &Type, path: &mut Vec<String>) -> Result<DataType, UnsupportedType> {
        let pair = match map.get_fields() {
            [entries] if is_repeated(entries) && entries.is_group() => match entries.get_fields() {
                [key, value] => Some((key, value)),
                _ => None,
            },
            _ => None,
        };
        let Some((key, value)) = pair else {
            return no_type("a map without values", "write keys and values, or a list");
        };
        path.push("key".to_owned());
        let key = self.data_type(key, path, false);
        path.pop();
        path.push("value".to_owned());
        let value = self.data_type(value, path, false);
        path.pop();
        Ok(DataType::Map(Box::new(key), Box::new(value)))
    }

    fn leaf(&mut self, part: &Type, path: &[String], has_stats: bool) -> DataType {
        if is_repeated(part) {
            self.num_leaves += 1;
            self.refuse_type(path, part, "a repeated column", "write it as a list");
            return DataType::Null;
        }
        self.leaf_type(part, path, has_stats)
    }

    fn leaf_type(&mut self, part: &Type, path: &[String], has_stats: bool) -> DataType {
        let index = self.num_leaves;
        self.num_leaves += 1;
        if self.num_leaves > LEAVES_MAX {
            self.refuse(Unfit::TooManyColumns { max: LEAVES_MAX as u64 });
            return DataType::Null;
        }
        match leaf_type(part) {
            Ok((data_type, reading)) => {
                self.has_nanoseconds |= matches!(reading, Reading::Timestamp { per_ms: 1_000_000, .. });
                if has_stats && self.leaves.len() < stats::COLUMNS_MAX && data_type != DataType::Null {
                    self.leaves.push(Leaf { index, path: path.to_vec(), reading });
                }
                data_type
            }
            Err(UnsupportedType { kind, remedy }) => {
                self.refuse_type(path, part, &kind, remedy);
                DataType::Null
            }
        }
    }
}

fn is_repeated(part: &Type) -> bool {
    let info = part.get_basic_info();
    info.has_repetition() && info.repetition() == Repetition::REPEATED
}

#[cfg(test)]
mod tests;
