//! What a client wants to be answered with, by its `Accept` header: JSON or
//! YAML, and of an object the whole, its metadata, or a table's row.

use crate::kinds::Kind;
use crate::status_error::ApiError;
use crate::table::RowObject;
use crate::view::{MetaVersion, Representation};

/// What the real server says it can answer with.
const MEDIA_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// A parsed header: the media types that are acceptable, best first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accept(Vec<Clause>);

#[derive(Debug, Clone)]
struct Clause {
    essence: String,
    parameters: Vec<(String, String)>,
    quality: f32,
}

impl Clause {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(String, String)> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
            .collect();
        let quality = parameters.iter().find(|(key, _)| key == "q").and_then(|(_, value)| value.parse().ok());
        Self { essence, quality: quality.unwrap_or(1.0), parameters }
    }

    fn parameter(&self, key: &str) -> &str {
        self.parameters.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    fn is_any(&self) -> bool {
        matches!(self.essence.as_str(), "*/*" | "application/*")
    }

    fn is_yaml(&self) -> bool {
        matches!(self.essence.as_str(), "application/yaml" | "application/x-yaml" | "text/yaml")
    }

    /// Whether the real server's routes of built-in kinds let it pass: they know
    /// `*/*`, and `application/*` only beside what they know.
    fn is_routed(&self) -> bool {
        self.essence == "*/*" || MEDIA_TYPES.contains(&self.essence.as_str())
    }

    /// Whether answers of this type are made here.
    fn is_answerable(&self) -> bool {
        self.is_any() || self.is_yaml() || self.essence == "application/json"
    }

    /// What it asks to see of an object, if there is such a thing.
    fn representation(&self, row_object: RowObject) -> Option<Asked> {
        let version = match self.parameter("v") {
            "v1" => MetaVersion::V1,
            "v1beta1" => MetaVersion::V1Beta1,
            _ if self.parameter("as").is_empty() => return Some(Asked::Any(Representation::Whole)),
            _ => return None,
        };
        match (self.parameter("as"), self.parameter("g")) {
            ("", _) => Some(Asked::Any(Representation::Whole)),
            ("Table", "meta.k8s.io") => Some(Asked::Any(Representation::Table(version, row_object))),
            ("PartialObjectMetadata", "meta.k8s.io") => Some(Asked::One(Representation::Metadata(version))),
            ("PartialObjectMetadataList", "meta.k8s.io") => Some(Asked::List(Representation::Metadata(version))),
            _ => None,
        }
    }
}

/// A representation, and of what it is one.
enum Asked {
    Any(Representation),
    One(Representation),
    List(Representation),
}

impl Accept {
    pub fn parse(header: &str) -> Self {
        let mut clauses: Vec<Clause> =
            header.split(',').map(str::trim).filter(|clause| !clause.is_empty()).map(Clause::parse).collect();
        // Stable: clauses of one rank stay in the client's order.
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then_with(|| a.is_any().cmp(&b.is_any())));
        Self(clauses)
    }

    /// What of an object or of a list is asked for; `include_object` is the
    /// parameter that says what a table's rows carry.
    pub fn representation(&self, kind: &Kind, is_list: bool, include_object: &str) -> Result<Representation, ApiError> {
        let row_object = match include_object {
            "Object" => RowObject::Whole,
            "None" => RowObject::None,
            _ => RowObject::Metadata,
        };
        if self.0.is_empty() {
            return Ok(Representation::Whole);
        }
        if kind.custom.is_none() && !self.0.iter().any(Clause::is_routed) {
            return Err(no_representation(is_list));
        }
        let mut answerable = self.0.iter().filter(|clause| clause.is_answerable());
        let Some(asked) = answerable.find_map(|clause| clause.representation(row_object)) else {
            let accepted = MEDIA_TYPES.join(", ");
            return Err(ApiError::not_acceptable(format!("only the following media types are accepted: {accepted}")));
        };
        match asked {
            Asked::Any(Representation::Table(..)) if !matches!(include_object, "" | "Object" | "None" | "Metadata") => {
                Err(ApiError::bad_request(format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {include_object:?}: must be 'Metadata', 'Object', 'None', or empty"
                )))
            }
            Asked::One(_) if is_list => Err(ApiError::not_acceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list ({}List)",
                go_type(kind)
            ))),
            Asked::List(_) if !is_list => Err(ApiError::not_acceptable(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
                go_type(kind)
            ))),
            Asked::Any(found) | Asked::One(found) | Asked::List(found) => Ok(found),
        }
    }

    /// Whether it accepts plain JSON or YAML at all, as documents are.
    pub fn takes_documents(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|clause| clause.is_answerable() || MEDIA_TYPES[2] == clause.essence)
    }

    /// Whether it names a type itself.
    pub fn takes(&self, essence: &str) -> bool {
        self.0.iter().any(|clause| clause.essence == essence)
    }

    /// Whether YAML is wanted more than JSON.
    pub fn prefers_yaml(&self) -> bool {
        self.0.iter().find(|clause| clause.is_answerable()).is_some_and(Clause::is_yaml)
    }

    /// Whether discovery is wanted in its aggregated form.
    pub fn takes_aggregated_discovery(&self) -> bool {
        self.0.iter().any(|clause| {
            clause.parameter("g") == "apidiscovery.k8s.io"
                && clause.parameter("v") == "v2"
                && clause.parameter("as") == "APIGroupDiscoveryList"
        })
    }
}

/// The refusal of the routes of built-in kinds; those of lists can be watched.
fn no_representation(is_list: bool) -> ApiError {
    let watched = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
    let watched = if is_list { &watched[..] } else { &[] };
    ApiError::no_representation(&[&MEDIA_TYPES[..], watched].concat())
}

/// How Go's error texts call the type of a kind.
fn go_type(kind: &Kind) -> String {
    if kind.custom.is_some() {
        return "*unstructured.Unstructured".to_owned();
    }
    let package = match kind.at.group.split('.').next().unwrap_or_default() {
        "" | "events" => "core",
        group => group,
    };
    format!("*{package}.{}", kind.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Registry;

    fn asked(header: &str, is_list: bool) -> Result<Representation, u16> {
        let kind = Registry::builtin().find("", "v1", "configmaps").unwrap();
        Accept::parse(header).representation(&kind, is_list, "").map_err(|error| error.code)
    }

    #[test]
    fn the_first_that_can_be_answered_is_taken() {
        let table = Ok(Representation::Table(MetaVersion::V1, RowObject::Metadata));
        let old_table = Ok(Representation::Table(MetaVersion::V1Beta1, RowObject::Metadata));
        let whole = Ok(Representation::Whole);
        for (header, expected) in [
            ("", whole),
            ("*/*", whole),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", table),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", old_table),
            ("application/json;as=Nope;v=v1;g=meta.k8s.io,application/json", whole),
            ("application/vnd.kubernetes.protobuf,application/json", whole),
            ("application/cbor, application/json;q=0.9", whole),
            ("application/vnd.kubernetes.protobuf, */*", whole),
            ("application/json;q=0.1,application/json;as=Table;v=v1;g=meta.k8s.io", table),
            ("application/json;stream=watch", whole),
            ("text/html", Err(406)),
            ("application/json;as=Nope;v=v1;g=meta.k8s.io", Err(406)),
        ] {
            assert_eq!(asked(header, true), expected, "{header}");
        }
    }

    #[test]
    fn metadata_of_a_list_is_a_list_of_metadata() {
        let one = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(asked(one, false), Ok(Representation::Metadata(MetaVersion::V1)));
        assert_eq!(asked(list, true), Ok(Representation::Metadata(MetaVersion::V1)));
        assert_eq!((asked(one, true), asked(list, false)), (Err(406), Err(406)));
    }

    #[test]
    fn yaml_is_preferred_only_where_it_is_said_first() {
        assert!(Accept::parse("application/yaml").prefers_yaml());
        assert!(Accept::parse("application/json;q=0.1,application/yaml").prefers_yaml());
        assert!(!Accept::parse("application/json,application/yaml").prefers_yaml());
        assert!(!Accept::parse("*/*").prefers_yaml());
    }
}
