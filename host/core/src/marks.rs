//! The labels and annotations that the host reads and writes. A released name
//! never changes its meaning: other releases read it.

/// Which instance serves an object, unless another label is configured.
pub const INSTANCE_LABEL: &str = "trimtab.dev/instance-id";
/// On an object of a kind that several versions serve: the version that does.
pub const VERSION: &str = "trimtab.dev/version";
/// `"true"` on an object: neither called nor written until it goes.
pub const PAUSED: &str = "trimtab.dev/paused";
/// On an object: each new value has the plugin called once, as any change of what
/// it is given does.
pub const TRIGGER: &str = "trimtab.dev/trigger";
/// On a child, as a label: the lineage that made it. One watch for each kind
/// on this label's existence keeps what is not ours out of memory.
pub const PLUGIN_LABEL: &str = "trimtab.dev/plugin";
/// On a child: JSON naming the object that it belongs to, see `ownership`.
pub const OWNER: &str = "trimtab.dev/owner";
/// On a child: the hash of the intent that was applied last.
pub const INTENT: &str = "trimtab.dev/intent";
/// On a child of a kind that rolls: the name of the revision of its object that it
/// was made from.
pub const REVISION: &str = "trimtab.dev/revision";
/// On an object that a canary has moved: JSON saying which, and where it came from, see
/// `canary::mark`.
pub const CANARY: &str = "trimtab.dev/canary";
/// The prefix of all of them: annotations under it are kept beside the text.
pub const PREFIX: &str = "trimtab.dev/";
/// The prefix of what a decorator leaves on an object, followed by its lineage: as
/// a label, that it holds the object; as an annotation, what it set there.
pub const DECORATOR_PREFIX: &str = "decorator.trimtab.dev/";
/// The prefix of the label on an object of an exclusive plugin, followed by its
/// lineage, that names the instance which holds it.
pub const HOLD_PREFIX: &str = "exclusive.trimtab.dev/";

/// Whether a label or an annotation is the host's.
pub fn is_mark(name: &str) -> bool {
    [PREFIX, DECORATOR_PREFIX, HOLD_PREFIX].iter().any(|prefix| name.starts_with(prefix))
}
