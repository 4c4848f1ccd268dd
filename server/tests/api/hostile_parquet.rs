//! Hand-made Parquet files that no writer would produce: Thrift structs in the compact protocol.

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A struct that is written field by field.
#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    last: u8,
}

impl Fields {
    fn field(mut self, id: u8, kind: u8, value: &[u8]) -> Self {
        self.bytes.push((id - self.last) << 4 | kind);
        self.bytes.extend_from_slice(value);
        self.last = id;
        self
    }

    fn number(self, id: u8, kind: u8, number: i64) -> Self {
        self.field(id, kind, &varint(((number << 1) ^ (number >> 63)) as u64))
    }

    fn int(self, id: u8, number: i64) -> Self {
        self.number(id, I32, number)
    }

    fn long(self, id: u8, number: i64) -> Self {
        self.number(id, I64, number)
    }

    fn text(self, id: u8, text: &[u8]) -> Self {
        self.field(id, BINARY, &[&varint(text.len() as u64), text].concat())
    }

    fn list(self, id: u8, kind: u8, count: usize, items: &[u8]) -> Self {
        let mut head = vec![if count < 15 { (count as u8) << 4 | kind } else { 0xf0 | kind }];
        if count >= 15 {
            head.extend(varint(count as u64));
        }
        self.field(id, LIST, &[&head, items].concat())
    }

    fn nested(self, id: u8, fields: Fields) -> Self {
        self.field(id, STRUCT, &fields.end())
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn root(children: i64) -> Vec<u8> {
    Fields::default().text(4, b"r").int(5, children).end()
}

fn group(children: i64) -> Vec<u8> {
    Fields::default().int(3, 0).text(4, b"a").int(5, children).end()
}

/// Column of 32-bit integers. `repetition`: 0 required, 1 optional, 2 repeated.
fn leaf(name: &str, repetition: i64) -> Vec<u8> {
    Fields::default().int(1, 1).int(3, repetition).text(4, name.as_bytes()).end()
}

fn file(pages: &[u8], count: usize, schema: &[u8], rows: i64, groups: &[Vec<u8>]) -> Vec<u8> {
    let footer = Fields::default()
        .int(1, 1)
        .list(2, STRUCT, count, schema)
        .long(3, rows)
        .list(4, STRUCT, groups.len(), &groups.concat())
        .end();
    let length = (footer.len() as u32).to_le_bytes();
    [b"PAR1", pages, &footer, &length, b"PAR1"].concat()
}

/// A column in nested groups.
pub fn deep(depth: usize) -> Vec<u8> {
    let schema = [root(1), group(1).repeat(depth), leaf("x", 0)].concat();
    file(&[], depth + 2, &schema, 0, &[])
}

/// A group that declares the maximum number of children.
pub fn many_children_announced() -> Vec<u8> {
    file(&[], 2, &[root(i64::from(i32::MAX)), leaf("x", 0)].concat(), 0, &[])
}

/// Many columns in nested groups: each column's path has a name for each group.
pub fn deep_and_wide(depth: usize, columns: usize) -> Vec<u8> {
    let leaves: Vec<u8> = (0..columns).flat_map(|number| leaf(&format!("x{number}"), 0)).collect();
    let schema = [root(1), group(1).repeat(depth - 1), group(columns as i64), leaves].concat();
    file(&[], 1 + depth + columns, &schema, 0, &[])
}

/// Many columns with these names.
pub fn wide(columns: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
    let leaves: Vec<u8> = (0..columns).flat_map(|number| leaf(&name(number), 0)).collect();
    file(&[], columns + 1, &[root(columns as i64), leaves].concat(), 0, &[])
}

/// One row whose list has this many values in a page of some tens of bytes.
pub fn endless_list(values: i64) -> Vec<u8> {
    // Runs of the run-length encoding: a count, then the value.
    let run = |count: i64, value: u8| [varint(count.cast_unsigned() << 1), vec![value]].concat();
    let with_length = |levels: Vec<u8>| [(levels.len() as u32).to_le_bytes().to_vec(), levels].concat();
    let repetition = with_length([run(1, 0), run(values - 1, 1)].concat());
    let definition = with_length(run(values, 1));
    let data = [repetition, definition, vec![1], run(values, 0)].concat();
    let page = |kind: i64, size: usize, id: u8, header: Fields| {
        Fields::default().int(1, kind).int(2, size as i64).int(3, size as i64).nested(id, header).end()
    };
    let dictionary_header = page(2, 4, 7, Fields::default().int(1, 1).int(2, 0));
    let dictionary = [dictionary_header, vec![7, 0, 0, 0]].concat();
    let data_header = page(0, data.len(), 5, Fields::default().int(1, values).int(2, 8).int(3, 3).int(4, 3));
    let pages = [dictionary.clone(), data_header, data].concat();
    let size = pages.len() as i64;
    let column = Fields::default()
        .int(1, 1)
        .list(2, I32, 1, &varint(16))
        .list(3, BINARY, 1, b"\x01x")
        .int(4, 0)
        .long(5, values)
        .long(6, size)
        .long(7, size)
        .long(9, 4 + dictionary.len() as i64)
        .long(11, 4);
    let chunk = Fields::default().long(2, 4).nested(3, column).end();
    let row_group = Fields::default().list(1, STRUCT, 1, &chunk).long(2, size).long(3, 1).end();
    file(&pages, 2, &[root(1), leaf("x", 2)].concat(), 1, &[row_group])
}
