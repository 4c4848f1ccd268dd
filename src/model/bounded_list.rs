//! Lists of untrusted input with a maximum length: entries beyond the bound are parsed, but not kept.

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// For `deserialize_with`: keeps at most `MAX + 1` entries of a list, so that a later check sees that a list is too
/// long.
pub fn just_beyond<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(Bounded::<T, MAX>(PhantomData))
}

/// [`just_beyond`] for an optional list.
pub fn just_beyond_if_any<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T, const MAX: usize>(Vec<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            just_beyond::<D, T, MAX>(deserializer).map(Self)
        }
    }

    Ok(Option::<List<T, MAX>>::deserialize(deserializer)?.map(|List(list)| list))
}

struct Bounded<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while let Some(entry) = entries.next_element()? {
            kept.push(entry);
            if kept.len() > MAX {
                while entries.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Call {
        #[serde(deserialize_with = "just_beyond::<_, _, 3>")]
        list: Vec<u8>,
        #[serde(default, deserialize_with = "just_beyond_if_any::<_, _, 3>")]
        perhaps: Option<Vec<u8>>,
    }

    #[test]
    fn a_list_keeps_one_entry_beyond_its_bound_and_skips_the_rest() {
        let call = |text: &str| serde_json::from_str::<Call>(text).map(|call| (call.list, call.perhaps));
        assert_eq!(call(r#"{"list": [1, 2, 3]}"#).unwrap(), (vec![1, 2, 3], None));
        assert_eq!(call(r#"{"list": [1, 2, 3, 4, 500, "x"], "perhaps": null}"#).unwrap(), (vec![1, 2, 3, 4], None));
        assert_eq!(call(r#"{"perhaps": [1, 2, 3, 4, []], "list": []}"#).unwrap(), (vec![], Some(vec![1, 2, 3, 4])));
        for wrong in [r#"{"list": [1, 2, 3, 4, 5}"#, r#"{"list": [1, 2, 3, 500]}"#, r#"{"list": 7}"#] {
            assert!(call(wrong).is_err(), "{wrong}");
        }
    }
}
