//! Transfer rate over the last few seconds: steady enough to read, and quick to follow changes.

use std::collections::VecDeque;

/// Time span of a rate, in milliseconds.
const WINDOW_MS: i64 = 6000;
/// Minimum distance between two samples, which bounds their number.
const SAMPLE_MS: i64 = 200;
/// Minimum time span for a rate.
const SEEN_MS_MIN: i64 = 400;

/// Samples of the bytes sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RateMeter {
    samples: VecDeque<(i64, u64)>,
}

impl RateMeter {
    pub fn record(&mut self, now_ms: i64, bytes: u64) {
        let too_near = self.samples.len() > 1
            && self.samples.iter().nth_back(1).is_some_and(|(at_ms, _)| now_ms - at_ms < SAMPLE_MS);
        if too_near {
            self.samples.pop_back();
        }
        self.samples.push_back((now_ms, bytes));
        while self.samples.len() > 2 && self.samples.front().is_some_and(|(at_ms, _)| now_ms - at_ms > WINDOW_MS) {
            self.samples.pop_front();
        }
    }

    /// Bytes per second up to now; the rate of a stalled sender falls to zero.
    pub fn bytes_per_second(&self, now_ms: i64) -> Option<f64> {
        let (first_ms, first) = self.samples.front()?;
        let (_, last) = self.samples.back()?;
        let seen_ms = now_ms - first_ms;
        (seen_ms >= SEEN_MS_MIN && self.samples.len() > 1)
            .then(|| last.saturating_sub(*first) as f64 * 1000.0 / seen_ms as f64)
    }
}

/// Milliseconds until `bytes` are sent; `None` if unknown.
pub fn time_left_ms(bytes: u64, bytes_per_second: Option<f64>) -> Option<i64> {
    let rate = bytes_per_second.filter(|rate| *rate >= 1.0)?;
    Some((bytes as f64 * 1000.0 / rate) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_sender_has_its_rate_and_a_stalled_one_loses_it() {
        let mut meter = RateMeter::default();
        for second in 0..10_i64 {
            meter.record(second * 1000, second as u64 * 5_000_000);
        }
        let rate = meter.bytes_per_second(9000).unwrap();
        assert!((rate - 5_000_000.0).abs() < 1.0, "{rate}");
        assert_eq!(time_left_ms(10_000_000, Some(rate)), Some(2000));
        assert!(meter.bytes_per_second(60_000).unwrap() < 1_000_000.0);
    }

    #[test]
    fn nothing_is_guessed_at_the_start() {
        let mut meter = RateMeter::default();
        meter.record(0, 0);
        meter.record(100, 1_000_000);
        assert_eq!(meter.bytes_per_second(100), None);
        assert_eq!(time_left_ms(1, None), None);
    }

    #[test]
    fn samples_stay_few_however_many_are_recorded() {
        let mut meter = RateMeter::default();
        for millisecond in 0..100_000 {
            meter.record(millisecond, millisecond as u64);
        }
        assert!(meter.samples.len() < 100, "{}", meter.samples.len());
    }
}
