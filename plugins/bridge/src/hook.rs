//! One call of a hook: how objects are shown to it, and what it answers over HTTP.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::controller::{Hook, Version};

/// How much of an answer that is none is told.
const TOLD_CHARS: usize = 200;

/// Why there is no answer. Nothing is written then, and the call is made again.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people.
    pub message: String,
    /// When the hook wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, retry_after: None }
    }
}

/// What a hook answered over HTTP.
#[derive(Debug)]
pub struct Reply {
    /// `200`
    pub status: u16,
    /// By their names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

/// The way to a hook: a URL, what is sent, and how long it may take.
pub type Post<'a> = &'a dyn Fn(&str, &[u8], Duration) -> Result<Reply, String>;

/// Asks a hook of that name.
pub fn ask(name: &str, hook: &Hook, request: &Value, post: Post<'_>) -> Result<Value, Failure> {
    let url = hook.url()?;
    let reply = post(&url, request.to_string().as_bytes(), hook.timeout()?)
        .map_err(|error| format!("the {name} hook: {error}"))?;
    read(&reply).map_err(|failure| Failure { message: format!("the {name} hook {url} {}", failure.message), ..failure })
}

fn read(reply: &Reply) -> Result<Value, Failure> {
    let header = |wanted: &str| reply.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let said = || {
        let text = String::from_utf8_lossy(&reply.body);
        let start = text.trim().chars().take(TOLD_CHARS).collect::<String>();
        if start.is_empty() { "nothing".to_owned() } else { format!("{start:?}") }
    };
    match reply.status {
        200 => serde_json::from_slice(&reply.body)
            .map_err(|error| format!("answers what is no JSON ({error}), it says {}", said()).into()),
        429 => {
            let seconds = header("retry-after").and_then(|value| value.trim().parse().ok());
            Err(Failure {
                message: "asks to be called later (429)".to_owned(),
                retry_after: seconds.map(Duration::from_secs),
            })
        }
        status @ 300..400 => {
            let to = header("location").unwrap_or("nowhere");
            Err(format!(
                "answers {status} and points to {to}: redirects are not followed, name that place in the controller"
            )
            .into())
        }
        status => Err(format!("answers {status}, it says {}", said()).into()),
    }
}

/// Objects as Metacontroller shows them to a hook: by `Kind.apiVersion`, then by
/// name, with the namespace before it where the parent has none, or always.
#[derive(Debug, Default)]
pub struct Shown(Map<String, Value>);

impl Shown {
    /// A kind is there also where it has no objects.
    pub fn kind(&mut self, api_version: &str, kind: &str) -> &mut Map<String, Value> {
        let group = self.0.entry(format!("{kind}.{api_version}")).or_insert_with(|| json!({}));
        group.as_object_mut().expect("only objects are put here")
    }

    /// Puts one object of a kind.
    pub fn put(&mut self, api_version: &str, kind: &str, object: Value, parent: &Value, version: Version) {
        let key = key(&object, parent, version);
        self.kind(api_version, kind).insert(key, object);
    }

    /// As a hook reads it.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

fn key(object: &Value, parent: &Value, version: Version) -> String {
    let text = |of: &Value, field: &str| of["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(object, "namespace"), text(object, "name"));
    let with_namespace = version == Version::V2 || text(parent, "namespace").is_empty();
    if with_namespace && !namespace.is_empty() { format!("{namespace}/{name}") } else { name }
}
