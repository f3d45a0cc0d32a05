//! The record of a call: its request, all that it was told besides (`tape`), and
//! what came out. One JSON document, in which texts of objects are texts and
//! bytes are base64, so that it can be read, kept and played again (`replay`).

mod redact;

use serde::{Deserialize, Serialize};

use crate::{
    called::{CallError, Called},
    contract::{Failure, Level, Request, Response},
    tape::Tape,
};

pub use redact::Key as RedactionKey;

/// The version of the document. Another one is refused: half understood, a record
/// would play something else than what was recorded.
const VERSION: u32 = 1;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// The file that answered, without its ending.
    pub plugin: String,
    /// The hash of its content, config and policy.
    pub generation: String,
    /// Values of secrets were replaced: the same plan is to be expected of it, not
    /// the same bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// What was asked.
    pub request: Request,
    /// What it was told besides.
    pub tape: Tape,
    /// What came of it.
    pub ending: Ending,
    /// The newest lines that it logged.
    pub log: Vec<(Level, String)>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// An answer.
    Answered(Response),
    /// The plugin said itself that it has none.
    Failed(Failure),
    /// It came to no end of its own.
    Stopped {
        /// A constant for each kind.
        reason: String,
        /// For people.
        message: String,
    },
}

/// Why a text is no record.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// No JSON, or not that of a record.
    #[error("it is no record of a call: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Of another host.
    #[error("it is a record of version {0}, this host reads version {VERSION}: use the host that made it")]
    Version(u32),
}

impl Record {
    /// What was asked, and what came of it.
    pub fn new(plugin: &str, generation: String, request: Request, called: &mut Called<Response>) -> Self {
        Self {
            version: VERSION,
            plugin: plugin.to_owned(),
            generation,
            redacted: false,
            request,
            tape: std::mem::take(&mut called.tape),
            ending: Ending::of(&called.outcome),
            log: called.log.lines().map(|line| (line.level, line.text.clone())).collect(),
        }
    }

    /// Reads a document.
    pub fn parse(text: &str) -> Result<Self, BadRecord> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        match serde_json::from_str(text)? {
            Versioned { version: VERSION } => Ok(serde_json::from_str(text)?),
            Versioned { version } => Err(BadRecord::Version(version)),
        }
    }

    /// The document.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("it has texts for keys")
    }

    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        let answer = match &self.ending {
            Ending::Answered(answer) => answer.bytes(),
            Ending::Failed(failure) => failure.message.len(),
            Ending::Stopped { message, .. } => message.len(),
        };
        let log: usize = self.log.iter().map(|(_, line)| line.len() + size_of::<(Level, String)>()).sum();
        let request = usize::try_from(self.request.bytes()).unwrap_or(usize::MAX);
        size_of::<Self>() + request + self.tape.bytes() + answer + log
    }
}

impl Ending {
    /// As it is recorded.
    pub fn of(outcome: &Result<Response, CallError>) -> Self {
        match outcome {
            Ok(answer) => Self::Answered(answer.clone()),
            Err(CallError::Failed(failure)) => Self::Failed(failure.clone()),
            Err(error) => Self::Stopped { reason: error.reason().to_owned(), message: error.to_string() },
        }
    }

    /// Whether it is an answer.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Answered(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        called::{Cost, LookUp, Wanted},
        contract::KindRef,
        log::Log,
        tape::{Asked, Told},
    };

    #[test]
    fn a_call_counts_by_all_that_a_plugin_can_make_long() {
        let long = "x".repeat(1 << 20);
        let empty = Request {
            cluster: "".into(),
            instance_id: None,
            now: "".into(),
            config: "".into(),
            object: "".into(),
            children: vec![],
            finalizing: false,
            extra: "".into(),
        };
        let record = |answer: Response, tape: Tape| {
            let (log, cost) = (Log::default(), Cost::default());
            let looked_up = Default::default();
            let mut called = Called { outcome: Ok(answer), looked_up, tape, log, connections_denied: 0, cost };
            Record::new("x", "1".into(), empty.clone(), &mut called).bytes()
        };
        let answers = [
            Response { labels: vec![(long.clone(), None)], ..Response::default() },
            Response { annotations: vec![("a".into(), Some(long.clone()))], ..Response::default() },
            Response { extra: Some(long.clone()), ..Response::default() },
        ];
        for answer in answers {
            assert!(record(answer.clone(), Tape::default()) >= long.len(), "{answer:?}");
        }
        for (kind, name) in [(&*long, "a"), ("A", &*long)] {
            let of = KindRef { cluster: None, api_version: "v1".into(), kind: kind.into() };
            let asked = LookUp { of, namespace: None, wanted: Wanted::Named(name.into()) };
            let mut tape = Tape::default();
            tape.looked_up(Asked::new(&asked, false, Told::Denied("no".into())));
            assert!(record(Response::default(), tape) >= long.len(), "{kind:.3} {name:.3}");
        }
    }
}
