//! Thrift's compact protocol, as far as footers are read and changed before the parquet crate parses them.
//!
//! A struct is split into its fields, each with its encoded bytes; nested structs are parsed on demand.
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

use std::borrow::Cow;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
pub(super) const I32: u8 = 5;
pub(super) const I64: u8 = 6;
pub(super) const BINARY: u8 = 8;
pub(super) const LIST: u8 = 9;
pub(super) const STRUCT: u8 = 12;

/// Deepest nesting of structs and lists. The format itself needs six.
const DEPTH_MAX: usize = 24;

#[derive(Clone)]
struct Field<'a> {
    id: i16,
    kind: u8,
    value: Cow<'a, [u8]>,
}

/// Fields of a struct, by increasing id.
#[derive(Clone, Default)]
pub(super) struct Fields<'a>(Vec<Field<'a>>);

impl<'a> Fields<'a> {
    /// `None` if the bytes are not a struct.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader { bytes };
        let (mut fields, mut id) = (Vec::new(), 0);
        while let Some(kind) = reader.field(&mut id)? {
            fields.push(Field { id, kind, value: Cow::Borrowed(reader.value(kind, 0)?) });
        }
        Some(Self(fields))
    }

    /// Copies the borrowed bytes.
    pub(super) fn into_owned(self) -> Fields<'static> {
        let own = |Field { id, kind, value }: Field<'a>| Field { id, kind, value: Cow::Owned(value.into_owned()) };
        Fields(self.0.into_iter().map(own).collect())
    }

    pub(super) fn has(&self, id: i16) -> bool {
        self.field(id).is_some()
    }

    /// Id of the first field; in a union, its member.
    pub(super) fn first(&self) -> Option<i16> {
        self.0.first().map(|field| field.id)
    }

    pub(super) fn is_true(&self, id: i16) -> bool {
        self.field(id).is_some_and(|field| field.kind == TRUE)
    }

    pub(super) fn is_false(&self, id: i16) -> bool {
        self.field(id).is_some_and(|field| field.kind == FALSE)
    }

    pub(super) fn number(&self, id: i16) -> Option<i64> {
        let field = self.field(id)?;
        match field.kind {
            BYTE => field.value.first().map(|byte| i64::from(byte.cast_signed())),
            4..=6 => Some(unzigzag(Reader { bytes: &field.value }.varint()?)),
            _ => None,
        }
    }

    pub(super) fn binary(&self, id: i16) -> Option<&[u8]> {
        let field = self.field(id).filter(|field| field.kind == BINARY)?;
        let mut reader = Reader { bytes: &field.value };
        reader.varint()?;
        Some(reader.bytes)
    }

    pub(super) fn fields(&self, id: i16) -> Option<Fields<'_>> {
        Fields::parse(&self.field(id).filter(|field| field.kind == STRUCT)?.value)
    }

    /// Items of a list of structs.
    pub(super) fn structs(&self, id: i16) -> Option<Vec<&[u8]>> {
        let field = self.field(id).filter(|field| field.kind == LIST)?;
        let mut reader = Reader { bytes: &field.value };
        let (kind, count) = reader.list()?;
        if kind != STRUCT && count > 0 {
            return None;
        }
        (0..count).map(|_| reader.value(STRUCT, 0)).collect()
    }

    fn field(&self, id: i16) -> Option<&Field<'a>> {
        self.0.iter().find(|field| field.id == id)
    }

    pub(super) fn remove(&mut self, id: i16) {
        self.0.retain(|field| field.id != id);
    }

    pub(super) fn keep(&mut self, ids: &[i16]) {
        self.0.retain(|field| ids.contains(&field.id));
    }

    fn set(&mut self, id: i16, kind: u8, value: Vec<u8>) {
        self.remove(id);
        let at = self.0.partition_point(|field| field.id < id);
        self.0.insert(at, Field { id, kind, value: Cow::Owned(value) });
    }

    pub(super) fn set_number(&mut self, id: i16, kind: u8, number: i64) {
        let mut value = Vec::new();
        write_varint(&mut value, zigzag(number));
        self.set(id, kind, value);
    }

    #[cfg(test)]
    pub(super) fn set_flag(&mut self, id: i16, flag: bool) {
        self.set(id, if flag { TRUE } else { FALSE }, Vec::new());
    }

    pub(super) fn set_binary(&mut self, id: i16, bytes: &[u8]) {
        let mut value = Vec::new();
        write_varint(&mut value, bytes.len() as u64);
        value.extend_from_slice(bytes);
        self.set(id, BINARY, value);
    }

    pub(super) fn set_fields(&mut self, id: i16, fields: &Fields<'_>) {
        self.set(id, STRUCT, fields.to_bytes());
    }

    pub(super) fn set_list(&mut self, id: i16, kind: u8, items: &[Vec<u8>]) {
        let mut value = Vec::new();
        match u8::try_from(items.len()) {
            Ok(count) if count < 15 => value.push(count << 4 | kind),
            _ => {
                value.push(0xf0 | kind);
                write_varint(&mut value, items.len() as u64);
            }
        }
        items.iter().for_each(|item| value.extend_from_slice(item));
        self.set(id, LIST, value);
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (mut bytes, mut last) = (Vec::new(), 0_i16);
        for field in &self.0 {
            match u8::try_from(i32::from(field.id) - i32::from(last)) {
                Ok(step) if (1..16).contains(&step) => bytes.push(step << 4 | field.kind),
                _ => {
                    bytes.push(field.kind);
                    write_varint(&mut bytes, zigzag(field.id.into()));
                }
            }
            bytes.extend_from_slice(&field.value);
            last = field.id;
        }
        bytes.push(0);
        bytes
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Type of the next field, with its id in `id`. The inner `None` is the end of the struct.
    #[expect(clippy::option_option, reason = "the end of the struct differs from the end of the bytes")]
    fn field(&mut self, id: &mut i16) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *id = match head >> 4 {
            0 => i16::try_from(unzigzag(self.varint()?)).ok()?,
            step => id.checked_add(step.into())?,
        };
        Some(Some(head & 0x0f))
    }

    fn list(&mut self) -> Option<(u8, usize)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            count => count.into(),
        };
        // Each item has at least one byte.
        (count <= self.bytes.len()).then_some((head & 0x0f, count))
    }

    /// Encoded bytes of a value.
    fn value(&mut self, kind: u8, depth: usize) -> Option<&'a [u8]> {
        let begin = self.bytes;
        self.skip(kind, depth)?;
        Some(&begin[..begin.len() - self.bytes.len()])
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match kind {
            // The type of the field is the value.
            TRUE | FALSE => {}
            3 => _ = self.byte()?,
            4..=6 => _ = self.varint()?,
            7 => _ = self.take(8)?,
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length)?;
            }
            LIST | 10 => {
                let (kind, count) = self.list()?;
                for _ in 0..count {
                    self.skip_item(kind, depth)?;
                }
            }
            11 => {
                let count = usize::try_from(self.varint()?).ok()?;
                if count > self.bytes.len() {
                    return None;
                }
                let kinds = if count > 0 { self.byte()? } else { 0 };
                for _ in 0..count {
                    self.skip_item(kinds >> 4, depth)?;
                    self.skip_item(kinds & 0x0f, depth)?;
                }
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            13 => _ = self.take(16)?,
            _ => return None,
        }
        Some(())
    }

    /// In a list, a boolean has a byte of its own.
    fn skip_item(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            TRUE | FALSE => self.byte().map(|_| ()),
            kind => self.skip(kind, depth + 1),
        }
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_struct_is_written_as_it_was_read() {
        let mut inner = Fields::default();
        inner.set_number(2, I32, -7);
        let mut fields = Fields::default();
        fields.set_number(1, I64, i64::MIN);
        fields.set_binary(4, "é".as_bytes());
        fields.set_fields(30, &inner);
        fields.set_list(31, STRUCT, &vec![inner.to_bytes(); 20]);
        let bytes = fields.to_bytes();
        let read = Fields::parse(&bytes).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!((read.number(1), read.binary(4)), (Some(i64::MIN), Some("é".as_bytes())));
        assert_eq!(read.fields(30).unwrap().number(2), Some(-7));
        assert_eq!(read.structs(31).unwrap().len(), 20);
        assert!(Fields::parse(&bytes[..bytes.len() - 1]).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(fields) = Fields::parse(&bytes) {
                for id in 0..20 {
                    let _ = (fields.number(id), fields.binary(id).map(<[u8]>::len), fields.structs(id).map(|all| all.len()));
                }
                prop_assert!(Fields::parse(&fields.to_bytes()).is_some());
            }
        }
    }
}
