//! State of the link to the server: whether it is broken, when to retry, and the best chunk size.

/// First delay after a failure, in milliseconds. It doubles with each further one.
const WAIT_MS_MIN: i64 = 500;
/// Longest delay, in milliseconds.
const WAIT_MS_MAX: i64 = 30_000;

/// A failure concerns the whole link, not one file: all files wait, and a single one retries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    breaks: u32,
    retry_at_ms: i64,
}

impl Link {
    /// Records a request without an answer. `random`, from 0 to 1, spreads the retries of many browsers.
    pub fn broke(&mut self, now_ms: i64, random: f64) {
        // Of several requests that fail together, the first counts.
        if self.breaks > 0 && now_ms < self.retry_at_ms {
            return;
        }
        let wait_ms = (WAIT_MS_MIN << self.breaks.min(16)).min(WAIT_MS_MAX);
        self.breaks += 1;
        self.retry_at_ms = now_ms + (wait_ms as f64 * (0.5 + random / 2.0)) as i64;
    }

    /// Records an answer.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// Retries without delay, because the link is probably whole again.
    pub fn try_now(&mut self) {
        self.retry_at_ms = 0;
    }

    /// Whether another request may start beside the running ones.
    pub fn lets_through(&self, now_ms: i64, on_their_way: usize) -> bool {
        self.breaks == 0 || (on_their_way == 0 && now_ms >= self.retry_at_ms)
    }

    /// Milliseconds until the next attempt, while the link is broken.
    pub fn wait_ms(&self, now_ms: i64) -> Option<i64> {
        (self.breaks > 0).then(|| (self.retry_at_ms - now_ms).max(0))
    }
}

/// Target duration of a chunk, in milliseconds: a failure costs little, and so do the requests between chunks.
const CHUNK_MS: f64 = 6000.0;
const CHUNK_BYTES_MIN: u64 = 1 << 20;
const CHUNK_BYTES_MAX: u64 = 64 << 20;
const CHUNK_BYTES_FIRST: u64 = 8 << 20;

/// Size of the next chunk, learned from earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize(u64);

impl Default for ChunkSize {
    fn default() -> Self {
        Self(CHUNK_BYTES_FIRST)
    }
}

impl ChunkSize {
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Records the duration of a chunk.
    pub fn learn(&mut self, bytes: u64, took_ms: f64) {
        // The last chunk of a file is short: its time is that of the request itself, unless it took long.
        if bytes < self.0 && took_ms < CHUNK_MS {
            return;
        }
        let fitting = bytes as f64 * CHUNK_MS / took_ms.max(1.0);
        self.set((fitting as u64).clamp(self.0 / 4, self.0 * 4));
    }

    pub fn broke(&mut self) {
        self.set(self.0 / 2);
    }

    fn set(&mut self, bytes: u64) {
        let whole = bytes / CHUNK_BYTES_MIN * CHUNK_BYTES_MIN;
        self.0 = whole.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_broken_way_is_tried_by_one_request_at_a_time_and_ever_more_rarely() {
        let mut link = Link::default();
        assert!(link.lets_through(0, 4));
        let mut now_ms = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            link.broke(now_ms, 1.0);
            link.broke(now_ms, 1.0);
            assert!(!link.lets_through(now_ms, 0));
            let wait_ms = link.wait_ms(now_ms).unwrap();
            waits.push(wait_ms);
            now_ms += wait_ms;
            assert!(link.lets_through(now_ms, 0) && !link.lets_through(now_ms, 1));
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        link.answered();
        assert_eq!((link.lets_through(0, 4), link.wait_ms(0)), (true, None));
    }

    #[test]
    fn a_word_that_the_network_is_back_ends_the_wait() {
        let mut link = Link::default();
        link.broke(1000, 0.0);
        assert_eq!(link.wait_ms(1000), Some(250));
        link.try_now();
        assert!(link.lets_through(1000, 0) && !link.lets_through(1000, 1));
    }

    #[test]
    fn chunks_grow_on_a_fast_link_and_shrink_on_a_slow_one() {
        let mut size = ChunkSize::default();
        for _ in 0..4 {
            size.learn(size.bytes(), 50.0);
        }
        assert_eq!(size.bytes(), CHUNK_BYTES_MAX);
        for _ in 0..8 {
            // 200 kB a second.
            size.learn(size.bytes(), size.bytes() as f64 / 200.0);
        }
        assert_eq!(size.bytes(), CHUNK_BYTES_MIN);
    }

    #[test]
    fn the_short_end_of_a_file_does_not_make_chunks_larger() {
        let mut size = ChunkSize::default();
        size.learn(1000, 1.0);
        assert_eq!(size.bytes(), CHUNK_BYTES_FIRST);
    }

    proptest! {
        #[test]
        fn the_size_of_a_chunk_stays_within_its_bounds(steps in prop::collection::vec((0_u64..1 << 40, 0.0..1e9), 0..50)) {
            let mut size = ChunkSize::default();
            for (bytes, took_ms) in steps {
                size.learn(bytes, took_ms);
                prop_assert!((CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&size.bytes()));
                if bytes % 3 == 0 { size.broke(); }
                prop_assert!((CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&size.bytes()));
            }
        }
    }
}
