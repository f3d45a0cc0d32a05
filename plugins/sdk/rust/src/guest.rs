//! The contract's side of the SDK: the bindings, and the calls between them and
//! a plugin's function. Used by the attribute only.

use std::{marker::PhantomData, panic};

use bindings::{
    exports::trimtab::plugin::controller,
    trimtab::plugin::{host, types},
};

use crate::{
    Answer, Cx, Error, Level, Observed, Outcome, Plugin, Result,
    context::{Group, Host},
    describe::KindRef,
};

// The canonical ABI passes pointers, so what is generated for it is unsafe.
#[allow(unsafe_code, missing_docs, clippy::missing_safety_doc)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit/next",
        world: "plugin",
        pub_export_macro: true,
        default_bindings_module: "trimtab::guest::bindings",
    });
}

pub use bindings::export;

/// What the module exports for a plugin.
pub struct Exported<P>(PhantomData<P>);

impl<P: Plugin> controller::Guest for Exported<P> {
    fn describe(_config: String) -> Result<String, String> {
        serde_json::to_string(&P::DESCRIPTION).map_err(|error| error.to_string())
    }

    fn reconcile(request: types::Request) -> Result<types::Response, types::Failure> {
        // A panic ends the call as a trap, which leaves no text by itself.
        panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("a value that is no text");
            let place = panic.location().map(|place| format!(", at {place}")).unwrap_or_default();
            host::log(host::Level::Error, &format!("panicked: {message}{place}"));
        }));
        run::<P>(request).map_err(Into::into)
    }
}

fn run<P: Plugin>(request: types::Request) -> Result<types::Response> {
    let object = P::Object::read(&request.object)?;
    let cx = Cx {
        host: Box::new(Imports),
        cluster: request.cluster,
        instance_id: request.instance_id,
        now: request.now,
        config: request.config,
        namespace: object.namespace().map(str::to_owned),
        children: request.children.into_iter().map(Group::from).collect(),
        all_kinds_are_grouped: true,
        finalizing: request.finalizing,
    };
    P::reconcile(object, &cx)?.try_into()
}

struct Imports;

impl Host for Imports {
    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warn => host::Level::Warn,
            Level::Error => host::Level::Error,
        };
        host::log(level, message);
    }

    fn get(&self, of: KindRef, namespace: Option<&str>, name: &str) -> Result<Option<String>, String> {
        host::get(&of.into(), namespace, name)
    }

    fn select(&self, of: KindRef, namespace: Option<&str>, selector: &str) -> Result<Vec<String>, String> {
        host::select(&of.into(), namespace, Some(selector), u32::MAX)
    }
}

impl From<KindRef> for types::KindRef {
    fn from(of: KindRef) -> Self {
        Self { cluster: None, api_version: of.api_version.to_owned(), kind: of.kind.to_owned() }
    }
}

impl From<types::Group> for Group {
    fn from(group: types::Group) -> Self {
        Self { api_version: group.of.api_version, kind: group.of.kind, objects: group.objects, ..Self::default() }
    }
}

impl<S: serde::Serialize> TryFrom<Answer<S>> for types::Response {
    type Error = Error;

    fn try_from(answer: Answer<S>) -> Result<Self> {
        let status = answer.status.as_ref().map(serde_json::to_string).transpose();
        let events = answer.events.into_iter();
        Ok(Self {
            children: answer.children,
            status: status.map_err(|error| Error::retry(format!("the status is no JSON: {error}")))?,
            labels: answer.labels.into_iter().collect(),
            annotations: answer.annotations.into_iter().collect(),
            events: events
                .map(|event| types::Event { warning: event.warning, reason: event.reason, message: event.message })
                .collect(),
            requeue_after_ms: answer.requeue_after.map(milliseconds),
            finalized: answer.finalized,
            extra: None,
        })
    }
}

impl From<Error> for types::Failure {
    fn from(error: Error) -> Self {
        let outcome = match error.outcome {
            Outcome::Retry => types::Outcome::Retry,
            Outcome::Waiting => types::Outcome::Waiting,
            Outcome::Terminal => types::Outcome::Terminal,
        };
        Self { outcome, message: error.message, retry_after_ms: error.retry_after.map(milliseconds) }
    }
}

/// The longest that the contract can say is 49 days.
fn milliseconds(delay: std::time::Duration) -> u32 {
    delay.as_millis().try_into().unwrap_or(u32::MAX)
}
