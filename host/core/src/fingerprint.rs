//! The fingerprint of what a run was given. While it equals that of the last
//! settled run, calling the plugin again would give the same answer.
//!
//! Contents count, not resource versions: a changed default of a CRD alters an
//! object at the same resource version, and a status written by someone else's
//! no-op moves the version without altering what the plugin sees.

use crate::{hash::Hash, object::Object};

/// A look-up that the run made, and the answer that it got.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Look {
    /// What was asked for: a text that no other question has.
    pub asked: String,
    /// The hash of the contents that were found, see [`found`].
    pub found: Hash,
}

/// The hash of what a look-up found: of its contents, in the order in which they
/// were given.
pub fn found<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Hash {
    Hash::of(objects.into_iter().map(|object| object.content.as_bytes()))
}

/// What a run was given, as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(Hash);

/// The fingerprint of a run: what the plugin is (`generation`: its content,
/// config and policy), what it is given, and what it looked up, in any order.
pub fn fingerprint<'a>(
    generation: Hash,
    object: Hash,
    finalizing: bool,
    children: impl IntoIterator<Item = &'a Object>,
    looks: impl IntoIterator<Item = &'a Look>,
) -> Fingerprint {
    // An object's content covers its kind, its name and its uid.
    let mut children = children.into_iter().map(|child| child.content).collect::<Vec<_>>();
    let mut looks = looks.into_iter().map(look).collect::<Vec<_>>();
    children.sort_unstable();
    looks.sort_unstable();
    looks.dedup();
    let own = [generation, object];
    let counts = [u64::from(finalizing), children.len() as u64].map(u64::to_le_bytes);
    let parts = own.iter().chain(&children).chain(&looks).map(Hash::as_bytes);
    Fingerprint(Hash::of(counts.iter().map(<[u8; 8]>::as_slice).chain(parts)))
}

fn look(Look { asked, found }: &Look) -> Hash {
    Hash::of([asked.as_bytes(), found.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, data: &str, resource_version: u32) -> Object {
        let text = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"u-{name}","resourceVersion":"{resource_version}"}},"data":"{data}"}}"#
        );
        Object::parse(&text, "v1", "ConfigMap").unwrap()
    }

    fn asked(name: &str, found: Option<&Object>) -> Look {
        Look { asked: name.into(), found: super::found(found) }
    }

    const GENERATION: [&[u8]; 1] = [b"generation"];

    fn of(object: &Object, children: &[Object], looks: &[Look]) -> Fingerprint {
        fingerprint(Hash::of(GENERATION), object.content, false, children, looks)
    }

    #[test]
    fn equal_inputs_are_equal_in_any_order_and_at_any_resource_version() {
        let (a, b) = (object("a", "1", 1), object("b", "1", 1));
        let (x, y) = (asked("x", Some(&a)), asked("y", None));
        let first = of(&a, &[a.clone(), b.clone()], &[x.clone(), y.clone()]);
        assert_eq!(first, of(&object("a", "1", 9), &[b, a], &[y.clone(), x, y]));
    }

    #[test]
    fn each_input_alone_changes_it() {
        let (a, b, changed) = (object("a", "1", 1), object("b", "1", 1), object("b", "2", 1));
        let children = [b.clone()];
        let looks = [asked("x", None)];
        let base = of(&a, &children, &looks);
        let others = [
            ("object", of(&object("a", "2", 1), &children, &looks)),
            ("child changed", of(&a, &[changed], &looks)),
            ("child gone", of(&a, &[], &looks)),
            ("look-up found", of(&a, &children, &[asked("x", Some(&b))])),
            ("another absence", of(&a, &children, &[asked("y", None)])),
            ("one absence more", of(&a, &children, &[asked("x", None), asked("y", None)])),
            ("finalizing", fingerprint(Hash::of(GENERATION), a.content, true, &children, &looks)),
            ("generation", fingerprint(Hash::default(), a.content, false, &children, &looks)),
        ];
        for (what, other) in others {
            assert_ne!(base, other, "{what}");
        }
    }
}
