//! Requests that get another answer than the API's, or none, for as long as it
//! is told to be so: a right that is missing, an object that is not valid, a
//! server that has no time, a connection that died and told nobody.

use std::{
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{Method, Response, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde_json::Value;

use crate::log;

/// Some requests, and what they get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A part of the path of each of them, such as `/configmaps/a`.
    pub path: String,
    /// Reads and watches are refused as well as writes.
    pub reads: bool,
    /// In place of the API's answer.
    pub instead: Instead,
}

/// What comes in place of the API's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instead {
    /// An answer with an error status.
    Answer {
        /// The HTTP status.
        code: u16,
        /// When to come back.
        retry_after_s: Option<u32>,
        /// A `meta/v1.Status`, or text.
        body: Value,
    },
    /// Nothing, ever. A watch that has something to show meanwhile shows
    /// nothing more and does not end, even after the refusal is over.
    Silence,
}

/// What is refused in a world at the moment.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Option<Refusal>>);

impl Refusals {
    pub fn set(&self, refusal: Option<Refusal>) {
        *self.lock() = refusal;
    }

    /// What a request gets in place of the API's answer.
    pub fn instead(&self, method: &Method, path: &str) -> Option<Instead> {
        let refusal = self.lock();
        let fits = |it: &&Refusal| path.contains(&it.path) && (it.reads || log::writes(method));
        refusal.as_ref().filter(fits).map(|refusal| refusal.instead.clone())
    }

    /// Whether what is shown of that path is lost on the way.
    pub fn silences(&self, path: &str) -> bool {
        self.instead(&Method::GET, path) == Some(Instead::Silence)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Refusal>> {
        // No caller's code runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The HTTP answer with that status.
pub(crate) fn answer(
    code: u16,
    retry_after_s: Option<u32>,
    body: &Value,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let (content_type, text) = match body {
        Value::String(text) => ("text/plain", text.clone()),
        status => ("application/json", status.to_string()),
    };
    let mut answer = Response::builder().status(code).header(header::CONTENT_TYPE, content_type);
    if let Some(seconds) = retry_after_s {
        answer = answer.header(header::RETRY_AFTER, seconds);
    }
    answer.body(Full::from(text).boxed_unsync()).expect("a status and two headers are valid")
}
