//! What is expected of a value against what was found, field by field.

use serde_json::Value;

use crate::located::{At, Node, Tree};

/// What a map may have besides what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Whatever it likes.
    Free,
    /// Nothing.
    Nothing,
}

/// One field that is not as expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `spec.ports[0].port`
    pub path: String,
    /// Where the expectation stands, or what surrounds it.
    pub at: At,
    /// None: nothing should be there.
    pub expected: Option<Value>,
    /// None: nothing is there.
    pub found: Option<Value>,
}

/// All differences, in the order of the expectation. A null stands for what is
/// not there. A list must have as many items as are expected.
pub fn differences(expected: &Node, found: &Value, rest: Rest) -> Vec<Difference> {
    let mut comparison = Comparison { rest, found: Vec::new() };
    comparison.compare(String::new(), expected, Some(found));
    comparison.found
}

struct Comparison {
    rest: Rest,
    found: Vec<Difference>,
}

impl Comparison {
    fn compare(&mut self, path: String, expected: &Node, found: Option<&Value>) {
        match (&expected.tree, found) {
            (Tree::Scalar(Value::Null), None | Some(Value::Null)) => {}
            (Tree::Scalar(scalar), Some(found)) if equal(scalar, found) => {}
            (Tree::Map(entries), Some(Value::Object(fields))) => {
                for entry in entries {
                    self.compare(below(&path, &entry.key), &entry.node, fields.get(&entry.key));
                }
                if self.rest == Rest::Nothing {
                    let known = |key: &String| entries.iter().any(|entry| entry.key == *key);
                    for (key, value) in fields.iter().filter(|(key, _)| !known(key)) {
                        self.differs(below(&path, key), &expected.at, None, Some(value));
                    }
                }
            }
            (Tree::List(items), Some(Value::Array(found))) if items.len() == found.len() => {
                for (index, (item, found)) in items.iter().zip(found).enumerate() {
                    self.compare(format!("{path}[{index}]"), item, Some(found));
                }
            }
            (Tree::Scalar(Value::Null), Some(found)) => self.differs(path, &expected.at, None, Some(found)),
            (_, found) => self.differs(path, &expected.at, Some(expected.value()), found),
        }
    }

    fn differs(&mut self, path: String, at: &At, expected: Option<Value>, found: Option<&Value>) {
        self.found.push(Difference { path, at: at.clone(), expected, found: found.cloned() });
    }
}

/// `2` and `2.0` are one number.
fn equal(expected: &Value, found: &Value) -> bool {
    expected == found || (expected.is_number() && expected.as_f64() == found.as_f64())
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::located;

    fn lines(expected: &str, found: Value, rest: Rest) -> Vec<String> {
        let expected = located::read(&"a.yaml".into(), expected).unwrap().remove(0);
        let show = |value: Option<Value>| value.map_or("nothing".to_owned(), |value| value.to_string());
        let differences = differences(&expected, &found, rest).into_iter();
        differences
            .map(|one| format!("{} {} {} {}", one.at.line, one.path, show(one.expected), show(one.found)))
            .collect()
    }

    #[test]
    fn a_subset_is_what_is_named_and_no_more() {
        let found = json!({ "spec": { "replicas": 2, "ports": [{ "port": 80, "name": "web" }] } });
        let expected = "spec:\n  replicas: 2.0\n  paused: null\n  ports: [{ port: 80 }]\n";
        assert_eq!(lines(expected, found, Rest::Free), Vec::<String>::new());
    }

    #[test]
    fn each_field_that_differs_is_named_with_its_line() {
        let found = json!({ "spec": { "replicas": 3, "ports": [{ "port": 81 }] }, "b": 1 });
        let expected = "spec:\n  replicas: 2\n  ports:\n    - port: 80\na: x\nb:\n";
        let expected = lines(expected, found, Rest::Free);
        assert_eq!(
            expected,
            ["2 spec.replicas 2 3", "4 spec.ports[0].port 80 81", "5 a \"x\" nothing", "6 b nothing 1"]
        );
    }

    #[test]
    fn a_list_of_another_length_differs_as_a_whole() {
        let found = json!({ "ports": [1, 2] });
        assert_eq!(lines("ports: [1]", found, Rest::Free), ["1 ports [1] [1,2]"]);
    }

    #[test]
    fn an_exact_expectation_lets_nothing_else_be_there() {
        let found = json!({ "data": { "a": "1", "b": "2" }, "kind": "X" });
        assert_eq!(lines("data: { a: '1' }", found, Rest::Nothing), ["1 data.b nothing \"2\"", "1 kind nothing \"X\""],);
    }
}
