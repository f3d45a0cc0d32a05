use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A field of a message: its number, and bytes.
fn bytes_field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    out.extend_from_slice(content);
    out
}

fn number_field(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let of = [bytes_field(1, api_version.as_bytes()), bytes_field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), bytes_field(1, &of), bytes_field(2, raw)].concat()
}

fn decoded(api_version: &str, kind: &str, raw: &[u8]) -> Value {
    serde_json::from_slice(&to_json(&body(api_version, kind, raw)).unwrap()).unwrap()
}

#[test]
fn every_layout_refers_to_layouts_that_are_there() {
    let layouts = Layouts::get();
    for (name, layout) in &layouts.messages {
        for field in layout.values() {
            if let Shape::Message(inner) = field.shape {
                assert!(layouts.messages.contains_key(inner), "{name}.{}: {inner}", field.name);
            }
        }
    }
    for message in layouts.kinds.values() {
        assert!(layouts.messages.contains_key(message), "{message}");
    }
}

#[test]
fn every_builtin_kind_can_be_written_in_protobuf() {
    let registry = crate::kinds::Registry::builtin();
    for kind in registry.resources() {
        let name = format!("{}/{}", kind.api_version(), kind.kind);
        assert!(Layouts::get().kinds.contains_key(name.as_str()), "{name}");
    }
}

#[test]
fn a_config_map_reads_as_its_client_meant_it() {
    // As kubectl 1.36 sends it: empty texts and a time without fields are not set.
    let metadata = [bytes_field(1, b"b"), bytes_field(2, b""), number_field(7, 0), bytes_field(8, b"")].concat();
    let entry = [bytes_field(1, b"x"), bytes_field(2, b"1")].concat();
    let binary = [bytes_field(1, b"y"), bytes_field(2, &[0xff])].concat();
    let raw = [bytes_field(1, &metadata), bytes_field(2, &entry), bytes_field(3, &binary), number_field(4, 0)].concat();
    let expected = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b" },
        "data": { "x": "1" }, "binaryData": { "y": "/w==" }, "immutable": false,
    });
    assert_eq!(decoded("v1", "ConfigMap", &raw), expected);
}

#[test]
fn a_struct_without_a_name_of_its_own_belongs_to_its_parent() {
    let empty_dir = bytes_field(2, b"");
    let volume = [bytes_field(1, b"v"), bytes_field(2, &empty_dir)].concat();
    let raw = bytes_field(2, &bytes_field(1, &volume));
    assert_eq!(decoded("v1", "Pod", &raw)["spec"], json!({ "volumes": [{ "name": "v", "emptyDir": {} }] }));
}

#[test]
fn times_quantities_and_ports_have_their_json_forms() {
    let at = [number_field(1, 60), vec![2 << 3, 0x80, 0xad, 0xe2, 0x04]].concat();
    let lease = decoded("coordination.k8s.io/v1", "Lease", &bytes_field(2, &bytes_field(3, &at)));
    assert_eq!(lease["spec"], json!({ "acquireTime": "1970-01-01T00:01:00.010000Z" }));
    let named = [number_field(1, 1), number_field(2, 0), bytes_field(3, b"http")].concat();
    let numbered = [number_field(1, 0), number_field(2, 80), bytes_field(3, b"")].concat();
    let ports = [bytes_field(1, &bytes_field(4, &named)), bytes_field(1, &bytes_field(4, &numbered))].concat();
    let service = decoded("v1", "Service", &bytes_field(2, &ports));
    assert_eq!(service["spec"]["ports"], json!([{ "targetPort": "http" }, { "targetPort": 80 }]));
}

#[test]
fn what_is_no_protobuf_or_no_kind_is_refused() {
    assert_eq!(to_json(b"{}"), Err(Error::Magic));
    assert_eq!(to_json(b"k8s\0\x0a\xff"), Err(Error::Malformed));
    assert_eq!(to_json(&body("demo.dev/v1", "Site", b"")), Err(Error::UnknownKind("demo.dev/v1/Site".to_owned())));
}

#[test]
fn nesting_has_an_end() {
    let mut schema = Vec::new();
    for _ in 0..2_000_u32 {
        // `not` is a schema within a schema.
        let mut outer = vec![0xe2, 0x01];
        let mut length = schema.len();
        while length > 0x7f {
            outer.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.extend_from_slice(&schema);
        schema = outer;
    }
    assert_eq!(Layouts::get().message(SCHEMA, &schema, 0), Err(Error::TooDeep));
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = to_json(&body("v1", "Pod", &raw[..raw.len().min(100)]));
        let _ = to_json(&[MAGIC, &raw].concat());
    }
}
