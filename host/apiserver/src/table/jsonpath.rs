//! The JSONPath of printer columns: kubectl's dialect, which is older than the
//! standard (`a\.b` escapes a dot, missing keys find nothing, no root sign is
//! needed), and which no crate speaks.

use std::cmp::Ordering;

use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Every,
    /// Every value at any depth, from the outside inwards.
    Recursive,
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: usize,
    },
    Index(i64),
    Union(Vec<JsonPath>),
    Filter {
        left: JsonPath,
        test: Option<(Comparison, Operand)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Literal(Value),
    Path(JsonPath),
}

impl JsonPath {
    /// None where it is no path.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser { rest: text.trim() };
        let path = parser.path()?;
        parser.rest.is_empty().then_some(path)
    }

    /// What it finds first.
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.find(value)?.first().copied()
    }

    /// All that it finds; none where a step does not fit the value.
    fn find<'a>(&self, value: &'a Value) -> Option<Vec<&'a Value>> {
        self.0.iter().try_fold(vec![value], |found, step| {
            let each = found.into_iter().filter(|value| !value.is_null()).map(|value| step.of(value));
            each.collect::<Option<Vec<_>>>().map(|found| found.concat())
        })
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Option<Vec<&'a Value>> {
        match self {
            Self::Field(name) => Some(value.get(name).into_iter().collect()),
            Self::Every => Some(inside(value)),
            Self::Recursive => {
                let mut found = Vec::new();
                collect(value, &mut found);
                Some(found)
            }
            Self::Index(index) => {
                let items = value.as_array()?;
                Some(vec![items.get(position(*index, items.len())?)?])
            }
            Self::Slice { from, to, step } => {
                let items = value.as_array()?;
                let from = from.map_or(Some(0), |from| position(from, items.len()))?;
                let to = to.map_or(Some(items.len()), |to| position(to, items.len()))?;
                Some(items.get(from..to)?.iter().step_by(*step).collect())
            }
            Self::Union(paths) => {
                let each = paths.iter().map(|path| path.find(value));
                each.collect::<Option<Vec<_>>>().map(|found| found.concat())
            }
            Self::Filter { left, test } => {
                Some(value.as_array()?.iter().filter(|item| passes(item, left, test.as_ref())).collect())
            }
        }
    }
}

fn inside(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

fn collect<'a>(value: &'a Value, into: &mut Vec<&'a Value>) {
    let below = inside(value);
    if !below.is_empty() {
        into.push(value);
        below.into_iter().for_each(|value| collect(value, into));
    }
}

/// A place in a list; negative ones are counted from its end.
fn position(index: i64, length: usize) -> Option<usize> {
    let from_start = if index < 0 { index + i64::try_from(length).ok()? } else { index };
    usize::try_from(from_start).ok()
}

fn passes(item: &Value, left: &JsonPath, test: Option<&(Comparison, Operand)>) -> bool {
    let found = left.first(item);
    let Some((comparison, operand)) = test else { return found.is_some() };
    let right = match operand {
        Operand::Literal(value) => Some(value),
        Operand::Path(path) => path.first(item),
    };
    let (Some(left), Some(right)) = (found, right) else { return false };
    let Some(order) = order(left, right) else { return false };
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::GreaterOrEqual => order.is_ge(),
        Comparison::Less => order.is_lt(),
        Comparison::Greater => order.is_gt(),
    }
}

/// Only scalars of one type can be compared.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        _ => None,
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn path(&mut self) -> Option<JsonPath> {
        let mut steps = Vec::new();
        let _ = self.take("$") || self.take("@");
        loop {
            if self.take("..") {
                steps.push(Step::Recursive);
                if !self.rest.starts_with('[') {
                    steps.push(self.field()?);
                }
            } else if self.take(".") {
                if !self.rest.starts_with('[') {
                    steps.push(self.field()?);
                }
            } else if self.take("[") {
                steps.push(self.brackets()?);
            } else {
                return Some(JsonPath(steps));
            }
        }
    }

    /// A name up to what cannot be part of one; a backslash escapes that.
    fn field(&mut self) -> Option<Step> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let end = loop {
            match chars.next() {
                Some((_, '\\')) => name.push(chars.next()?.1),
                Some((at, end)) if end.is_whitespace() || ".,[]$@{}()=<>!".contains(end) => break at,
                Some((_, other)) => name.push(other),
                None => break self.rest.len(),
            }
        };
        self.rest = &self.rest[end..];
        match name.as_str() {
            "" => None,
            "*" => Some(Step::Every),
            _ => Some(Step::Field(name)),
        }
    }

    /// What stands between brackets, up to the closing one.
    fn brackets(&mut self) -> Option<Step> {
        if self.take("?(") {
            return self.filter();
        }
        let mut members = Vec::new();
        loop {
            self.skip_space();
            members.push(self.member()?);
            self.skip_space();
            if self.take("]") {
                break;
            }
            if !self.take(",") {
                return None;
            }
        }
        if members.len() == 1 {
            members.pop()
        } else {
            Some(Step::Union(members.into_iter().map(|one| JsonPath(vec![one])).collect()))
        }
    }

    fn member(&mut self) -> Option<Step> {
        if let Some(name) = self.quoted() {
            return Some(Step::Field(name));
        }
        if self.take("*") {
            return Some(Step::Every);
        }
        let from = self.integer();
        if !self.take(":") {
            return from.map(Step::Index);
        }
        let to = self.integer();
        let step = if self.take(":") { usize::try_from(self.integer()?).ok().filter(|step| *step > 0)? } else { 1 };
        Some(Step::Slice { from, to, step })
    }

    fn filter(&mut self) -> Option<Step> {
        self.skip_space();
        let left = self.path()?;
        self.skip_space();
        let test = match self.comparison() {
            Some(comparison) => Some((comparison, self.operand()?)),
            None => None,
        };
        self.skip_space();
        (self.take(")") && self.take("]")).then_some(Step::Filter { left, test })
    }

    fn comparison(&mut self) -> Option<Comparison> {
        const SIGNS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        SIGNS.into_iter().find(|(sign, _)| self.take(sign)).map(|(_, comparison)| comparison)
    }

    fn operand(&mut self) -> Option<Operand> {
        self.skip_space();
        if let Some(text) = self.quoted() {
            return Some(Operand::Literal(Value::from(text)));
        }
        for (word, value) in [("true", true), ("false", false)] {
            if self.take(word) {
                return Some(Operand::Literal(Value::from(value)));
            }
        }
        if self.rest.starts_with(['@', '$', '.']) {
            return self.path().map(Operand::Path);
        }
        let end = self.rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse::<f64>().ok()?;
        self.rest = &self.rest[end..];
        Some(Operand::Literal(Value::from(number)))
    }

    /// A text in single or double quotes.
    fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let inside = &self.rest[1..];
        let end = inside.find(quote)?;
        self.rest = &inside[end + 1..];
        Some(inside[..end].replace('\\', ""))
    }

    fn integer(&mut self) -> Option<i64> {
        let end = self.rest.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn found(path: &str) -> Option<Value> {
        let object = json!({
            "spec": { "image": "nginx", "list": ["x", "y", "z"], "map": { "k": "v" }, "null": null },
            "metadata": { "annotations": { "a.b/c": "hello" } },
            "status": { "conditions": [
                { "type": "Ready", "status": "False", "weight": 2 },
                { "type": "Synced", "status": "True", "weight": 3 },
            ] },
        });
        JsonPath::parse(path).expect(path).first(&object).cloned()
    }

    #[test]
    fn each_form_finds_what_kubectl_finds() {
        for (path, expected) in [
            (".spec.image", json!("nginx")),
            ("$.spec.image", json!("nginx")),
            (".spec['image']", json!("nginx")),
            (".spec.list[0]", json!("x")),
            (".spec.list[-1]", json!("z")),
            (".spec.list[1:2]", json!("y")),
            (".spec.list[*]", json!("x")),
            (".spec.list[2,0]", json!("z")),
            (".spec.map.*", json!("v")),
            ("..image", json!("nginx")),
            (r".metadata.annotations.a\.b/c", json!("hello")),
            (r".metadata.annotations['a\.b/c']", json!("hello")),
            (r#".status.conditions[?(@.type=="Synced")].status"#, json!("True")),
            (r".status.conditions[?(@.type == 'Ready')].status", json!("False")),
            (".status.conditions[?(@.weight>2)].type", json!("Synced")),
            (r#".status.conditions[?(@.type!="Ready")].type"#, json!("Synced")),
            (".status.conditions[?(@.weight)].type", json!("Ready")),
        ] {
            assert_eq!(found(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in [
            ".spec.nope",
            ".spec.image.deeper",
            ".spec.list[3]",
            ".spec.null.x",
            ".spec.image[0]",
            r#".status.conditions[?(@.type=="Nope")].status"#,
            ".status.conditions[?(@.nope==1)].type",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_not_parsed() {
        for path in [".", ".spec[", ".spec[?(@.x==]", ".spec)", "spec"] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(path in r#"[.\[\]?()@$'"*,:=<>!a-c0-9\\ -]{0,30}"#) {
            if let Some(path) = JsonPath::parse(&path) {
                path.first(&json!({ "a": [{ "b": 1 }, { "b": "c" }], "b": { "a": null } }));
            }
        }
    }
}
