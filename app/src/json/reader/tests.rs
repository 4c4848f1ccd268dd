//! The reader against serde_json: the same values from whole texts, and refusals of broken ones.

use super::*;
use leptos::serde_json::{self, Value, json};
use proptest::prelude::*;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    New(u32),
    Pair(i64, String),
    Named { at: Option<f64> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tagged {
    Nothing,
    Something { choices: Vec<Choice> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Id(u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner {
    id: Id,
    is_known: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outer {
    #[serde(flatten)]
    inner: Inner,
    text: String,
    pair: (i8, u16),
    tagged: Tagged,
    #[serde(default)]
    missing: Option<String>,
}

fn outer() -> impl Strategy<Value = Outer> {
    let choice = prop_oneof![
        Just(Choice::Unit),
        any::<u32>().prop_map(Choice::New),
        (any::<i64>(), ".*").prop_map(|(number, text)| Choice::Pair(number, text)),
        prop::option::of(-1.0e6..1.0e6).prop_map(|at: Option<f64>| Choice::Named { at: at.map(f64::round) }),
    ];
    let tagged = prop_oneof![
        Just(Tagged::Nothing),
        prop::collection::vec(choice, 0..4).prop_map(|choices| Tagged::Something { choices }),
    ];
    (any::<u64>(), any::<bool>(), ".*", any::<(i8, u16)>(), tagged, prop::option::of(".*")).prop_map(
        |(id, is_known, text, pair, tagged, missing)| Outer {
            inner: Inner { id: Id(id), is_known },
            text,
            pair,
            tagged,
            missing,
        },
    )
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(".*", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn serde_json_output_is_read_back_unchanged(outer in outer(), other in any_json()) {
        prop_assert_eq!(read::<Outer>(&serde_json::to_string(&outer).unwrap()).unwrap(), outer.clone());
        prop_assert_eq!(read::<Value>(&serde_json::to_string_pretty(&other).unwrap()).unwrap(), other.clone());
        // A newer server may send fields that this page does not know.
        let mut more = serde_json::to_value(&outer.inner).unwrap();
        more["more"] = other;
        prop_assert_eq!(read::<Inner>(&more.to_string()).unwrap(), outer.inner);
    }

    #[test]
    fn a_text_that_breaks_off_is_refused(other in any_json(), at in any::<prop::sample::Index>()) {
        let text = json!([other]).to_string();
        let cut = text.floor_char_boundary(at.index(text.len()));
        prop_assert!(read::<Value>(&text[..cut]).is_err());
        prop_assert!(read::<de::IgnoredAny>(&text[..cut]).is_err());
    }

    #[test]
    fn no_text_breaks_the_reader(text in r#"[\[\]{}",:\\u0-9a-fnrtls .+eE-]{0,40}"#) {
        let _ = read::<Value>(&text);
        let _ = read::<Outer>(&text);
        let _ = read::<de::IgnoredAny>(&text);
    }

    /// Range far beyond the values that pages show.
    #[test]
    fn a_fraction_is_what_it_was_but_for_the_last_digit(of_one in 0.1..1.0_f64, power in -200..200) {
        let number = of_one * 10_f64.powi(power);
        let read = read::<f64>(&serde_json::to_string(&number).unwrap()).unwrap();
        prop_assert!((read / number - 1.0).abs() < 1.0e-14, "{number} was read as {read}");
    }
}

#[test]
fn escapes_are_what_they_stand_for() {
    assert_eq!(read::<String>(r#" "\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00é" "#).unwrap(), "\"\\/\u{8}\u{c}\n\r\tAé😀é");
    for broken in [r#""\ud83d""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, r#""\x""#, r#""\u00g0""#, r#""\u00"#] {
        assert!(read::<String>(broken).is_err(), "{broken}");
    }
}

#[test]
fn numbers_are_those_of_their_type() {
    assert_eq!(read::<u64>("18446744073709551615").unwrap(), u64::MAX);
    assert_eq!(read::<i64>("-9223372036854775807").unwrap(), -i64::MAX);
    assert_eq!(read::<f64>("0.1").unwrap(), 0.1);
    assert_eq!(read::<f64>("-12").unwrap(), -12.0);
    assert_eq!(read::<f64>("123456789012345678901234567890").unwrap(), 1.2345678901234568e29);
    for (broken, read) in
        [("300", read::<u8>("300").is_ok()), ("-1", read::<u64>("-1").is_ok()), ("1.5", read::<i64>("1.5").is_ok())]
    {
        assert!(!read, "{broken}");
    }
}

#[test]
fn malformed_json_and_wrong_types_are_refused() {
    for broken in
        ["", "[1 2]", "[1,]", "[,1]", "{\"a\" 1}", "{\"a\":1,}", "[1] 2", "tru", "1.", "1e", "-", "[1}", "\u{1}"]
    {
        assert!(read::<Value>(broken).is_err(), "{broken}");
    }
    assert!(read::<(u8, u8)>("[1,2,3]").is_err());
    assert!(read::<Inner>("[1,true]").is_err());
    assert!(read::<Choice>("\"Other\"").is_err());
}
