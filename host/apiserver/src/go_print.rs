//! Values as Go's `%v` prints them: `map[a:1 b:[x y]]`. Some of the server's
//! messages quote what they refuse in this form.

use std::fmt;

use serde_json::Value;

/// Prints a value as Go does.
pub(crate) struct GoPrint<'a>(pub &'a Value);

impl fmt::Display for GoPrint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("<nil>"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::String(value) => f.write_str(value),
            Value::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{}", GoPrint(item))?;
                }
                f.write_str("]")
            }
            Value::Object(fields) => {
                f.write_str("map[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{name}:{}", GoPrint(value))?;
                }
                f.write_str("]")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_and_lists_print_as_in_go() {
        let value = json!({ "b": ["x", 1, null], "a": { "c": true } });
        assert_eq!(GoPrint(&value).to_string(), "map[a:map[c:true] b:[x 1 <nil>]]");
    }
}
