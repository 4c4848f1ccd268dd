//! Shrink guard: a full sync that would shrink its dataset too much, such as an empty reload, is held until somebody
//! confirms it.

use crate::model::path::LakePath;
use crate::model::totals::Totals;
use bytesize::ByteSize;
use std::fmt;

/// Fraction from 0 to 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction(u32);

const WHOLE: u32 = 1_000_000;

impl Fraction {
    const TENTH: Self = Self(WHOLE / 10);

    /// Parses a number such as `0.5`; rounds to millionths.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number; write one such as 0.5"))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(format!("{text} is not between 0 and 1; write one such as 0.5"));
        }
        // Between 0 and a million, so the cast is exact.
        Ok(Self((number * f64::from(WHOLE)).round() as u32))
    }

    /// Whether `part` is less than this fraction of `whole`.
    fn is_above(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(WHOLE) < u128::from(whole) * u128::from(self.0)
    }
}

/// Part of a dataset that a full sync must keep to be published without confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    fraction: Fraction,
    /// With a value, only bytes count, for datasets of at least this many. `None`: files and bytes count, for all
    /// datasets.
    dataset_bytes_min: Option<u64>,
}

/// Prevents accidents without surprising scripts that do not know the guard: small datasets may change freely.
const SHARE_DEFAULT: Share = Share { fraction: Fraction::TENTH, dataset_bytes_min: Some(16 << 20) };

impl Share {
    /// Parses a text such as `0.5` or `0.1@16MiB`.
    fn parse(text: &str) -> Result<Self, String> {
        let Some((fraction, bytes)) = text.split_once('@') else {
            return Ok(Self { fraction: Fraction::parse(text)?, dataset_bytes_min: None });
        };
        let bytes: ByteSize = bytes.parse().map_err(|_| format!("{bytes:?} is not a size; write one such as 16MiB"))?;
        Ok(Self { fraction: Fraction::parse(fraction)?, dataset_bytes_min: Some(bytes.as_u64()) })
    }

    fn holds(self, replaced: Totals, published: Totals) -> bool {
        let shrinks_bytes = self.fraction.is_above(published.bytes, replaced.bytes);
        match self.dataset_bytes_min {
            Some(bytes_min) => replaced.bytes >= bytes_min && shrinks_bytes,
            None => shrinks_bytes || self.fraction.is_above(published.files, replaced.files),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.fraction.0) / f64::from(WHOLE))?;
        self.dataset_bytes_min.map_or(Ok(()), |bytes| write!(f, "@{}", ByteSize(bytes)))
    }
}

/// Rules of the shrink guard: one for all datasets, and others for single paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShrinkGuard {
    everywhere: Share,
    /// Rules for a path and the paths below it.
    places: Vec<(LakePath, Share)>,
}

impl Default for ShrinkGuard {
    fn default() -> Self {
        Self { everywhere: SHARE_DEFAULT, places: Vec::new() }
    }
}

/// One rule, written as `0.5` or `0.1@16MiB`, or as `/data/db=0.5` for a path and those below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardRule {
    place: Option<LakePath>,
    share: Share,
}

impl GuardRule {
    pub fn parse(text: &str) -> Result<Self, String> {
        // Splits at the last sign, as a path may contain one too, as in dt=1.
        let Some((place, share)) = text.rsplit_once('=') else {
            return Ok(Self { place: None, share: Share::parse(text)? });
        };
        let place = LakePath::parse(place).map_err(|error| error.to_string())?;
        Ok(Self { place: Some(place), share: Share::parse(share)? })
    }
}

/// Text form of the rules: `0.5, /data/db=0.9`.
impl fmt::Display for ShrinkGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.everywhere)?;
        self.places.iter().try_for_each(|(place, share)| write!(f, ", {place}={share}"))
    }
}

impl ShrinkGuard {
    /// The last of several rules for one path applies.
    pub fn of(rules: &[GuardRule]) -> Self {
        rules.iter().fold(Self::default(), |mut guard, rule| {
            match &rule.place {
                None => guard.everywhere = rule.share,
                Some(place) => guard.places.push((place.clone(), rule.share)),
            }
            guard
        })
    }

    /// Rule of the longest path that contains the dataset.
    fn share_for(&self, dataset: &LakePath) -> Share {
        let around = self.places.iter().filter(|(place, _)| place.contains(dataset));
        around.max_by_key(|(place, _)| place.as_str().len()).map_or(self.everywhere, |(_, share)| *share)
    }

    /// Whether any rule applies to this dataset.
    pub fn watches(&self, dataset: &LakePath) -> bool {
        self.share_for(dataset).fraction > Fraction(0)
    }

    /// Whether a publish with these totals would be held.
    pub fn holds(&self, dataset: &LakePath, replaced: Totals, published: Totals) -> bool {
        self.share_for(dataset).holds(replaced, published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> LakePath {
        LakePath::parse(text).unwrap()
    }

    fn totals(files: u64, bytes: u64) -> Totals {
        Totals { files, bytes }
    }

    fn guard(rules: &[&str]) -> ShrinkGuard {
        ShrinkGuard::of(&rules.iter().map(|rule| GuardRule::parse(rule).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn by_default_only_a_large_dataset_that_loses_nine_tenths_of_its_bytes_is_held() {
        const MIB: u64 = 1 << 20;
        for guard in [ShrinkGuard::default(), guard(&["0.1@16MiB"]), guard(&["/b=0.5"])] {
            let holds = |replaced, published| guard.holds(&path("/a"), replaced, published);
            assert!(!holds(totals(9, 16 * MIB - 1), totals(1, 1)));
            assert!(holds(totals(9, 16 * MIB), totals(9, 16 * MIB / 10)));
            assert!(!holds(totals(9, 16 * MIB), totals(1, 16 * MIB / 10 + 1)), "files do not count");
            assert!(!holds(totals(10, 20 * MIB), totals(1, 2 * MIB)), "a tenth is enough");
        }
        assert!(ShrinkGuard::default().to_string().starts_with("0.1@16"));
    }

    #[test]
    fn half_of_the_files_and_half_of_the_bytes_are_enough_and_one_less_is_not() {
        let guard = guard(&["0.5"]);
        let holds = |replaced, published| guard.holds(&path("/a"), replaced, published);
        assert!(!holds(totals(10, 100), totals(5, 50)));
        assert!(holds(totals(10, 100), totals(4, 100)));
        assert!(holds(totals(10, 100), totals(10, 49)));
        assert!(holds(totals(1, 0), totals(0, 0)));
        assert!(!holds(totals(0, 0), totals(0, 0)));
        assert!(!holds(totals(2, u64::MAX), totals(1, u64::MAX)));
    }

    #[test]
    fn the_longest_place_rules_and_the_last_of_equals() {
        let rules = ["0.9", "/data=0", "/data/db/dt=1=1", "/data/db=0.2", "/data/db=0.25"].map(GuardRule::parse);
        let guard = ShrinkGuard::of(&rules.map(Result::unwrap));
        let holds = |at: &str, published| guard.holds(&path(at), totals(100, 0), totals(published, 0));
        assert!(holds("/other", 89) && !holds("/other", 90));
        assert!(!holds("/data/x", 0) && !guard.watches(&path("/data/x")));
        assert!(holds("/data/db", 24) && !holds("/data/db", 25));
        assert!(holds("/data/db/dt=1", 99) && !holds("/data/db/dt=1", 100));
        assert!(holds("/data2", 89), "a place is not a beginning of letters");
    }

    #[test]
    fn an_invalid_guard_rule_is_refused() {
        for wrong in [
            "",
            "half",
            "-0.1",
            "1.01",
            "NaN",
            "inf",
            "data=0.5",
            "/a=",
            "/=0.5",
            "0.1@",
            "@1MiB",
            "0.1@-1",
            "/a=0.1@much",
        ] {
            assert!(GuardRule::parse(wrong).is_err(), "{wrong} was taken");
        }
    }
}
