//! What a simulated component wants to write, and how that is asked for.

use http::Method;
use serde_json::{Value, json};

use super::object::{self, Key, Kind};
use crate::requests::{Failed, Requests};

/// The parts that are played, as field managers.
pub(super) const CONTROLLERS: &str = "kube-controller-manager";
const KUBELET: &str = "kubelet";
const SCHEDULER: &str = "kube-scheduler";

/// One write.
pub(super) enum Change {
    /// A new object.
    Create(Kind, Value),
    /// An object as it should be from now on, but for its status.
    Update(Kind, Value),
    /// An object with the status that it should have.
    Status(Kind, Value),
    /// A pod goes onto a node.
    Bind(Value, String),
    /// An object goes; a pod with its own grace, unless one is given.
    Delete(Kind, Value, Option<u32>),
}

/// What is known after a change was carried out.
pub(super) enum Outcome {
    /// The object as it is now.
    Is(Kind, Value),
    /// It is gone.
    Gone(Key),
    /// It will be told.
    Unknown,
}

impl Change {
    /// Carries it out. Each carries the state that it was decided on, so what
    /// has passed meanwhile is refused.
    pub async fn carry_out(self, requests: &Requests) -> Result<Outcome, Failed> {
        match self {
            Self::Create(kind, object) => {
                let path = format!("{}?fieldManager={CONTROLLERS}", kind.collection(Some(object::namespace(&object))));
                Ok(Outcome::Is(kind, requests.send(Method::POST, &path, Some(&object)).await?))
            }
            Self::Update(kind, object) => {
                let path = format!("{}?fieldManager={CONTROLLERS}", kind.path(&object));
                let now = requests.send(Method::PUT, &path, Some(&object)).await?;
                // Without its last finalizer a deleted object is gone.
                let released = object::is_deleting(&now) && now["metadata"]["finalizers"].is_null();
                let gone = released && object::number(&now, "/metadata/deletionGracePeriodSeconds") == Some(0);
                Ok(if gone { Outcome::Gone(Key::of(kind, &object)) } else { Outcome::Is(kind, now) })
            }
            Self::Status(kind, object) => {
                let part = if kind == Kind::Pod { KUBELET } else { CONTROLLERS };
                let path = format!("{}/status?fieldManager={part}", kind.path(&object));
                Ok(Outcome::Is(kind, requests.send(Method::PUT, &path, Some(&object)).await?))
            }
            Self::Bind(pod, node) => {
                let path = format!("{}/binding?fieldManager={SCHEDULER}", Kind::Pod.path(&pod));
                let metadata = json!({ "name": object::name(&pod), "uid": object::uid(&pod) });
                let target = json!({ "apiVersion": "v1", "kind": "Node", "name": node });
                let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target });
                requests.send(Method::POST, &path, Some(&binding)).await?;
                Ok(Outcome::Unknown)
            }
            Self::Delete(kind, object, grace) => {
                let mut options = json!({
                    "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                    "preconditions": { "uid": object::uid(&object) },
                });
                if let Some(seconds) = grace {
                    options["gracePeriodSeconds"] = Value::from(seconds);
                }
                let now = requests.send(Method::DELETE, &kind.path(&object), Some(&options)).await?;
                let stays = now["kind"] == kind.name()
                    && object::is_deleting(&now)
                    && (!now["metadata"]["finalizers"].is_null()
                        || object::number(&now, "/metadata/deletionGracePeriodSeconds").is_some_and(|grace| grace > 0));
                Ok(if stays { Outcome::Is(kind, now) } else { Outcome::Gone(Key::of(kind, &object)) })
            }
        }
    }
}
