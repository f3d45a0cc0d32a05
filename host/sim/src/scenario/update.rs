//! Writes what was found into a scenario's text, in place of what was expected,
//! and leaves the rest of the text, its comments among it, as it is.

use serde_json::Value;

use super::Expected;
use crate::located::{At, Entry, Node, Tree};

/// How far a level is indented in what is written.
const INDENT: usize = 2;

/// One value to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// In place of a scalar.
    Scalar {
        /// Where it stands.
        at: At,
        /// What to write.
        value: Value,
    },
    /// In place of all that is expected of an object.
    Object {
        /// Where the object's name stands.
        key: At,
        /// What is expected.
        node: Node,
        /// What to write.
        value: Value,
    },
}

impl Edit {
    /// In place of a scalar.
    pub fn scalar(at: &At, value: &Value) -> Self {
        Self::Scalar { at: at.clone(), value: value.clone() }
    }

    /// In place of all that is expected of an object.
    pub fn value(expected: &Expected, value: Value) -> Self {
        Self::Object { key: expected.at.clone(), node: expected.node.clone(), value }
    }
}

/// The text with all edits made. Where only some scalars differ, only those are
/// written; where something is added or gone, the whole of the value is.
pub fn updated(text: &str, edits: &[Edit]) -> String {
    let mut splices = edits.iter().flat_map(|edit| splices(text, edit)).collect::<Vec<_>>();
    splices.sort_by_key(|splice| std::cmp::Reverse(splice.0.start));
    let mut text = text.to_owned();
    for (bytes, new) in splices {
        text.replace_range(bytes, &new);
    }
    text
}

type Splice = (std::ops::Range<usize>, String);

fn splices(text: &str, edit: &Edit) -> Vec<Splice> {
    match edit {
        Edit::Scalar { at, value } => vec![(at.bytes.clone(), value.to_string())],
        Edit::Object { key, node, value } => {
            let mut splices = Vec::new();
            if in_place(node, value, &mut splices) {
                return splices;
            }
            vec![whole(text, key, node, value)]
        }
    }
}

/// The scalars that differ, if that is all that does.
fn in_place(node: &Node, value: &Value, splices: &mut Vec<Splice>) -> bool {
    match (&node.tree, value) {
        (Tree::Scalar(is), value) if is == value => true,
        (Tree::Scalar(is), value) if !is.is_null() && !value.is_object() && !value.is_array() => {
            // A text of several lines stands in a block, whose shape is the author's.
            let one_line = |value: &Value| value.as_str().is_none_or(|text| !text.contains('\n'));
            splices.push((node.at.bytes.clone(), value.to_string()));
            one_line(is)
        }
        (Tree::Map(entries), Value::Object(fields)) if entries.len() == fields.len() => entries
            .iter()
            .all(|entry| fields.get(&entry.key).is_some_and(|value| in_place(&entry.node, value, splices))),
        (Tree::List(items), Value::Array(values)) if items.len() == values.len() => {
            items.iter().zip(values).all(|(item, value)| in_place(item, value, splices))
        }
        _ => false,
    }
}

/// From behind the key to the end of what is expected now.
fn whole(text: &str, key: &At, node: &Node, value: &Value) -> Splice {
    let start = behind_key(text, key);
    let end = end(text, node).max(start);
    let line = text[..key.bytes.start].rfind('\n').map_or(0, |newline| newline + 1);
    let lead = &text[line..key.bytes.start];
    if !lead.chars().all(char::is_whitespace) {
        // Inside of braces, or behind a dash: in one line, as JSON, which is YAML.
        return (start..end, format!(" {value}"));
    }
    (start..end, block(value, lead.len() + INDENT))
}

/// Where what is expected ends. What is in brackets ends with them.
fn end(text: &str, node: &Node) -> usize {
    let start = node.at.bytes.start;
    match &node.tree {
        Tree::Scalar(Value::Null) => start,
        Tree::Scalar(_) => node.at.bytes.end,
        Tree::Map(_) | Tree::List(_) if text[start..].starts_with(['{', '[']) => closing(text, start),
        Tree::Map(entries) => entries.last().map_or(start, |entry| end_of_entry(text, entry)),
        Tree::List(items) => items.last().map_or(start, |item| end(text, item)),
    }
}

/// A text in a block ends before the first line that is not indented further
/// than its key.
fn end_of_entry(text: &str, entry: &Entry) -> usize {
    let behind = behind_key(text, &entry.key_at);
    let mut lines = text[behind..].split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if !first.trim_start().starts_with(['|', '>']) {
        return end(text, &entry.node).max(behind);
    }
    let line = text[..behind].rfind('\n').map_or(0, |newline| newline + 1);
    let indent = entry.key_at.bytes.start - line;
    let inside = |line: &&str| line.trim().is_empty() || line.len() - line.trim_start().len() > indent;
    let block = text[behind..behind + first.len() + lines.take_while(inside).map(str::len).sum::<usize>()].trim_end();
    behind + block.len()
}

fn behind_key(text: &str, key: &At) -> usize {
    key.bytes.end + text[key.bytes.end..].find(':').map_or(0, |colon| colon + 1)
}

/// Behind the bracket that closes the one at `start`.
fn closing(text: &str, start: usize) -> usize {
    let (mut depth, mut quote) = (0_usize, None);
    let mut escaped = false;
    for (at, c) in text[start..].char_indices() {
        match (quote, c) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), c) if c == open && !escaped => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth -= 1;
                if depth == 0 {
                    return start + at + c.len_utf8();
                }
            }
            _ => {}
        }
        escaped = false;
    }
    text.len()
}

/// A value on lines of its own, or behind its key where it takes none.
fn block(value: &Value, indent: usize) -> String {
    let lead = format!("\n{:indent$}", "");
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let field =
                |(key, value): (&String, &Value)| format!("{lead}{}:{}", plain_key(key), block(value, indent + INDENT));
            fields.iter().map(field).collect()
        }
        Value::Array(items) if !items.is_empty() => {
            let item = |item: &Value| match block(item, indent + INDENT) {
                // The first field of a map stands behind the dash.
                text if text.starts_with('\n') => format!("{lead}- {}", text.trim_start()),
                text => format!("{lead}-{text}"),
            };
            items.iter().map(item).collect()
        }
        scalar => format!(" {scalar}"),
    }
}

/// A key needs quotes where YAML would read something else.
fn plain_key(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&&*key.to_lowercase());
    if plain { key.to_owned() } else { Value::from(key).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::located;

    /// The text with what is expected of `ConfigMap/a` updated, which must then
    /// read as `value`, and the rest as before.
    fn update(text: &str, value: &Value) -> String {
        let entry = |text: &str| {
            let node = located::read(&"a.yaml".into(), text).unwrap().remove(0);
            let Tree::Map(mut entries) = node.deepest("exact").tree.clone() else { panic!("{text}") };
            entries.remove(0)
        };
        let before = entry(text);
        let expected = Expected { of: before.key.parse().unwrap(), at: before.key_at, node: before.node };
        let after = updated(text, &[Edit::value(&expected, value.clone())]);
        assert_eq!(entry(&after).node.value(), *value, "{after}");
        after
    }

    #[test]
    fn only_the_scalars_that_differ_are_written() {
        let text = "# of all\nexact:\n  ConfigMap/a: # of it\n    data: { a: '1', b: x } # of its data\n# the end\n";
        let value = json!({ "data": { "a": "2", "b": "x" } });
        assert_eq!(update(text, &value), text.replace("'1'", "\"2\""));
    }

    #[test]
    fn what_is_added_or_gone_rewrites_the_value_and_nothing_else() {
        let text = "exact:\n  ConfigMap/a:\n    data:\n      gone: '1'\n  # of the next\n  ConfigMap/b: {}\nx: 1\n";
        let value = json!({ "data": { "a": "1" }, "list": [{ "b": 1, "c": [true] }, "s"], "empty": {} });
        let expected = "exact:\n  ConfigMap/a:\n    data:\n      a: \"1\"\n    empty: {}\n    list:\n      - b: 1\n        c:\n          - true\n      - \"s\"\n  # of the next\n  ConfigMap/b: {}\nx: 1\n";
        assert_eq!(update(text, &value), expected);
    }

    #[test]
    fn an_empty_expectation_is_recorded() {
        let text = "exact:\n  ConfigMap/a:\n  # of the next\n  ConfigMap/b: {}\n";
        let value = json!({ "data": { "a": "1", "true": "2" } });
        let recorded = "exact:\n  ConfigMap/a:\n    data:\n      a: \"1\"\n      \"true\": \"2\"\n  # of the next\n";
        assert!(update(text, &value).starts_with(recorded));
    }

    #[test]
    fn inside_of_braces_it_stays_on_its_line() {
        let text = "exact: { ConfigMap/a: { data: { a: '}', b: [1] } }, ConfigMap/b: {} } # the end\n";
        let value = json!({ "data": { "a": "2" } });
        let expected = "exact: { ConfigMap/a: {\"data\":{\"a\":\"2\"}}, ConfigMap/b: {} } # the end\n";
        assert_eq!(update(text, &value), expected);
    }

    #[test]
    fn a_text_of_several_lines_is_rewritten_whole() {
        let text = "exact:\n  ConfigMap/a:\n    data:\n      a: |\n        one\n        two\nx: 1\n";
        let value = json!({ "data": { "a": "one\nthree\n" } });
        let expected = "exact:\n  ConfigMap/a:\n    data:\n      a: \"one\\nthree\\n\"\nx: 1\n";
        assert_eq!(update(text, &value), expected);
    }

    #[test]
    fn several_edits_of_one_text_do_not_meet() {
        let text = "a: 1\nb: 2\n";
        let node = located::read(&"a.yaml".into(), text).unwrap().remove(0);
        let edits = ["a", "b"].map(|path| Edit::scalar(&node.deepest(path).at, &json!(12345)));
        assert_eq!(updated(text, &edits), "a: 12345\nb: 12345\n");
    }
}
