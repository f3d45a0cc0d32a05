//! The hash of an intent, and the mark on a child that carries it.

use std::fmt;

use serde_json::Value;

use crate::hash::Hash;

/// The hash of a JSON tree, whatever the order of its keys.
pub fn hash_of(tree: &Value) -> Hash {
    let mut text = Vec::with_capacity(1024);
    write_canonical(tree, &mut text);
    Hash::of([text.as_slice()])
}

/// Compact JSON with sorted keys. Not left to `serde_json`: whether its maps
/// are sorted hangs on a feature that any crate of the build may switch.
fn write_canonical(tree: &Value, out: &mut Vec<u8>) {
    match tree {
        Value::Object(map) => {
            let mut fields = map.iter().collect::<Vec<_>>();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_leaf(name, out);
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        leaf => write_leaf(leaf, out),
    }
}

fn write_leaf(leaf: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, leaf).expect("a string, number, bool or null can be written to memory");
}

/// The value of [`crate::marks::INTENT`]: the intent that was applied last, as
/// two hashes, of what the plugin asked for and of what the host added. Apart,
/// because a child that is to be recreated when its plugin wants another one
/// must survive a new mark of the host's, as when its owner moves to another
/// instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Of the plugin's part.
    pub desired: Hash,
    /// Of the host's.
    pub additions: Hash,
}

impl Intent {
    /// Whether `mark` says that the plugin's part was the same.
    pub fn same_desired(&self, mark: &str) -> bool {
        mark.split('.').next() == Some(&self.desired.to_string())
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.desired, self.additions)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn canonical(tree: &Value) -> String {
        let mut text = Vec::new();
        write_canonical(tree, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn canonical_json_is_compact_and_has_sorted_keys() {
        let tree: Value = serde_json::from_str(r#"{ "b": [1, null, "é\n"], "a": {"d": 1.5, "c": true} }"#).unwrap();
        assert_eq!(canonical(&tree), r#"{"a":{"c":true,"d":1.5},"b":[1,null,"é\n"]}"#);
    }

    #[test]
    fn another_order_of_list_items_is_another_intent() {
        assert_ne!(hash_of(&json!([1, 2])), hash_of(&json!([2, 1])));
    }

    #[test]
    fn a_mark_tells_whether_only_the_hosts_part_has_changed() {
        let old = Intent { desired: hash_of(&json!(1)), additions: hash_of(&json!(2)) };
        let moved = Intent { additions: hash_of(&json!(3)), ..old };
        let other = Intent { desired: hash_of(&json!(4)), ..old };
        assert_ne!(old.to_string(), moved.to_string());
        assert!(moved.same_desired(&old.to_string()));
        assert!(!other.same_desired(&old.to_string()));
    }

    proptest! {
        #[test]
        fn the_order_of_keys_does_not_change_the_hash(fields in prop::collection::btree_map("[a-z]{1,4}", any::<i64>(), 0..8), turn in 0usize..8) {
            let write = |fields: &[(String, i64)]| {
                let fields = fields.iter().map(|(name, value)| format!("{name:?}:{value}")).collect::<Vec<_>>();
                serde_json::from_str::<Value>(&format!("{{{}}}", fields.join(","))).unwrap()
            };
            let mut pairs = fields.into_iter().collect::<Vec<_>>();
            let sorted = write(&pairs);
            let turn = turn.min(pairs.len());
            pairs.rotate_left(turn);
            prop_assert_eq!(hash_of(&sorted), hash_of(&write(&pairs)));
        }
    }
}
