//! The verbs on resources: what a request carries, which verb it is, and what
//! it is answered with.

mod actions;
pub(crate) mod create;
pub(crate) mod delete;
mod list_options;
mod patch;
mod read;
mod update;
mod writing;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

pub(crate) use patch::{APPLY, not_applied};
pub(crate) use writing::WriteOptions;

use crate::accept::Accept;
use crate::kinds::Kind;
use crate::request::{Query, ResourcePath};
use crate::reviews;
use crate::server::{ApiServer, State};
use crate::status_error::ApiError;
use crate::storage::Stored;
use crate::view::{self, Representation};
use crate::watch::Watch;

pub(crate) use delete as deletion;
pub(crate) use update::is_released;

/// A request with its body read.
#[derive(Debug)]
pub(crate) struct Call {
    pub method: Method,
    pub query: Query,
    pub content_type: String,
    pub accept: Accept,
    /// What of an object the client asked to see, once the kind is known.
    pub representation: Representation,
    pub if_none_match: String,
    /// What `fieldManager` is when it is not given: the user agent up to its version.
    pub agent: String,
    pub body: Bytes,
}

/// What a request is answered with.
pub(crate) enum Answer {
    Body {
        code: u16,
        content_type: &'static str,
        etag: Option<String>,
        warnings: Vec<String>,
        body: Bytes,
    },
    /// The client has it already.
    NotModified {
        etag: String,
    },
    Watch(Box<Watch>),
}

impl Answer {
    pub fn json(code: u16, body: Bytes) -> Self {
        Self::Body { code, content_type: "application/json", etag: None, warnings: Vec::new(), body }
    }

    pub fn text(body: &'static str) -> Self {
        Self::Body {
            code: 200,
            content_type: "text/plain; charset=utf-8",
            etag: None,
            warnings: Vec::new(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    /// An object as the client asked to see it.
    pub fn object(call: &Call, code: u16, object: &Value) -> Result<Self, ApiError> {
        let body = match call.representation {
            Representation::Metadata(version) => view::to_bytes(&view::metadata_only(object, version)),
            // Nobody prints a table of what was just written.
            Representation::Whole | Representation::Table(..) => view::to_bytes(object),
        };
        Ok(Self::json(code, body))
    }

    /// What was written, as the client asked to see it.
    pub fn written(call: &Call, code: u16, written: Written) -> Result<Self, ApiError> {
        match (call.representation, written.text) {
            (Representation::Whole | Representation::Table(..), Some(text)) => Ok(Self::json(code, text)),
            _ => Self::object(call, code, &written.object),
        }
        .map(|answer| answer.with_warnings(written.warnings))
    }

    /// With these before what there is to be warned of already.
    pub fn with_warnings(mut self, mut given: Vec<String>) -> Self {
        if let Self::Body { warnings, .. } = &mut self {
            given.append(warnings);
            *warnings = given;
        }
        self
    }
}

/// An object after a write, as its kind reads it.
pub(crate) struct Written {
    pub object: Value,
    /// Its text, where it is stored.
    text: Option<Bytes>,
    /// What there is to say of it.
    pub warnings: Vec<String>,
}

impl Written {
    fn stored(kind: &Kind, stored: &Stored, object: Value) -> Self {
        Self { text: Some(view::text_of_written(kind, stored, &object)), object, warnings: Vec::new() }
    }

    /// What is not stored, or not any more.
    fn of(object: Value) -> Self {
        Self { object, text: None, warnings: Vec::new() }
    }
}

/// The object that a path names.
pub(crate) struct Name<'a> {
    pub namespace: Option<&'a str>,
    pub name: &'a str,
}

impl Name<'_> {
    /// The key under which the object is stored.
    pub fn key(&self) -> String {
        match self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// Stores an object whose replica count was changed through `scale`.
pub(crate) fn change_scaled(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    options: &WriteOptions,
    live: &Value,
    new: Value,
) -> Result<Written, ApiError> {
    let change = update::Change { kind, name, subresource: Some("scale"), options, gives_empty: false };
    Ok(change.store(state, live, new)?.1)
}

/// Whether the path's objects lie where the kind's objects do.
fn check_scope(kind: &Kind, path: &ResourcePath, call: &Call) -> Result<(), ApiError> {
    let lacks_namespace =
        kind.namespaced && path.namespace.is_none() && (path.name.is_some() || call.method == Method::POST);
    match () {
        () if !lacks_namespace && (kind.namespaced || path.namespace.is_none()) => Ok(()),
        () if kind.custom.is_some() => Err(ApiError::no_such_path()),
        // There is a route to the objects of all namespaces, to read them.
        () if lacks_namespace && path.name.is_none() => Err(ApiError::method_not_allowed()),
        () => Err(ApiError::no_such_resource()),
    }
}

/// Serves a request below a group and version.
pub(crate) fn resource(
    server: &ApiServer,
    state: &mut State,
    path: ResourcePath,
    mut call: Call,
) -> Result<Answer, ApiError> {
    let kind = state.registry.find(&path.group, &path.version, &path.resource)?;
    let watching = path.watching || (path.name.is_none() && call.query.flag("watch"));
    let is_list = path.name.is_none() && call.method == Method::GET && !watching;
    let include_object = call.query.get("includeObject").unwrap_or_default();
    call.representation = call.accept.representation(&kind, is_list, include_object)?;
    let call = &call;
    check_scope(&kind, &path, call)?;
    let namespace = path.namespace.as_deref();
    if kind.verbs == ["create"] {
        return match (&path.name, &call.method) {
            (None, &Method::POST) => reviews::create(state, &kind, call),
            (None, _) => Err(ApiError::method_not_allowed()),
            (Some(_), _) => Err(ApiError::no_such_resource()),
        };
    }
    if watching && call.method == Method::GET {
        return read::watch(server, state, &kind, namespace, path.name.as_deref(), call);
    }
    let Some(name) = path.name.as_deref() else {
        return match call.method {
            Method::GET => read::list(state, &kind, namespace, call),
            Method::POST => create::create(state, &kind, namespace, call),
            Method::DELETE
                if kind.namespaced == namespace.is_some()
                    && kind.verbs.iter().any(|verb| verb == "deletecollection") =>
            {
                delete::collection(state, &kind, namespace, call)
            }
            _ => Err(ApiError::method_not_allowed()),
        };
    };
    let name = Name { namespace, name };
    let subresource = path.subresource.as_deref();
    match subresource {
        None => {}
        Some("status") if kind.status => {}
        Some("scale") if kind.scale.is_some() => return crate::scale::serve(state, &kind, &name, call),
        Some("finalize") if kind.is("", "namespaces") => {}
        Some(action) if kind.actions.iter().any(|one| one == action) => {
            return actions::serve(state, &kind, &name, action, call);
        }
        Some(_) if kind.custom.is_some() => return Err(ApiError::not_found(kind.resource_subject(name.name))),
        Some(_) => return Err(ApiError::no_such_resource()),
    }
    match call.method {
        Method::GET => read::get(state, &kind, &name, call),
        Method::PUT => update::update(state, &kind, &name, subresource, call),
        Method::PATCH => patch::patch(state, &kind, &name, subresource, call),
        Method::DELETE if subresource.is_none() => delete::delete(state, &kind, &name, call),
        _ => Err(ApiError::method_not_allowed()),
    }
}
