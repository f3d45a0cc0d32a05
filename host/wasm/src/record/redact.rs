//! A record for others than who runs the host: no value of a Secret is in it. In
//! its place stands a pseudonym, the same wherever the value was, and the same for
//! equal values of one process, so that the plugin decides as it did.
//!
//! A value is known by its place: data of a Secret among the objects, a config that
//! comes from one, a header that carries credentials. From there it is sought in all
//! the record, as itself, as base64 and as JSON writes it. What a plugin has made of
//! one, such as its hash, is not known, nor is a value of a few bytes outside of its
//! place: it would be found everywhere.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use trimtab_core::hash::Hash;

use super::{Ending, Record};
use crate::tape::{Body, Came, End, Fault, Seed, Told};

/// Shorter values are replaced in their own place only.
const SOUGHT_BYTES_MIN: usize = 6;

/// Where kubectl keeps what it applied, values and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Headers that carry credentials, and parts of the names of others.
const SECRET_HEADERS: &[&str] = &["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"];

/// What pseudonyms are made with: another in each process.
pub struct Key([u8; 32]);

impl Key {
    /// One that nobody knows.
    pub fn random() -> Self {
        Self(Seed::random().0)
    }

    fn pseudonym(&self, value: &[u8]) -> String {
        format!("redacted-{}", Hash::of([&self.0[..], value]))
    }

    /// What a plugin made of chance may be a password.
    fn seed(&self, seed: Seed) -> Seed {
        let mut other = [0; 32];
        for (part, half) in other.chunks_mut(16).zip([0, 1]) {
            part.copy_from_slice(Hash::of([&self.0[..], &seed.0[..], &[half]]).as_bytes());
        }
        Seed(other)
    }
}

impl Record {
    /// The same call without the values of secrets; whether its config comes from one
    /// is for who made the call to say.
    pub fn redacted(&self, key: &Key, config_is_secret: bool) -> Self {
        let mut record = self.clone();
        let mut found = Found { key, values: BTreeMap::new() };
        found.seek(&record, config_is_secret);
        let replace = Replace::new(found);
        replace.request(&mut record, config_is_secret);
        replace.tape(&mut record);
        replace.outcome(&mut record);
        record.log.iter_mut().for_each(|(_, line)| replace.text(line));
        record.tape.seed = key.seed(record.tape.seed);
        record.redacted = true;
        record
    }
}

/// Values of secrets, and what is put in their place.
struct Found<'a> {
    key: &'a Key,
    values: BTreeMap<String, String>,
}

impl Found<'_> {
    fn seek(&mut self, record: &Record, config_is_secret: bool) {
        self.object(&record.request.object);
        record.request.children.iter().flat_map(|group| &group.objects).for_each(|child| self.object(child));
        for asked in &record.tape.look_ups {
            if let Told::Found(objects) = &asked.told {
                objects.iter().for_each(|object| self.object(object));
            }
        }
        if let Ending::Answered(answer) = &record.ending {
            answer.children.iter().for_each(|child| self.object(child));
        }
        if config_is_secret && let Ok(mut config) = serde_json::from_str(&record.request.config) {
            each_text(&mut config, &mut |text| self.plain(text));
        }
        for exchange in &record.tape.http {
            let answered = match &exchange.came {
                Came::Answer { headers, .. } => headers.as_slice(),
                Came::Denied(_) | Came::Nothing | Came::Failed(_) => &[],
            };
            for (_, value) in exchange.asked.headers.iter().chain(answered).filter(|(name, _)| is_secret(name)) {
                self.plain(value);
            }
        }
    }

    fn object(&mut self, text: &str) {
        let Ok(Value::Object(object)) = serde_json::from_str(text) else { return };
        if !is_a_secret(&object) {
            return;
        }
        for value in texts(&object, "data") {
            match STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(plain) => self.plain(&plain),
                None => self.put(value, STANDARD.encode(self.key.pseudonym(value.as_bytes()))),
            }
        }
        texts(&object, "stringData").for_each(|value| self.plain(value));
        // It may hold values that the Secret had before.
        let metadata = object.get("metadata").and_then(Value::as_object);
        let applied = metadata.into_iter().flat_map(|metadata| entries(metadata, "annotations"));
        applied.filter(|(name, _)| *name == LAST_APPLIED).for_each(|(_, applied)| self.object(applied));
    }

    /// A value as it is, as base64, and as it stands in a JSON text.
    fn plain(&mut self, value: &str) {
        let pseudonym = self.key.pseudonym(value.as_bytes());
        self.put(&STANDARD.encode(value), STANDARD.encode(&pseudonym));
        let quoted = Value::from(value).to_string();
        self.put(&quoted[1..quoted.len() - 1], pseudonym.clone());
        self.put(value, pseudonym);
    }

    fn put(&mut self, value: &str, pseudonym: String) {
        if !value.is_empty() {
            self.values.insert(value.to_owned(), pseudonym);
        }
    }
}

/// Puts pseudonyms in the place of values.
struct Replace {
    values: BTreeMap<String, String>,
    /// The longest first, as one may be part of another.
    sought: Vec<(String, String)>,
}

impl Replace {
    fn new(found: Found<'_>) -> Self {
        let long = |(value, _): &(String, String)| value.len() >= SOUGHT_BYTES_MIN;
        let mut sought = found.values.clone().into_iter().filter(long).collect::<Vec<_>>();
        sought.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self { values: found.values, sought }
    }

    fn request(&self, record: &mut Record, config_is_secret: bool) {
        let request = &mut record.request;
        if config_is_secret && let Ok(mut config) = serde_json::from_str(&request.config) {
            each_text(&mut config, &mut |text| self.whole(text));
            request.config = config.to_string().into();
        }
        self.shared(&mut request.config);
        self.object(&mut request.object);
        request.children.iter_mut().flat_map(|group| &mut group.objects).for_each(|child| self.object(child));
    }

    fn tape(&self, record: &mut Record) {
        for asked in &mut record.tape.look_ups {
            match &mut asked.told {
                Told::Found(objects) => objects.iter_mut().for_each(|object| self.object(object)),
                Told::Denied(why) | Told::NotReady(why) => self.text(why),
            }
        }
        for exchange in &mut record.tape.http {
            self.text(&mut exchange.asked.url);
            self.headers(&mut exchange.asked.headers);
            self.body(&mut exchange.sent);
            match &mut exchange.came {
                Came::Denied(why) => self.text(why),
                Came::Nothing => {}
                Came::Failed(fault) => self.fault(fault),
                Came::Answer { headers, body, end, .. } => {
                    self.headers(headers);
                    self.body(body);
                    if let End::Failed(fault) = end {
                        self.fault(fault);
                    }
                }
            }
        }
    }

    fn outcome(&self, record: &mut Record) {
        match &mut record.ending {
            Ending::Answered(answer) => {
                answer.children.iter_mut().for_each(|child| *child = self.of_object(child).into_owned());
                answer.status.iter_mut().chain(&mut answer.extra).for_each(|text| self.text(text));
                let marks = answer.labels.iter_mut().chain(&mut answer.annotations);
                marks.filter_map(|(_, value)| value.as_mut()).for_each(|value| self.text(value));
                answer.events.iter_mut().for_each(|event| self.text(&mut event.message));
            }
            Ending::Failed(failure) => self.text(&mut failure.message),
            Ending::Stopped { message, .. } => self.text(message),
        }
    }

    fn object(&self, text: &mut Arc<str>) {
        if let Cow::Owned(replaced) = self.of_object(text) {
            *text = replaced.into();
        }
    }

    /// Of a Secret each value, however short; of all else what is found in it.
    fn of_object<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Ok(Value::Object(mut object)) = serde_json::from_str(text) else { return self.replaced(text) };
        if !is_a_secret(&object) {
            return self.replaced(text);
        }
        for field in ["data", "stringData"] {
            if let Some(values) = object.get_mut(field) {
                each_text(values, &mut |text| self.whole(text));
            }
        }
        Cow::Owned(self.replaced(&Value::Object(object).to_string()).into_owned())
    }

    fn headers(&self, headers: &mut [(String, String)]) {
        for (name, value) in headers {
            if is_secret(name) { self.whole(value) } else { self.text(value) }
        }
    }

    /// In one piece: a value may lie across two.
    fn body(&self, body: &mut Body) {
        let bytes = body.whole();
        let replaced = match std::str::from_utf8(&bytes) {
            Ok(text) => match self.replaced(text) {
                Cow::Borrowed(_) => return,
                Cow::Owned(replaced) => replaced.into_bytes(),
            },
            Err(_) => self.replaced_in_bytes(bytes),
        };
        body.0 = vec![replaced.into()];
    }

    fn replaced_in_bytes(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for (value, pseudonym) in &self.sought {
            let mut from = 0;
            while let Some(at) = bytes[from..].windows(value.len()).position(|window| window == value.as_bytes()) {
                bytes.splice(from + at..from + at + value.len(), pseudonym.bytes());
                from += at + pseudonym.len();
            }
        }
        bytes
    }

    fn fault(&self, fault: &mut Fault) {
        if let Fault::Other(why) = fault {
            self.text(why);
        }
    }

    fn shared(&self, text: &mut Arc<str>) {
        if let Cow::Owned(replaced) = self.replaced(text) {
            *text = replaced.into();
        }
    }

    /// A text that is a value.
    fn whole(&self, text: &mut String) {
        if let Some(pseudonym) = self.values.get(text) {
            text.clone_from(pseudonym);
        }
    }

    fn text(&self, text: &mut String) {
        if let Cow::Owned(replaced) = self.replaced(text) {
            *text = replaced;
        }
    }

    /// In a text, and, where that is JSON, in its texts, however each is escaped.
    fn replaced<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(mut json) = structured(text) else { return self.replaced_as_it_is(text) };
        let before = json.clone();
        each_text(&mut json, &mut |text| self.text(text));
        if json == before {
            return self.replaced_as_it_is(text);
        }
        Cow::Owned(self.replaced_as_it_is(&json.to_string()).into_owned())
    }

    fn replaced_as_it_is<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut replaced = Cow::Borrowed(text);
        for (value, pseudonym) in self.sought.iter().filter(|(value, _)| text.contains(value)) {
            replaced = Cow::Owned(replaced.replace(value, pseudonym));
        }
        replaced
    }
}

/// A text that is an object or a list of JSON.
fn structured(text: &str) -> Option<Value> {
    let begins = text.trim_start().starts_with(['{', '[']);
    begins.then(|| serde_json::from_str(text).ok()).flatten()
}

fn is_a_secret(object: &Map<String, Value>) -> bool {
    object.get("apiVersion").is_some_and(|version| version == "v1")
        && object.get("kind").is_some_and(|kind| kind == "Secret")
}

fn is_secret(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    SECRET_HEADERS.iter().any(|part| header.contains(part))
}

fn texts<'a>(object: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = &'a str> {
    entries(object, field).map(|(_, text)| text)
}

fn entries<'a>(object: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let entries = object.get(field).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

fn each_text(value: &mut Value, of: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => of(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, of)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each_text(field, of)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        called::{CallError, Called},
        contract::{Group, KindRef, Level, Request, Response},
        tape::{Asked, Head, Which},
    };

    const PASSWORD: &str = "correct \"horse\"\nbattery";

    fn kind(name: &str) -> KindRef {
        KindRef { cluster: None, api_version: "v1".into(), kind: name.into() }
    }

    /// A call into which a password has found its way everywhere.
    fn record() -> Record {
        let in_base64 = STANDARD.encode(PASSWORD);
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
            "data": { "password": in_base64, "pin": STANDARD.encode("42"), "raw": STANDARD.encode([0xff, 0xfe, 1, 2, 3, 4]) } });
        let map =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "url": format!("db://{PASSWORD}@host/42") } });
        let request = Request {
            cluster: "here".into(),
            instance_id: None,
            now: "2026-01-02T03:04:05Z".into(),
            config: json!({ "key": "from-a-secret", "more": PASSWORD }).to_string().into(),
            object: json!({ "kind": "X", "spec": { "said": secret.to_string() } }).to_string().into(),
            children: vec![Group { of: kind("ConfigMap"), objects: vec![map.to_string().into()] }],
            finalizing: false,
            extra: "{}".into(),
        };
        let mut called = Called::never(CallError::Host("none".into()));
        called.log = crate::log::Log::new(10);
        called.log.push(Level::Info, &format!("it is {PASSWORD}, or {in_base64}"));
        called.outcome = Ok(Response {
            children: vec![secret.to_string(), map.to_string()],
            status: Some(json!({ "said": PASSWORD }).to_string()),
            labels: vec![("x".into(), Some("from-a-secret".into()))],
            ..Response::default()
        });
        called.tape.look_ups.push(Asked {
            of: kind("Secret"),
            namespaced: true,
            namespace: Some("default".into()),
            which: Which::Named { name: "s".into() },
            told: Told::Found(vec![secret.to_string().into()]),
        });
        let place = called.tape.request(Head {
            method: "POST".into(),
            url: "http://x/?key=from-a-secret".into(),
            headers: vec![("authorization".into(), "Bearer of-a-header".into())],
        });
        let (before, after) = PASSWORD.split_at(4);
        called.tape.sent(place, &before.to_owned().into());
        called.tape.sent(place, &after.to_owned().into());
        called.tape.came(place, Came::Failed(Fault::Other("Bearer of-a-header is refused".into())));
        Record::new("x", "1".into(), request, &mut called)
    }

    #[test]
    fn no_value_of_a_secret_is_left_in_any_form() {
        let (record, key) = (record(), Key::random());
        let redacted = record.redacted(&key, true);
        let bodies = String::from_utf8(redacted.tape.http[0].sent.whole()).unwrap();
        let text = redacted.text() + &bodies + &format!("{redacted:?}");
        let escaped = Value::from(PASSWORD).to_string();
        let raw = STANDARD.encode([0xff, 0xfe, 1, 2, 3, 4]);
        let pin = format!("\\\"pin\\\":\\\"{}\\\"", STANDARD.encode("42"));
        let base64 = STANDARD.encode(PASSWORD);
        for value in
            [PASSWORD, escaped.trim_matches('"'), &base64, "battery", &raw, &pin, "from-a-secret", "of-a-header"]
        {
            assert!(record.text().contains(value) || value == PASSWORD || value == pin || value == base64);
            assert!(!text.contains(value), "{value} is in\n{text}");
        }
        assert_ne!(redacted.tape.seed, record.tape.seed);
        assert!(redacted.redacted);
    }

    #[test]
    fn no_value_is_left_however_often_and_by_whom_it_was_escaped() {
        let values =
            ["-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----", "p&ss<w>rd", "p\u{e4}ssword", "ends in \"quotes\""];
        let in_base64 = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
            "data": { "a": STANDARD.encode(values[0]), "b": STANDARD.encode(values[1]),
                "c": STANDARD.encode(values[2]), "d": STANDARD.encode(values[3]) } });
        let mut plain = json!({ "apiVersion": "v1", "kind": "Secret", "stringData": { "old": "rotated-away" } });
        for (name, value) in ["a", "b", "c", "d"].into_iter().zip(values) {
            plain["stringData"][name] = value.into();
        }
        let plain = plain.to_string();
        let mut secret = in_base64.clone();
        secret["metadata"]["annotations"] = json!({ LAST_APPLIED: plain });
        let twice = json!({ "metadata": { "annotations": { "said": plain } } }).to_string();
        let by_go = twice.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
        let by_python = twice.replace('\u{e4}', "\\u00e4");

        let mut record = record();
        record.tape.look_ups[0].told = Told::Found(vec![secret.to_string().into()]);
        let Ending::Answered(answer) = &mut record.ending else { panic!("{record:?}") };
        answer.children = vec![twice.clone(), by_go, by_python];
        answer.status = Some(json!({ "said": twice }).to_string());
        record.tape.http[0].sent = Body(vec![vec![0xff, 0xfe].into(), values[0].to_owned().into(), vec![0xe4].into()]);
        let redacted = record.redacted(&Key::random(), false);

        let Ending::Answered(answer) = &redacted.ending else { panic!("{redacted:?}") };
        let Told::Found(objects) = &redacted.tape.look_ups[0].told else { panic!("{redacted:?}") };
        assert!(!objects[0].contains("rotated-away"), "{}", objects[0]);
        let texts = answer.children.iter().chain(&answer.status).map(String::as_str).chain([&*objects[0]]);
        for text in texts {
            let whole = decoded(&serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}")));
            for value in values {
                assert!(!whole.contains(value), "{value} is in\n{whole}");
            }
        }
        let sent = redacted.tape.http[0].sent.whole();
        assert!(!sent.windows(values[0].len()).any(|window| window == values[0].as_bytes()));
        assert_eq!((sent.first(), sent.last()), (Some(&0xff), Some(&0xe4)), "the rest is as it was");
    }

    /// All that a JSON says, and the JSON in its texts, one after another.
    fn decoded(json: &Value) -> String {
        match json {
            Value::String(text) => match structured(text) {
                Some(json) => decoded(&json),
                None => format!("{text}\0"),
            },
            Value::Array(items) => items.iter().map(decoded).collect(),
            Value::Object(fields) => fields.values().map(decoded).collect(),
            scalar => scalar.to_string(),
        }
    }

    #[test]
    fn equal_values_stay_equal_and_what_is_no_secret_stays_as_it_is() {
        let (record, key) = (record(), Key::random());
        let redacted = record.redacted(&key, true);
        let pseudonym = key.pseudonym(PASSWORD.as_bytes());
        let Told::Found(objects) = &redacted.tape.look_ups[0].told else { panic!("{redacted:?}") };
        assert!(objects[0].contains(&STANDARD.encode(&pseudonym)));
        let Ending::Answered(answer) = &redacted.ending else { panic!("{redacted:?}") };
        assert_eq!(answer.children[0], &*objects[0]);
        let map: Value = serde_json::from_str(&answer.children[1]).unwrap();
        assert_eq!(map["data"]["url"], format!("db://{pseudonym}@host/42"));
        assert_ne!(Key::random().pseudonym(PASSWORD.as_bytes()), pseudonym, "another process, another pseudonym");
        assert_eq!(Record::parse(&redacted.text()).unwrap().text(), redacted.text());

        let mut innocent = record.clone();
        (innocent.tape.look_ups, innocent.tape.http, innocent.ending) =
            (vec![], vec![], Ending::Answered(Response::default()));
        let redacted = innocent.redacted(&key, false);
        assert_eq!((redacted.request, redacted.log), (innocent.request, innocent.log));
    }
}
