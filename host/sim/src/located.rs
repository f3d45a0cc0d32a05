//! YAML that knows where each part of it stands, so that whoever reads it can
//! say file, line, column and path of what is wrong.

use std::{fmt, ops::Range, sync::Arc};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

/// A name that is wrong is answered with the nearest known one, if it is at
/// least this similar (Jaro-Winkler, one for equal names).
const SIMILAR_MIN: f64 = 0.75;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{what}", if .path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct Malformed {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Counted from one.
    pub line: u64,
    /// Counted from one, in characters.
    pub column: u64,
    /// The path of the field: `steps[2].expect.writes`.
    pub path: String,
    /// What was found, and what is wanted.
    pub what: String,
}

/// Where something stands in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct At {
    /// Counted from one.
    pub line: u64,
    /// Counted from one, in characters.
    pub column: u64,
    /// The bytes of a scalar; of a list or a map, where it begins.
    pub bytes: Range<usize>,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where.
    pub at: At,
    /// What.
    pub tree: Tree,
}

/// A value whose parts know where they stand.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Null, true, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// One entry of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_at: At,
    /// The value.
    pub node: Node,
}

/// Reads all documents of a text; empty ones are left out.
pub fn read(file: &Arc<str>, text: &str) -> Result<Vec<Node>, Malformed> {
    let documents: Result<Vec<Spanned<Tree>>, _> = serde_saphyr::from_multiple(text);
    let documents = documents.map_err(|error| {
        let location = error.location();
        let message = error.without_snippet().to_string();
        Malformed {
            file: file.clone(),
            line: location.map_or(1, |location| location.line().max(1)),
            column: location.map_or(1, |location| location.column().max(1)),
            path: String::new(),
            what: format!("it is no YAML: {}", message.lines().next().unwrap_or_default()),
        }
    })?;
    let documents = documents.into_iter().map(Node::from);
    Ok(documents.filter(|document| document.tree != Tree::Scalar(Value::Null)).collect())
}

impl Node {
    /// The value without its places.
    pub fn value(&self) -> Value {
        match &self.tree {
            Tree::Scalar(value) => value.clone(),
            Tree::List(items) => items.iter().map(Self::value).collect(),
            Tree::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.value())).collect(),
        }
    }

    /// The deepest part on the way along a path such as `spec.ports[0].port`.
    pub fn deepest(&self, path: &str) -> &Self {
        let mut node = self;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.tree, step.strip_suffix(']')) {
                (Tree::List(items), Some(index)) => index.parse().ok().and_then(|index: usize| items.get(index)),
                (Tree::Map(entries), None) => entries.iter().find(|entry| entry.key == step).map(|entry| &entry.node),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }
}

impl From<Spanned<Tree>> for Node {
    fn from(spanned: Spanned<Tree>) -> Self {
        Self { at: at(&spanned), tree: spanned.value }
    }
}

fn at<T>(spanned: &Spanned<T>) -> At {
    let location = spanned.referenced;
    let start = location.span().byte_offset().unwrap_or_default() as usize;
    let bytes = start..start + location.span().byte_len().unwrap_or_default() as usize;
    At { line: location.line(), column: location.column(), bytes }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("JSON has no such number"))?;
        Ok(Tree::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Tree>>()? {
            list.push(item.into());
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map: Vec<Entry> = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let key_at = at(&key);
            let key = key.value;
            if map.iter().any(|entry| entry.key == key) {
                return Err(A::Error::custom(format!("the key {key} is there twice")));
            }
            map.push(Entry { key, key_at, node: entries.next_value::<Spanned<Tree>>()?.into() });
        }
        Ok(Tree::Map(map))
    }
}

/// A place in a file that is being read: a node, and the way to it.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    file: &'a Arc<str>,
    path: String,
    /// What stands there.
    pub node: &'a Node,
}

/// The fields of a map whose keys are known.
pub struct Fields<'a>(Vec<(&'a str, Cursor<'a>)>);

impl<'a> Cursor<'a> {
    /// At the top of a document.
    pub fn top(file: &'a Arc<str>, node: &'a Node) -> Self {
        Self { file, path: String::new(), node }
    }

    /// The file, as it was named.
    pub fn file(&self) -> &'a Arc<str> {
        self.file
    }

    /// What is wrong here.
    pub fn wrong(&self, what: impl fmt::Display) -> Malformed {
        self.wrong_at(&self.node.at, what)
    }

    fn wrong_at(&self, at: &At, what: impl fmt::Display) -> Malformed {
        let (file, path) = (self.file.clone(), self.path.clone());
        Malformed { file, line: at.line, column: at.column, path, what: what.to_string() }
    }

    fn wanted(&self, what: &str) -> Malformed {
        let found = match &self.node.tree {
            Tree::Scalar(Value::Null) => "nothing".to_owned(),
            Tree::Scalar(value) => value.to_string(),
            Tree::List(_) => "a list".to_owned(),
            Tree::Map(_) => "a map".to_owned(),
        };
        self.wrong(format_args!("{what} is wanted and {found} is there"))
    }

    /// The entries of a map, with the way to each.
    pub fn entries(&self) -> Result<Vec<(&'a Entry, Self)>, Malformed> {
        let Tree::Map(entries) = &self.node.tree else { return Err(self.wanted("a map")) };
        let dot = if self.path.is_empty() { "" } else { "." };
        let below = |entry: &'a Entry| {
            let path = format!("{}{dot}{}", self.path, entry.key);
            (entry, Self { file: self.file, path, node: &entry.node })
        };
        Ok(entries.iter().map(below).collect())
    }

    /// The fields of a map that may have these keys and no others.
    pub fn fields(&self, known: &[&str]) -> Result<Fields<'a>, Malformed> {
        let entries = self.entries()?;
        if let Some((unknown, _)) = entries.iter().find(|(entry, _)| !known.contains(&&*entry.key)) {
            let what = match nearest(&unknown.key, known) {
                Some(near) => format!("there is no field {:?} here; is {near:?} meant?", unknown.key),
                None => format!("there is no field {:?} here; there are {}", unknown.key, known.join(", ")),
            };
            return Err(self.wrong_at(&unknown.key_at, what));
        }
        self.any_fields()
    }

    /// The fields of a map that may have any keys.
    pub fn any_fields(&self) -> Result<Fields<'a>, Malformed> {
        Ok(Fields(self.entries()?.into_iter().map(|(entry, cursor)| (&*entry.key, cursor)).collect()))
    }

    /// The items of a list.
    pub fn items(&self) -> Result<Vec<Self>, Malformed> {
        let Tree::List(items) = &self.node.tree else { return Err(self.wanted("a list")) };
        let below =
            |(index, node): (usize, &'a Node)| Self { file: self.file, path: format!("{}[{index}]", self.path), node };
        Ok(items.iter().enumerate().map(below).collect())
    }

    /// A text.
    pub fn text(&self) -> Result<&'a str, Malformed> {
        match &self.node.tree {
            Tree::Scalar(Value::String(text)) => Ok(text),
            _ => Err(self.wanted("a text")),
        }
    }

    /// A whole number.
    pub fn count(&self) -> Result<u64, Malformed> {
        let Tree::Scalar(value) = &self.node.tree else { return Err(self.wanted("a whole number")) };
        value.as_u64().ok_or_else(|| self.wanted("a whole number"))
    }

    /// True or false.
    pub fn flag(&self) -> Result<bool, Malformed> {
        let Tree::Scalar(value) = &self.node.tree else { return Err(self.wanted("true or false")) };
        value.as_bool().ok_or_else(|| self.wanted("true or false"))
    }
}

impl<'a> Fields<'a> {
    /// The field of that key, if it is there.
    pub fn get(&self, key: &str) -> Option<&Cursor<'a>> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, cursor)| cursor)
    }

    /// All fields, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &(&'a str, Cursor<'a>)> {
        self.0.iter()
    }
}

/// The known name that is most like the wrong one, if any is like it.
pub fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase());
    let nearest = known.iter().map(|name| (likeness(name), *name)).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.filter(|(likeness, _)| *likeness >= SIMILAR_MIN).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        read(&"a.yaml".into(), text).unwrap().remove(0)
    }

    #[test]
    fn each_part_knows_its_line_its_column_and_its_bytes() {
        let text = "a: 1\nb:\n  - 'x y'\n  - { c: true }\n";
        let node = node(text);
        let part = |path| node.deepest(path);
        assert_eq!((part("a").at.line, part("a").at.column), (1, 4));
        assert_eq!(&text[part("b[0]").at.bytes.clone()], "'x y'");
        assert_eq!(&text[part("b[1].c").at.bytes.clone()], "true");
        assert_eq!(part("b[1]").at.line, 4);
        assert_eq!(node.value(), serde_json::json!({ "a": 1, "b": ["x y", { "c": true }] }));
    }

    #[test]
    fn an_unknown_field_is_answered_with_its_place_and_the_nearest_known_one() {
        let (file, node) = ("a.yaml".into(), node("steps:\n  - exspect: 1\n"));
        let steps = Cursor::top(&file, &node).fields(&["steps"]).unwrap();
        let step = steps.get("steps").unwrap().items().unwrap().remove(0);
        let error = step.fields(&["expect", "apply"]).err().unwrap();
        let expected = "a.yaml:2:5: steps[0]: there is no field \"exspect\" here; is \"expect\" meant?";
        assert_eq!(error.to_string(), expected);
        let error = step.fields(&["zzz"]).err().unwrap();
        assert!(error.to_string().ends_with("there is no field \"exspect\" here; there are zzz"), "{error}");
    }

    #[test]
    fn a_value_of_another_shape_is_shown_beside_what_is_wanted() {
        let (file, node) = ("a.yaml".into(), node("a: { b: many }"));
        let top = Cursor::top(&file, &node).fields(&["a"]).unwrap();
        let a = top.get("a").unwrap();
        assert_eq!(a.items().unwrap_err().to_string(), "a.yaml:1:4: a: a list is wanted and a map is there");
        let b = a.fields(&["b"]).unwrap();
        let error = b.get("b").unwrap().count().unwrap_err();
        assert_eq!(error.to_string(), "a.yaml:1:9: a.b: a whole number is wanted and \"many\" is there");
    }

    #[test]
    fn what_is_no_yaml_and_a_repeated_key_name_their_line() {
        let broken = |text| read(&"a.yaml".into(), text).unwrap_err();
        assert_eq!(broken("a: 1\nb: [1\n").line, 2);
        let twice = broken("a: 1\nb: 2\na: 3\n");
        assert_eq!((twice.line, twice.what.contains("a")), (3, true), "{twice}");
    }
}
