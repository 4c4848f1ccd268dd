//! Values bound to the places of a statement.

use lakeshore::Error;
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use std::io;

/// Value bound to a place of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
    /// Arrays, for statements of PostgreSQL alone; SQLite has none, and takes them as JSON.
    Integers(Vec<i64>),
    Texts(Vec<String>),
}

impl Value {
    /// JSON array for `json_each`, with an element for each row: a tuple, of which `value ->> N` is a column. A blob is
    /// passed as hexadecimal text, for `unhex`.
    pub(crate) fn rows<T: Serialize>(rows: &[T]) -> Result<Self, Error> {
        Self::rows_of(rows)
    }

    /// Like [`Self::rows`], with rows that need not be kept.
    pub(crate) fn rows_of<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, WithoutNul(CompactFormatter));
        serializer.collect_seq(rows).map_err(Error::internal)?;
        String::from_utf8(json).map(Self::Text).map_err(Error::internal)
    }

    /// Like [`Self::rows`], with rows of one column.
    pub(crate) fn column<T: Serialize>(values: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Self::rows_of(values.into_iter().map(|value| (value,)))
    }

    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Texts(texts.into_iter().map(str::to_owned).collect())
    }
}

/// PostgreSQL's texts hold every character but NUL, which becomes the replacement character.
pub(crate) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

struct WithoutNul(CompactFormatter);

impl Formatter for WithoutNul {
    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => writer.write_all("\u{fffd}".as_bytes()),
            escape => self.0.write_char_escape(writer, escape),
        }
    }
}

/// Types that can be bound by reference: see [`values!`].
pub(crate) trait AsValue {
    fn as_value(&self) -> Value;
}

impl AsValue for Value {
    fn as_value(&self) -> Value {
        self.clone()
    }
}

impl AsValue for i64 {
    fn as_value(&self) -> Value {
        Value::Integer(*self)
    }
}

impl AsValue for u32 {
    fn as_value(&self) -> Value {
        Value::Integer((*self).into())
    }
}

impl AsValue for bool {
    fn as_value(&self) -> Value {
        Value::Bool(*self)
    }
}

impl AsValue for str {
    fn as_value(&self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl AsValue for String {
    fn as_value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl AsValue for [u8] {
    fn as_value(&self) -> Value {
        Value::Blob(self.to_vec())
    }
}

impl AsValue for Vec<u8> {
    fn as_value(&self) -> Value {
        Value::Blob(self.clone())
    }
}

impl AsValue for Vec<i64> {
    fn as_value(&self) -> Value {
        Value::Integers(self.clone())
    }
}

impl<const N: usize> AsValue for [u8; N] {
    fn as_value(&self) -> Value {
        Value::Blob(self.to_vec())
    }
}

impl<T: AsValue> AsValue for Option<T> {
    fn as_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, AsValue::as_value)
    }
}

impl<T: AsValue + ?Sized> AsValue for &T {
    fn as_value(&self) -> Value {
        (**self).as_value()
    }
}

/// Values of a statement, in the order of its places.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::query::AsValue::as_value(&$value)),*] };
}
pub(crate) use values;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_in_a_text_is_replaced_wherever_it_is() {
        let Value::Text(json) = Value::rows(&["a\0b", "\\u0000"]).unwrap() else { panic!() };
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), ["a\u{fffd}b", "\\u0000"]);
        assert_eq!(without_nul("a\0b".to_owned()), "a\u{fffd}b");
    }

    #[test]
    fn a_column_has_a_tuple_for_each_row() {
        assert_eq!(Value::column(["a", "b"]).unwrap(), Value::Text(r#"[["a"],["b"]]"#.to_owned()));
    }
}
