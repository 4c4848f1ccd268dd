//! JSON lines: one object a line (jsonlines.org, and ndjson). The keys are the columns, in order of appearance.

use super::Fault;
use super::head::Head;
use super::sniffing::{Guess, cell};
use lakeshore::model::dataset::schema::{Column, Format, Schema};
use lakeshore::model::preview::{BAD_LINES_SHOWN_MAX, BadLine, COLUMNS_SHOWN_MAX, Dialect, Preview};
use lakeshore::model::text::truncate;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Most keys; further ones are dropped.
const COLUMNS_MAX: usize = 4096;

/// Characters of the cause of a bad line.
const CAUSE_CHARACTERS_MAX: usize = 120;

/// Object with its keys in order, and unparsed values: a number may have more digits than any type.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Statistics of one key's values.
#[derive(Default)]
struct Seen {
    name: String,
    guess: Guess,
    strings: bool,
    numbers: bool,
    others: Option<&'static str>,
    is_mixed: bool,
    values: u64,
}

/// Columns in the order in which their keys appear.
#[derive(Default)]
struct Columns {
    seen: Vec<Seen>,
    places: HashMap<String, usize>,
}

impl Columns {
    /// Index of the column of a key, known or new; `None` for a new one beyond [`COLUMNS_MAX`].
    fn place_of(&mut self, name: String) -> Option<usize> {
        if let Some(&place) = self.places.get(&name) {
            return Some(place);
        }
        if self.seen.len() >= COLUMNS_MAX {
            return None;
        }
        self.seen.push(Seen { name: cell(&name), ..Seen::default() });
        self.places.insert(name, self.seen.len() - 1);
        Some(self.seen.len() - 1)
    }
}

pub(super) fn preview(head: Head, rows_max: usize) -> Result<Preview, Fault> {
    let head = head.without_padding();
    if let Some(problem) = head.compression_not_read() {
        return Err(Fault::Unreadable(problem));
    }
    let mut columns = Columns::default();
    let (mut objects, mut bad_lines, mut num_bad_lines) = (0_u64, Vec::new(), 0);
    let mut shown: Vec<Vec<(usize, Option<String>)>> = Vec::new();
    for (line, text) in head.lines().filter(|(_, text)| !text.trim_ascii().is_empty()) {
        let text = String::from_utf8_lossy(text);
        let read = serde_json::from_str::<Object>(&text);
        let twice = read.as_ref().ok().and_then(|Object(object)| key_twice(object)).map(cell);
        let has_twice = twice.is_some();
        if let Some(problem) = problem_of(read.as_ref().err(), twice, matches!(text, Cow::Owned(_))) {
            num_bad_lines += 1;
            if bad_lines.len() < BAD_LINES_SHOWN_MAX {
                bad_lines.push(BadLine { line, problem });
            }
        }
        let Ok(Object(object)) = read else { continue };
        objects += 1;
        let mut row = Vec::new();
        for (name, value) in if has_twice { last_of_each(object) } else { object } {
            let Some(place) = columns.place_of(name) else { continue };
            if shown.len() < rows_max && place < COLUMNS_SHOWN_MAX {
                row.push((place, shown_value(&value)));
            }
            columns.seen[place].see(&value);
        }
        if shown.len() < rows_max {
            shown.push(row);
        }
    }
    if objects == 0 {
        return Err(fault_without_object(&head, num_bad_lines));
    }
    let num_columns = columns.seen.len();
    let kept = if rows_max == 0 { num_columns } else { num_columns.min(COLUMNS_SHOWN_MAX) };
    let schema = Schema::of(Format::JsonLines, columns.seen.into_iter().take(kept).map(|seen| seen.column(objects)));
    let rows = shown.into_iter().map(|row| {
        let mut cells = vec![None; kept];
        for (place, value) in row {
            cells[place] = value;
        }
        cells
    });
    let dialect = (head.compression.is_some() || head.encoding != "UTF-8").then(|| Dialect {
        delimiter: '\n',
        quote: '"',
        escape: None,
        has_header: false,
        encoding: head.encoding.to_owned(),
        compression: head.compression.map(str::to_owned),
        skip_lines: 0,
    });
    Ok(Preview {
        schema: Some(schema),
        num_columns: num_columns as u64,
        row_count: head.is_whole.then_some(objects),
        rows: rows.collect(),
        dialect,
        bad_lines,
        num_bad_lines,
        problem: head.damage,
        ..Preview::nothing(Format::JsonLines)
    })
}

/// Problem of a line, also of one that is still a row. `is_replaced`: some of its bytes were not UTF-8.
fn problem_of(error: Option<&serde_json::Error>, key_twice: Option<String>, is_replaced: bool) -> Option<String> {
    match (error, key_twice) {
        (Some(error), _) => Some(cause(error)),
        // Still a row: the last value counts.
        (None, Some(name)) => Some(format!("the key {name:?} occurs twice")),
        // Still a row, with replacement characters.
        (None, None) => is_replaced.then(|| "bytes that are not UTF-8".to_owned()),
    }
}

/// Reason why a head without any object is not read.
fn fault_without_object(head: &Head, num_bad_lines: u64) -> Fault {
    let first = head.bytes.trim_ascii_start().first();
    Fault::unreadable(match (&head.damage, num_bad_lines, head.is_whole) {
        (Some(damage), 0, _) => damage,
        (None, 0, true) if head.bytes.is_empty() => "it is empty",
        (None, 0, true) => "all its lines are empty",
        (None, 0, false) => "its first line is longer than one megabyte",
        _ if first == Some(&b'[') => "not supported: it is a JSON array, not JSON lines",
        _ => "none of its first lines is a JSON object",
    })
}

/// Keys and values of an object, which may repeat a key.
type Pairs = Vec<(String, Box<RawValue>)>;

fn key_twice(object: &Pairs) -> Option<&str> {
    let mut seen = HashSet::new();
    object.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
}

fn last_of_each(object: Pairs) -> Pairs {
    let mut places = HashMap::new();
    let mut kept: Pairs = Vec::new();
    for (name, value) in object {
        match places.get(&name) {
            Some(&place) => kept[place] = (name, value),
            None => {
                places.insert(name.clone(), kept.len());
                kept.push((name, value));
            }
        }
    }
    kept
}

/// Whether the first line is a JSON object.
pub(super) fn looks_like_it(head: &Head) -> bool {
    let mut lines = head.lines().map(|(_, text)| text.trim_ascii()).filter(|text| !text.is_empty());
    lines.next().is_some_and(|line| line.starts_with(b"{") && serde_json::from_slice::<Object>(line).is_ok())
}

impl Seen {
    fn see(&mut self, value: &RawValue) {
        let text = value.get();
        self.values += u64::from(text != "null");
        match text.as_bytes().first() {
            Some(b'n') | None => {}
            Some(b'"') => {
                self.strings = true;
                self.guess.see(&string(text));
            }
            Some(b't' | b'f') => self.see_other("boolean"),
            Some(b'[') => self.see_other("list"),
            Some(b'{') => self.see_other("object"),
            Some(_) => {
                self.numbers = true;
                self.guess.see(text);
            }
        }
    }

    fn see_other(&mut self, kind: &'static str) {
        self.is_mixed |= self.others.is_some_and(|other| other != kind);
        self.others = Some(kind);
    }

    /// Column of a key. A string that looks like a number is text, since JSON distinguishes the two; dates and times
    /// are recognised, since JSON has no type for them.
    fn column(self, objects: u64) -> Column {
        let guessed = self.guess.column(self.name);
        let kind = match (self.others, self.strings, self.numbers) {
            (Some(kind), false, false) if !self.is_mixed => kind.to_owned(),
            (None, false, true) => guessed.kind,
            (None, true, false) if matches!(guessed.kind.as_str(), "date" | "timestamp") => guessed.kind,
            (None, false, false) => "empty".to_owned(),
            _ => "text".to_owned(),
        };
        Column { name: guessed.name, kind, nullable: self.values < objects }
    }
}

fn shown_value(value: &RawValue) -> Option<String> {
    match value.get() {
        "null" => None,
        text if text.starts_with('"') => Some(cell(&string(text))),
        text => Some(cell(text)),
    }
}

/// Decodes a JSON string. A lone surrogate has no character, so such a string is left escaped.
fn string(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_| text.trim_matches('"').to_owned())
}

/// Message of an error without its line number, which is always 1.
fn cause(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let cause = message.rsplit_once(" at line ").map_or(message.as_str(), |(cause, _)| cause);
    // The message may quote a whole value.
    let cause = truncate(cause, CAUSE_CHARACTERS_MAX);
    format!("{cause} at character {}", error.column())
}
