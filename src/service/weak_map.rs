//! One shared value for each key in use, such as a lock: created on first use, dropped with its last holder.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

pub(in crate::service) struct WeakMap<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for WeakMap<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> WeakMap<K, V> {
    /// Value of the key; `create` makes it if nobody holds one.
    pub(in crate::service) fn get(&self, key: K, create: impl FnOnce() -> V) -> Arc<V> {
        let mut values = self.0.lock();
        if let Some(value) = values.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        values.retain(|_, value| value.strong_count() > 0);
        let value = Arc::new(create());
        values.insert(key, Arc::downgrade(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_of_a_key_share_its_value_and_nothing_is_kept_of_the_others() {
        let map = WeakMap::default();
        let first = map.get("a", || 1);
        assert!(Arc::ptr_eq(&first, &map.get("a", || 2)));
        assert_eq!(*map.get("b", || 3), 3);
        drop(first);
        assert_eq!(*map.get("a", || 4), 4);
        map.get("c", || 5);
        assert_eq!(map.0.lock().len(), 1, "each key was dropped with its last holder");
    }

    #[test]
    fn keys_do_not_wait_for_each_other() {
        let map: WeakMap<_, Mutex<()>> = WeakMap::default();
        let (one, same, other) = (map.get(1, Mutex::default), map.get(1, Mutex::default), map.get(2, Mutex::default));
        let _held = one.lock();
        assert!(same.try_lock().is_none());
        assert!(other.try_lock().is_some());
    }
}
