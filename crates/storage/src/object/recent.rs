//! Small objects that this server has just written, in memory: their schemas and footers are read right after they land, and each
//! reading would be requests. An object never changes, so what is here is what the bucket has.

use bytes::Bytes;
use lakeshore::model::object_key::ObjectKey;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Bytes that are kept, of the newest objects and their keys.
const BYTES_MAX: usize = 8 << 20;
/// Larger objects are not kept.
const OBJECT_BYTES_MAX: usize = 256 << 10;
/// Bytes of an entry beside its content and its key.
const ENTRY_BYTES: usize = 128;

#[derive(Default)]
pub(super) struct RecentObjects(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    objects: HashMap<ObjectKey, Bytes>,
    /// The oldest first.
    keys: VecDeque<ObjectKey>,
    bytes: usize,
}

impl RecentObjects {
    /// Keeps an object that is in the bucket now.
    pub(super) fn keep(&self, key: &ObjectKey, bytes: &[u8]) {
        if bytes.len() > OBJECT_BYTES_MAX {
            return;
        }
        // A copy, because a slice would keep the whole buffer of its request.
        let kept = Bytes::copy_from_slice(bytes);
        let mut recent = self.0.lock();
        if recent.objects.insert(key.clone(), kept).is_some() {
            return;
        }
        recent.keys.push_back(key.clone());
        recent.bytes += cost(key, bytes);
        while recent.bytes > BYTES_MAX {
            let Some(oldest) = recent.keys.pop_front() else { return };
            recent.bytes -= recent.objects.remove(&oldest).map_or(0, |object| cost(&oldest, &object));
        }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<Bytes> {
        self.0.lock().objects.get(key).cloned()
    }
}

/// The key is there twice.
fn cost(key: &ObjectKey, bytes: &[u8]) -> usize {
    bytes.len() + 2 * key.as_str().len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_small_objects_are_kept_within_a_bound() {
        let recent = RecentObjects::default();
        let key = |number: usize| ObjectKey::from_stored(format!("t/{number}"));
        let count = BYTES_MAX / OBJECT_BYTES_MAX;
        for number in 0..=count {
            recent.keep(&key(number), &vec![number as u8; OBJECT_BYTES_MAX]);
        }
        recent.keep(&key(999), &vec![0; OBJECT_BYTES_MAX + 1]);
        assert_eq!((recent.get(&key(0)), recent.get(&key(1)), recent.get(&key(999))), (None, None, None));
        assert_eq!(recent.get(&key(count)), Some(Bytes::from(vec![count as u8; OBJECT_BYTES_MAX])));
        for number in 0..100_000 {
            recent.keep(&key(number), b"");
        }
        let recent = recent.0.lock();
        assert!(recent.bytes <= BYTES_MAX && recent.keys.len() < BYTES_MAX / ENTRY_BYTES, "{}", recent.keys.len());
        assert_eq!(recent.keys.len(), recent.objects.len());
    }
}
