//! Requests to others, for plugins whose policy grants them (`http` under
//! `[grants]`). An answer may differ each time, so such a plugin is called also
//! where its inputs have not changed. A crate of its own, so that a plugin that
//! sends none does not carry WASI's types.
#![forbid(unsafe_code)]
#![cfg(target_family = "wasm")]

use std::time::Duration;

use wasip2::{
    clocks::monotonic_clock,
    http::{
        outgoing_handler,
        types::{ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme},
    },
    io::{
        poll::{Pollable, poll},
        streams::{InputStream, OutputStream, StreamError},
    },
};

/// How much of an answer is asked for at a time.
const READ_BYTES: u64 = 64 << 10;

/// A POST.
#[derive(Debug)]
pub struct Request<'a> {
    /// `http://host:port/path`
    pub url: &'a str,
    /// Beside those that the host sets.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent.
    pub body: &'a [u8],
    /// From the first byte sent to the last one received.
    pub timeout: Duration,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Response {
    /// `200`
    pub status: u16,
    /// By their names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Request<'_> {
    /// Sends it. A redirect is an answer like any other; the error names the URL.
    pub fn send(&self) -> Result<Response, String> {
        self.try_send().map_err(|error| format!("{}: {error}", self.url))
    }

    fn try_send(&self) -> Result<Response, String> {
        let deadline = Deadline::after(self.timeout);
        let request = self.outgoing().ok_or("not a URL of http or https")?;
        let body = request.body().expect("nobody has taken it");
        let answer = outgoing_handler::handle(request, None).map_err(explain)?;
        let stream = body.write().expect("nobody has taken it");
        let written = write(&stream, self.body, &deadline)?;
        drop(stream);
        // Where not all was taken, the answer says why.
        if written {
            OutgoingBody::finish(body, None).map_err(explain)?;
        }
        deadline.wait(&answer.subscribe())?;
        let answer = answer.get().expect("it was waited for").expect("nobody has taken it").map_err(explain)?;
        read(&answer, &deadline)
    }

    fn outgoing(&self) -> Option<OutgoingRequest> {
        let (scheme, rest) = self.url.split_once("://")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let headers = self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        let headers =
            [("content-length".to_owned(), self.body.len().to_string().into_bytes())].into_iter().chain(headers);
        let request = OutgoingRequest::new(Fields::from_list(&headers.collect::<Vec<_>>()).ok()?);
        request.set_method(&Method::Post).ok()?;
        request.set_scheme(Some(&scheme)).ok()?;
        request.set_authority(Some(authority)).ok()?;
        request.set_path_with_query(Some(path).filter(|path| !path.is_empty())).ok()?;
        Some(request)
    }
}

/// Whether all was taken: the other side may answer before it has read all.
fn write(stream: &OutputStream, mut body: &[u8], deadline: &Deadline) -> Result<bool, String> {
    while !body.is_empty() {
        match stream.check_write() {
            Ok(0) => deadline.wait(&stream.subscribe())?,
            Ok(room) => {
                let (now, later) = body.split_at(body.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                if stream.write(now).is_err() {
                    return Ok(false);
                }
                body = later;
            }
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

fn read(answer: &IncomingResponse, deadline: &Deadline) -> Result<Response, String> {
    let headers = answer.headers().entries().into_iter();
    let body = answer.consume().expect("nobody has taken it");
    let stream = body.stream().expect("nobody has taken it");
    Ok(Response {
        status: answer.status(),
        headers: headers.filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?))).collect(),
        body: read_all(&stream, deadline)?,
    })
}

fn read_all(stream: &InputStream, deadline: &Deadline) -> Result<Vec<u8>, String> {
    // One list of all would be copied as it grows, and held twice meanwhile.
    let mut pieces = Vec::new();
    loop {
        match stream.read(READ_BYTES) {
            Ok(bytes) if bytes.is_empty() => deadline.wait(&stream.subscribe())?,
            Ok(bytes) => pieces.push(bytes),
            Err(StreamError::Closed) => return Ok(pieces.concat()),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

struct Deadline {
    timeout: Duration,
    timer: Pollable,
}

impl Deadline {
    fn after(timeout: Duration) -> Self {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self { timeout, timer: monotonic_clock::subscribe_duration(nanoseconds) }
    }

    fn wait(&self, pollable: &Pollable) -> Result<(), String> {
        match poll(&[pollable, &self.timer]).contains(&0) {
            true => Ok(()),
            false => Err(format!("no answer within {} ms", self.timeout.as_millis())),
        }
    }
}

fn explain(error: ErrorCode) -> String {
    match error {
        ErrorCode::InternalError(Some(why)) => why,
        other => other.to_string(),
    }
}
