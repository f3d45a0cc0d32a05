//! Takes out of answers what has to differ between two servers: uids, versions,
//! addresses and generated names become their order of appearance, the time of
//! the test becomes `<now>`.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};
use serde_json::{Map, Value};

static UID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").expect("a literal pattern")
});
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC)").expect("a literal pattern")
});
/// Versions that messages name.
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    let before = [
        "current: ",
        r"in record \(",
        r"ResourceVersion in the precondition \(",
        "in object meta: ",
        "too old resource version: ",
        r#"\\?"resourceVersion\\?":\\?""#,
    ];
    Regex::new(&format!("({})\\d+", before.join("|"))).expect("a literal pattern")
});
/// The oldest version that a server still has.
static OLDEST: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(<version> \()\d+").expect("a literal pattern"));
static ALLOTTED_ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^10\.\d+\.\d+\.\d+$").expect("a literal pattern"));
/// What stands before an object that is quoted, with its first two characters.
const QUOTED: &str = "Invalid value: \"{";
/// What a server draws for the end of a generated name.
const SUFFIX_LENGTH: usize = 5;
/// A time that is no further off than this is the time of the test.
const NOW_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// What has appeared so far in one play.
#[derive(Clone, Default)]
pub(crate) struct Normal {
    seen: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
    generated: Vec<(String, String)>,
}

impl Normal {
    /// An answer, or the events of a watch, without what has to differ.
    pub fn normalise(&mut self, mut answer: Value) -> Value {
        self.find_generated(&answer);
        self.value(&mut answer);
        answer
    }

    fn token(&mut self, what: &'static str, value: &str) -> String {
        let key = format!("{what} {value}");
        if let Some(token) = self.seen.get(&key) {
            return token.clone();
        }
        let count = self.counts.entry(what).or_default();
        *count += 1;
        let token = format!("<{what} {count}>");
        self.seen.insert(key, token.clone());
        token
    }

    fn find_generated(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.find_generated(item)),
            Value::Object(fields) => {
                if let (Some(base), Some(name)) =
                    (fields.get("generateName").and_then(Value::as_str), fields.get("name").and_then(Value::as_str))
                    && name.get(..name.len().saturating_sub(SUFFIX_LENGTH)).is_some_and(|start| base.starts_with(start))
                    && !self.generated.iter().any(|(known, _)| known == name)
                {
                    let token = self.token("name", name);
                    let start = &name[..name.len().saturating_sub(SUFFIX_LENGTH)];
                    self.generated.push((name.to_owned(), format!("{start}{token}")));
                }
                fields.values().for_each(|field| self.find_generated(field));
            }
            _ => {}
        }
    }

    fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => self.object(fields),
            _ => {}
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>) {
        // Versions of lists and bookmarks are of the whole server, not of what is listed.
        let of_server = fields.contains_key("items") || fields.contains_key("rows");
        if fields.keys().any(|key| UID.is_match(key)) {
            *fields = std::mem::take(fields).into_iter().map(|(key, value)| (self.text(&key), value)).collect();
        }
        sort_causes(fields);
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            self.metadata(metadata, of_server);
        }
        if fields.get("type").is_some_and(|kind| kind == "BOOKMARK")
            && let Some(version) =
                fields.get_mut("object").and_then(|object| object.pointer_mut("/metadata/resourceVersion"))
        {
            *version = Value::from("<now>");
        }
        for (key, value) in fields.iter_mut() {
            match (key.as_str(), &mut *value) {
                ("clusterIP", Value::String(address)) => *address = self.address(address),
                ("clusterIPs", Value::Array(addresses)) => {
                    for address in addresses {
                        let token = address.as_str().map(|address| self.address(address));
                        *address = token.map_or(Value::Null, Value::from);
                    }
                }
                ("nodePort", Value::Number(port)) => *value = Value::from(self.token("port", &port.to_string())),
                _ => self.value(value),
            }
        }
    }

    fn metadata(&mut self, metadata: &mut Map<String, Value>, of_server: bool) {
        if let Some(Value::String(version)) = metadata.get_mut("resourceVersion")
            && !version.is_empty()
        {
            *version = if of_server { "<now>".to_owned() } else { self.token("version", version) };
        }
        if let Some(Value::String(token)) = metadata.get_mut("continue")
            && !token.is_empty()
        {
            *token = "<continue>".to_owned();
        }
        // Entries are sorted by time first, so their order depends on when a
        // second begins.
        if let Some(entries) = metadata.get_mut("managedFields") {
            sort_managers(entries);
        }
    }

    fn address(&mut self, address: &str) -> String {
        if ALLOTTED_ADDRESS.is_match(address) { self.token("address", address) } else { address.to_owned() }
    }

    fn text(&mut self, text: &str) -> String {
        let mut text = sort_quoted_managers(text);
        for (name, token) in &self.generated {
            text = text.replace(name, token);
        }
        let text = UID.replace_all(&text, |found: &Captures<'_>| self.token("uid", &found[0]));
        let text = VERSION.replace_all(&text, "$1<version>");
        let text = OLDEST.replace_all(&text, "$1<version>");
        TIME.replace_all(&text, |found: &Captures<'_>| if is_now(&found[0]) { "<now>" } else { &found[0] }.to_owned())
            .into_owned()
    }
}

fn sort_managers(entries: &mut Value) {
    let field = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let key = |entry: &Value| ["operation", "manager", "apiVersion", "subresource"].map(|name| field(entry, name));
    entries.as_array_mut().into_iter().for_each(|entries| entries.sort_by_key(key));
}

/// A refusal may quote the whole object, entries and all.
fn sort_quoted_managers(text: &str) -> String {
    let Some(start) = text.find(QUOTED) else { return text.to_owned() };
    let (before, quoted) = text.split_at(start + QUOTED.len() - 2);
    let mut values = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
    let Some(Ok(object)) = values.next() else { return text.to_owned() };
    let rest = &quoted[values.byte_offset()..];
    let Ok(mut object) = serde_json::from_str::<Value>(&object) else { return text.to_owned() };
    if let Some(entries) = object.pointer_mut("/metadata/managedFields") {
        sort_managers(entries);
    }
    format!("{before}{}{rest}", Value::from(object.to_string()))
}

/// The real server goes through maps in random order, and so are its causes.
fn sort_causes(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(causes)) = fields.get_mut("causes") {
        causes.sort_by_key(Value::to_string);
    }
    if let Some(Value::String(message)) = fields.get_mut("message")
        && let Some((subject, causes)) = message.split_once(" is invalid: [")
    {
        let mut causes: Vec<&str> = causes.trim_end_matches(']').split(", ").collect();
        causes.sort_unstable();
        *message = format!("{subject} is invalid: [{}]", causes.join(", "));
    }
}

fn is_now(time: &str) -> bool {
    let time = time.replace(" +0000 UTC", "Z").replacen(' ', "T", 1);
    let Ok(time) = time.parse::<Timestamp>() else { return false };
    Timestamp::now().duration_since(time).abs() < NOW_WITHIN
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_versions_stay_equal_and_others_differ() {
        let object = |version: &str| json!({ "metadata": { "resourceVersion": version } });
        let mut normal = Normal::default();
        let [first, again, other] = ["7", "7", "9"].map(|version| normal.normalise(object(version)));
        assert_eq!(first, again);
        assert_ne!(first, other);
    }

    #[test]
    fn only_the_time_of_the_test_is_taken_out() {
        let mut normal = Normal::default();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        assert_eq!(normal.normalise(json!({ "a": now })), json!({ "a": "<now>" }));
        let old = json!({ "a": "2020-01-01T00:00:00Z" });
        assert_eq!(normal.normalise(old.clone()), old);
    }

    #[test]
    fn managers_in_a_quoted_object_stand_in_one_order() {
        let quoted = |managers: [&str; 2]| {
            let entries = managers.map(|manager| json!({ "manager": manager, "operation": "Update" }));
            let object = json!({ "metadata": { "managedFields": entries } }).to_string();
            json!({ "message": format!("patch: Invalid value: {}: wrong", Value::from(object)) })
        };
        let [one, other] = [["a", "b"], ["b", "a"]].map(|managers| Normal::default().normalise(quoted(managers)));
        assert_eq!(one, other);
        assert_eq!(one, quoted(["a", "b"]));
    }

    #[test]
    fn a_generated_name_is_known_wherever_it_stands() {
        let mut normal = Normal::default();
        let answer = json!({ "metadata": { "generateName": "g-", "name": "g-abcde" }, "message": "x g-abcde y" });
        let expected =
            json!({ "metadata": { "generateName": "g-", "name": "g-<name 1>" }, "message": "x g-<name 1> y" });
        assert_eq!(normal.normalise(answer), expected);
    }
}
