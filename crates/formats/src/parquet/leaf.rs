//! Elements of a file's schema, as listed in the footer: groups and leaves, depth first.

use super::thrift::Fields;
use std::ops::Range;

/// Physical types, by their numbers in `parquet.thrift`.
pub(super) mod physical {
    pub(crate) const BOOLEAN: i64 = 0;
    pub(crate) const INT32: i64 = 1;
    pub(crate) const INT64: i64 = 2;
    pub(crate) const INT96: i64 = 3;
    pub(crate) const FLOAT: i64 = 4;
    pub(crate) const DOUBLE: i64 = 5;
    pub(crate) const BYTES: i64 = 6;
    pub(crate) const FIXED: i64 = 7;
}

const CONVERTED_UTF8: i64 = 0;
const CONVERTED_ENUM: i64 = 4;
const CONVERTED_DECIMAL: i64 = 5;
const CONVERTED_UINT_8: i64 = 11;
const CONVERTED_UINT_16: i64 = 12;
const CONVERTED_INT_8: i64 = 15;
const CONVERTED_INT_16: i64 = 16;
const NARROW: [i64; 4] = [CONVERTED_UINT_8, CONVERTED_UINT_16, CONVERTED_INT_8, CONVERTED_INT_16];
const CONVERTED_JSON: i64 = 19;
const CONVERTED_BSON: i64 = 20;
const CONVERTED_INTERVAL: i64 = 21;
const LOGICAL_STRING: i16 = 1;
const LOGICAL_ENUM: i16 = 4;
const LOGICAL_DECIMAL: i16 = 5;
const LOGICAL_TIME: i16 = 7;
const LOGICAL_INTEGER: i16 = 10;
const LOGICAL_JSON: i16 = 12;
const LOGICAL_BSON: i16 = 13;
const LOGICAL_UUID: i16 = 14;
const LOGICAL_VARIANT: i16 = 16;
const LOGICAL_GEOMETRY: i16 = 17;
const LOGICAL_GEOGRAPHY: i16 = 18;

/// Longest decimal for which the arrow crate has a type.
const DECIMAL_BYTES_MAX: i64 = 32;

/// Meaning of a leaf beyond its arrow type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LeafKind {
    #[default]
    Plain,
    /// Timestamp of 12 bytes, read as bytes: it may exceed 64 bits of nanoseconds.
    Int96,
    /// Months, days and milliseconds, read as bytes: the arrow crate drops the months.
    Interval,
    Uuid,
    /// String or JSON, read as bytes: the parquet crate validates UTF-8 only for one of the two string annotations, and
    /// assumes it for the other.
    Text,
    /// Text with one of several fixed values.
    Enum,
    /// Time of day in UTC.
    TimeUtc,
    /// Integer with fewer bits than it is stored in. It is read as stored, since the arrow crate drops the other bits.
    Narrow(&'static str),
    /// Decimal that is read as bytes: the arrow crate has no type for it, or panics when a value is longer than its
    /// type.
    Decimal {
        precision: i64,
        scale: i64,
    },
    /// Bytes in the format of this name.
    Bytes(&'static str),
    /// Field names of a variant. The group around it is one value.
    VariantMetadata,
}

impl LeafKind {
    /// Whether the crate gets this leaf without its annotations.
    pub(super) fn is_read_as_bytes(self) -> bool {
        matches!(self, Self::Int96 | Self::Interval | Self::Text | Self::Decimal { .. } | Self::Narrow(_))
    }
}

/// Element of the schema.
pub(super) struct Element<'a> {
    pub(super) fields: Fields<'a>,
    /// Index of the leaf, if it is one.
    pub(super) leaf: Option<usize>,
}

impl Element<'_> {
    pub(super) fn physical(&self) -> Option<i64> {
        self.fields.number(1)
    }

    fn kind(&self) -> LeafKind {
        let logical = self.fields.fields(10);
        let is_logical = |id| logical.as_ref().and_then(Fields::first) == Some(id);
        let (physical, length, converted) = (self.physical(), self.fields.number(2), self.fields.number(6));
        let is_annotated = |by_logical: &[i16], by_converted: &[i64]| match &logical {
            Some(logical) => logical.first().is_some_and(|kind| by_logical.contains(&kind)),
            None => converted.is_some_and(|kind| by_converted.contains(&kind)),
        };
        match (physical, length) {
            (Some(physical::INT96), _) => LeafKind::Int96,
            (Some(physical::FIXED), Some(12)) if logical.is_none() && converted == Some(CONVERTED_INTERVAL) => {
                LeafKind::Interval
            }
            (Some(physical::FIXED), Some(16)) if is_logical(LOGICAL_UUID) => LeafKind::Uuid,
            (Some(physical::BYTES), _)
                if is_annotated(&[LOGICAL_STRING, LOGICAL_JSON], &[CONVERTED_UTF8, CONVERTED_JSON]) =>
            {
                LeafKind::Text
            }
            (Some(physical::INT32), _) if is_annotated(&[LOGICAL_INTEGER], &NARROW) => {
                let logical = logical.as_ref().and_then(|logical| logical.fields(LOGICAL_INTEGER));
                let by_logical = logical.map(|integer| (integer.number(1), integer.is_true(2)));
                match (by_logical, converted) {
                    (Some((Some(8), false)), _) | (None, Some(CONVERTED_UINT_8)) => LeafKind::Narrow("uint8"),
                    (Some((Some(16), false)), _) | (None, Some(CONVERTED_UINT_16)) => LeafKind::Narrow("uint16"),
                    (Some((Some(8), true)), _) | (None, Some(CONVERTED_INT_8)) => LeafKind::Narrow("int8"),
                    (Some((Some(16), true)), _) | (None, Some(CONVERTED_INT_16)) => LeafKind::Narrow("int16"),
                    _ => LeafKind::Plain,
                }
            }
            (Some(physical::INT32 | physical::INT64 | physical::BYTES | physical::FIXED), _)
                if is_annotated(&[LOGICAL_DECIMAL], &[CONVERTED_DECIMAL]) =>
            {
                self.decimal(logical.as_ref())
            }
            (Some(physical::BYTES), _) if is_annotated(&[LOGICAL_BSON], &[CONVERTED_BSON]) => LeafKind::Bytes("bson"),
            (Some(physical::BYTES), _) if is_logical(LOGICAL_GEOMETRY) => LeafKind::Bytes("geometry"),
            (Some(physical::BYTES), _) if is_logical(LOGICAL_GEOGRAPHY) => LeafKind::Bytes("geography"),
            _ if is_annotated(&[LOGICAL_ENUM], &[CONVERTED_ENUM]) => LeafKind::Enum,
            _ if is_logical(LOGICAL_TIME) => {
                let time = logical.as_ref().and_then(|logical| logical.fields(LOGICAL_TIME));
                if time.is_some_and(|time| time.is_true(1)) { LeafKind::TimeUtc } else { LeafKind::Plain }
            }
            _ => LeafKind::Plain,
        }
    }

    /// `Plain` if the arrow crate has a type for it.
    fn decimal(&self, logical: Option<&Fields<'_>>) -> LeafKind {
        let decimal = logical.and_then(|logical| logical.fields(LOGICAL_DECIMAL));
        let (precision, scale) = match decimal {
            Some(decimal) => (decimal.number(2), decimal.number(1)),
            None => (self.fields.number(8), self.fields.number(7)),
        };
        let (precision, scale) = (precision.unwrap_or(0), scale.unwrap_or(0));
        let bytes = match self.physical() {
            Some(physical::INT32) => 4,
            Some(physical::INT64) => 8,
            Some(physical::FIXED) => self.fields.number(2).unwrap_or(0),
            _ => 0,
        };
        // Digits that always fit: bits times log10(2).
        let digits_max = (8 * bytes.clamp(0, DECIMAL_BYTES_MAX) - 1) * 30_103 / 100_000;
        let is_within = (1..=digits_max).contains(&precision) && (0..=precision).contains(&scale);
        let has_type = is_within && bytes <= DECIMAL_BYTES_MAX;
        if has_type { LeafKind::Plain } else { LeafKind::Decimal { precision, scale } }
    }

    fn is_variant(&self) -> bool {
        self.fields.fields(10).as_ref().and_then(Fields::first) == Some(LOGICAL_VARIANT)
    }
}

/// Column of the table: a root of the schema, in the order of the file.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) name: String,
    pub(super) nullable: bool,
    /// Its elements, beginning with the root itself.
    pub(super) elements: Range<usize>,
    /// Empty for a group of groups without values.
    pub(super) leaves: Range<usize>,
}

/// Schema of a file. The first element is the schema itself.
pub(super) struct Elements<'a> {
    pub(super) all: Vec<Element<'a>>,
    pub(super) roots: Vec<Root>,
    pub(super) leaves: Vec<LeafKind>,
}

impl<'a> Elements<'a> {
    /// Parses the list. `None` if it is not a tree.
    pub(super) fn parse(list: &[&'a [u8]]) -> Option<Self> {
        const OPTIONAL: i64 = 1;
        let mut all = Vec::with_capacity(list.len());
        let (mut roots, mut leaves): (Vec<Root>, Vec<LeafKind>) = (Vec::new(), Vec::new());
        // Children that remain in each open group.
        let mut open: Vec<i64> = Vec::new();
        // Number of open groups at the children of a variant.
        let mut depth_in_variant = None;
        for (index, bytes) in list.iter().enumerate() {
            let fields = Fields::parse(bytes)?;
            let children = fields.number(5).unwrap_or(0);
            if index > 0 && open.is_empty() {
                return None;
            }
            if open.len() == 1 {
                roots.push(Root {
                    name: String::from_utf8_lossy(fields.binary(4)?).into_owned(),
                    nullable: fields.number(3) == Some(OPTIONAL),
                    elements: index..index,
                    leaves: leaves.len()..leaves.len(),
                });
            }
            let is_leaf = index > 0 && fields.has(1) && children <= 0;
            let element = Element { fields, leaf: is_leaf.then_some(leaves.len()) };
            if is_leaf {
                let is_metadata =
                    depth_in_variant == Some(open.len()) && element.fields.binary(4) == Some(b"metadata".as_slice());
                leaves.push(if is_metadata { LeafKind::VariantMetadata } else { element.kind() });
            } else if children > 0 && element.is_variant() {
                depth_in_variant = Some(open.len() + 1);
            }
            all.push(element);
            if let Some(root) = roots.last_mut() {
                root.elements.end = index + 1;
                root.leaves.end = leaves.len();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            while open.last() == Some(&0) {
                open.pop();
            }
        }
        open.is_empty().then_some(Self { all, roots, leaves })
    }
}
