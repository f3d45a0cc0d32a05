//! Label selectors: parsing with the server's refusals, and matching.

use serde_json::Value;

use crate::meta;
use crate::status_error::ApiError;

/// A parsed label selector; empty matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl LabelSelector {
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = Vec::new();
        while parser.peek() != &Token::End {
            if !matches!(parser.peek(), Token::Word(_) | Token::Not) {
                return Err(misplaced(parser.peek(), "!, identifier, or 'end of string'"));
            }
            requirements.push(parser.requirement()?);
            match parser.next() {
                Token::Comma if parser.peek() == &Token::End => {
                    return Err(misplaced(&Token::End, "identifier after ','"));
                }
                Token::Comma | Token::End => {}
                other => return Err(misplaced(&other, "',' or 'end of string'")),
            }
        }
        Ok(Self(requirements))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.test.holds(labels.get(&requirement.key).and_then(Value::as_str)))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = |value: Option<&str>| value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
            Self::Greater(bound) => number(value).is_some_and(|value| value > *bound),
            Self::Less(bound) => number(value).is_some_and(|value| value < *bound),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equal(&'static str),
    NotEqual,
    Greater,
    Less,
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Equal(sign) => sign,
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::End => "",
        }
    }
}

fn unexpected(found: &Token, expected: &str) -> ApiError {
    ApiError::bad_request(format!("unable to parse requirement: found '{}', expected: {expected}", found.text()))
}

/// Between requirements the server says it without the prefix.
fn misplaced(found: &Token, expected: &str) -> ApiError {
    ApiError::bad_request(format!("found '{}', expected: {expected}", found.text()))
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ',' => (Token::Comma, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '>' => (Token::Greater, 1),
            '<' => (Token::Less, 1),
            '=' if rest.starts_with("==") => (Token::Equal("=="), 2),
            '=' => (Token::Equal("="), 1),
            '!' if rest.starts_with("!=") => (Token::NotEqual, 2),
            '!' => (Token::Not, 1),
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || ",()<>=!".contains(c)).unwrap_or(rest.len());
                (Token::Word(rest[..end].to_owned()), end)
            }
        };
        out.push(token);
        rest = rest[length..].trim_start();
    }
    out.push(Token::End);
    out
}

/// What a label is compared with has to be what a label may be.
fn check_values(key: &str, values: &[String]) -> Result<(), ApiError> {
    for (index, value) in values.iter().enumerate() {
        if let Some(fault) = meta::label_value_fault(value) {
            return Err(ApiError::bad_request(format!(
                "unable to parse requirement: values[{index}][{key}]: Invalid value: {value:?}: {fault}"
            )));
        }
    }
    Ok(())
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, ApiError> {
        let absent = self.peek() == &Token::Not;
        if absent {
            self.at += 1;
        }
        let Token::Word(key) = self.next() else {
            self.at -= 1;
            return Err(unexpected(self.peek(), "identifier"));
        };
        let faults = meta::key_faults(&key);
        if !faults.is_empty() {
            return Err(ApiError::bad_request(format!(
                "unable to parse requirement: <nil>: Invalid value: {key:?}: {}",
                faults.join("; ")
            )));
        }
        let test = match self.peek() {
            _ if absent => Test::Absent,
            Token::Comma | Token::End => Test::Exists,
            _ => self.test()?,
        };
        if let Test::In(values) | Test::NotIn(values) = &test {
            check_values(&key, values)?;
        }
        Ok(Requirement { key, test })
    }

    fn test(&mut self) -> Result<Test, ApiError> {
        match self.next() {
            Token::Equal(_) => Ok(Test::In(vec![self.exact_value()?])),
            Token::NotEqual => Ok(Test::NotIn(vec![self.exact_value()?])),
            Token::Greater => Ok(Test::Greater(self.number()?)),
            Token::Less => Ok(Test::Less(self.number()?)),
            Token::Word(word) if word == "in" => Ok(Test::In(self.values()?)),
            Token::Word(word) if word == "notin" => Ok(Test::NotIn(self.values()?)),
            other => Err(unexpected(&other, "in, notin, =, ==, !=, gt, lt")),
        }
    }

    /// After `=` nothing may stand, which is the empty value.
    fn exact_value(&mut self) -> Result<String, ApiError> {
        match self.peek().clone() {
            Token::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            Token::Comma | Token::End => Ok(String::new()),
            other => Err(unexpected(&other, "identifier")),
        }
    }

    fn number(&mut self) -> Result<i64, ApiError> {
        let word = self.exact_value()?;
        word.parse().map_err(|_| {
            ApiError::bad_request(format!(
                "unable to parse requirement: values[0]: Invalid value: {word:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ))
        })
    }

    fn values(&mut self) -> Result<Vec<String>, ApiError> {
        let open = self.next();
        if open != Token::Open {
            return Err(unexpected(&open, "'('"));
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word);
                    match self.next() {
                        Token::Comma => {}
                        Token::Close => return Ok(values),
                        other => return Err(unexpected(&other, "',' or ')'")),
                    }
                }
                Token::Comma => values.push(String::new()),
                Token::Close => {
                    values.push(String::new());
                    return Ok(values);
                }
                other => return Err(unexpected(&other, "',', ')' or identifier")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_operator_selects_what_it_says() {
        let labels = json!({ "app": "web", "tier": "3" });
        let holds = |text: &str| LabelSelector::parse(text).unwrap().matches(&labels);
        for text in [
            "",
            "app",
            "app=web",
            "app==web",
            "app in (web, db)",
            "tier>2",
            "tier<4",
            "!nope",
            "nope!=x",
            "nope notin (a,b)",
            "app!=db,tier",
            "tier notin (1,2)",
        ] {
            assert!(holds(text), "{text} should match");
        }
        for text in ["app=db", "!app", "nope", "app in (a)", "tier>3", "app!=web", "app=", "app notin (web)"] {
            assert!(!holds(text), "{text} should not match");
        }
    }

    #[test]
    fn a_malformed_selector_is_refused_in_the_servers_words() {
        let error = LabelSelector::parse("a===b").unwrap_err();
        assert_eq!(error.message, "unable to parse requirement: found '=', expected: identifier");
        let error = LabelSelector::parse("!a=b").unwrap_err();
        assert_eq!(error.message, "found '=', expected: ',' or 'end of string'");
        for text in ["a/b/c", "/x", "x/", "a=-b", "a in (b,-c)", "%$"] {
            assert_eq!(LabelSelector::parse(text).unwrap_err().code, 400, "{text}");
        }
    }
}
