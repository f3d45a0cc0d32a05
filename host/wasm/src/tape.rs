//! What a call is told that does not follow from its request. With the request it
//! is all that an answer can rest on, so that the call can be made again.
//!
//! - Each look-up and its answer, denials and what ended the run included: the
//!   cache has moved on since.
//! - The seed that all chance of the call comes from.
//! - Each HTTP exchange: the other side is not asked twice.
//! - Where HTTP is granted, time is real: each reading of a clock. Elsewhere it follows
//!   from the request. Which came first, an answer or a time-out, needs no record: an
//!   answer is on the tape if the guest has taken it, and then it is there at once.
//!
//! Texts are shared with what they came from; bodies are copied, since a piece of one
//! would keep the whole of what was read with it. What a guest makes of the tape is
//! bounded; beyond that the tape is `cut`, and says so.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use trimtab_core::selector::Selector;

use crate::{
    called::{LookUp, Wanted},
    contract::KindRef,
    limits::LOOK_UPS_MAX,
};

/// The bytes of HTTP bodies that one tape holds.
const BODIES_BYTES_MAX: usize = 4 << 20;
/// The readings of each clock that one tape holds.
const READINGS_MAX: usize = 10_000;

/// The tape of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tape {
    /// What all chance of the call came from.
    pub seed: Seed,
    /// Each look-up, in the order in which it was first asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look_ups: Vec<Asked>,
    /// Each HTTP request, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<Exchange>,
    /// What the clocks said, where they were real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<RealTime>,
    /// It does not hold all: what it holds was bounded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    #[serde(skip)]
    bodies_bytes: usize,
}

/// The tape of the call that is under way.
pub(crate) type SharedTape = Arc<Mutex<Tape>>;

/// What stands for chance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(#[serde(with = "base64_array")] pub [u8; 32]);

/// One look-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The kind and its version.
    pub of: KindRef,
    /// Whether objects of that kind lie in namespaces.
    pub namespaced: bool,
    /// Absent for cluster-scoped objects, and for a selection in all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Arc<str>>,
    /// Which of that kind.
    #[serde(flatten)]
    pub which: Which,
    /// The answer.
    pub told: Told,
}

/// Which objects were looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Which {
    /// The one of that name.
    Named {
        /// The name.
        name: Arc<str>,
    },
    /// Those with such labels.
    Selected {
        /// What the labels must be like, as for `kubectl -l`.
        selector: String,
        /// No more than these.
        limit: u32,
    },
}

/// What a look-up was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// These, in order; none where the cache was sure that there is none.
    Found(Vec<Arc<str>>),
    /// It is not allowed; the guest was told why.
    Denied(String),
    /// The cache was not sure: the run ended there, and the guest learned nothing.
    NotReady(String),
}

/// Readings of real clocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RealTime {
    /// Of the monotonic clock.
    pub monotonic_ns: Vec<u64>,
    /// Of the wall clock, since 1970.
    pub wall_ns: Vec<u64>,
}

/// One HTTP request, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// What was asked.
    #[serde(flatten)]
    pub asked: Head,
    /// The request's body, as far as it was read by who sends it.
    pub sent: Body,
    /// What the guest has learned.
    pub came: Came,
    #[serde(skip)]
    is_taken: bool,
}

/// A request but for its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// `GET`
    pub method: String,
    /// `http://host:port/path`
    pub url: String,
    /// Those that the guest set, each byte of a value one character.
    pub headers: Vec<(String, String)>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Came {
    /// It was not sent; the guest was told why.
    Denied(String),
    /// Nothing, before the call was over.
    Nothing,
    /// It failed.
    Failed(Fault),
    /// An answer.
    #[serde(rename_all = "camelCase")]
    Answer {
        /// `200`
        status: u16,
        /// All of them, each byte of a value one character.
        headers: Vec<(String, String)>,
        /// As far as it was read.
        body: Body,
        /// How it ended.
        end: End,
    },
}

/// A body in the pieces in which it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Body(#[serde(with = "base64_pieces")] pub Vec<Bytes>);

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// It was read to its end.
    Whole,
    /// It was not read on, or no more came before the call was over.
    Open,
    /// It failed.
    Failed(Fault),
}

/// Why a request or an answer failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// It took longer than the guest lets it.
    Timeout,
    /// The request's body is not as long as it says.
    RequestBody(Option<u64>),
    /// The answers are larger than what a call may receive.
    AnswerBody(Option<u64>),
    /// In words.
    Other(String),
}

impl Tape {
    pub(crate) fn new(seed: Seed, real_time: bool) -> Self {
        Self { seed, time: real_time.then(RealTime::default), ..Self::default() }
    }

    /// A guest may ask for what is denied again and again.
    pub(crate) fn looked_up(&mut self, asked: Asked) {
        match &asked.told {
            Told::Denied(_) if self.look_ups.contains(&asked) => {}
            Told::Denied(_) if self.look_ups.len() >= 2 * LOOK_UPS_MAX => self.cut = true,
            _ => self.look_ups.push(asked),
        }
    }

    /// A request is about to be decided on; its place on the tape.
    pub(crate) fn request(&mut self, asked: Head) -> usize {
        self.http.push(Exchange { asked, sent: Body::default(), came: Came::Nothing, is_taken: false });
        self.http.len() - 1
    }

    pub(crate) fn sent(&mut self, place: usize, piece: &Bytes) {
        if self.has_room(piece) {
            self.http[place].sent.push(piece);
        }
    }

    pub(crate) fn came(&mut self, place: usize, came: Came) {
        self.http[place].came = came;
    }

    pub(crate) fn received(&mut self, place: usize, piece: &Bytes) {
        if self.has_room(piece)
            && let Came::Answer { body, .. } = &mut self.http[place].came
        {
            body.push(piece);
        }
    }

    pub(crate) fn ended(&mut self, place: usize, how: End) {
        if let Came::Answer { end, .. } = &mut self.http[place].came {
            *end = how;
        }
    }

    pub(crate) fn read(&mut self, list: impl FnOnce(&mut RealTime) -> &mut Vec<u64>, reading: u64) {
        let Some(readings) = self.time.as_mut().map(list) else { return };
        match readings.len() < READINGS_MAX {
            true => readings.push(reading),
            false => self.cut = true,
        }
    }

    /// The guest has learned what came of a request.
    pub(crate) fn taken(&mut self, place: usize) {
        self.http[place].is_taken = true;
    }

    /// The call is over: what came and was never looked at is nothing.
    pub(crate) fn finished(mut self) -> Self {
        for exchange in &mut self.http {
            if !exchange.is_taken && !matches!(exchange.came, Came::Denied(_)) {
                exchange.came = Came::Nothing;
            }
        }
        self
    }

    fn has_room(&mut self, piece: &Bytes) -> bool {
        self.bodies_bytes += piece.len();
        let has_room = self.bodies_bytes <= BODIES_BYTES_MAX;
        self.cut |= !has_room;
        has_room
    }

    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let look_ups = self.look_ups.iter().map(Asked::bytes);
        let head =
            |fields: &[(String, String)]| fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let http = self.http.iter().map(|exchange| {
            let answer = match &exchange.came {
                Came::Answer { headers, body, .. } => head(headers) + body.bytes(),
                Came::Denied(_) | Came::Nothing | Came::Failed(_) => 0,
            };
            let asked = head(&exchange.asked.headers) + exchange.asked.method.len() + exchange.asked.url.len();
            asked + exchange.sent.bytes() + answer + size_of::<Exchange>()
        });
        let time = self.time.as_ref().map_or(0, |time| 8 * (time.monotonic_ns.len() + time.wall_ns.len()));
        look_ups.sum::<usize>() + http.sum::<usize>() + time
    }
}

impl Seed {
    /// From the operating system: a plugin may make passwords of it.
    pub(crate) fn random() -> Self {
        let mut seed = [0; 32];
        let filled = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
        // Linux gives up to 256 bytes whole and never fails once it has started.
        assert_eq!(filled, Ok(seed.len()), "the operating system gives no random bytes");
        Self(seed)
    }

    /// The same for the same number.
    pub(crate) fn of(number: u64) -> Self {
        let mut seed = [0; 32];
        StdRng::seed_from_u64(number).fill_bytes(&mut seed);
        Self(seed)
    }
}

impl Asked {
    pub(crate) fn new(asked: &LookUp, namespaced: bool, told: Told) -> Self {
        let which = match &asked.wanted {
            Wanted::Named(name) => Which::Named { name: name.clone() },
            Wanted::Selected { labels, limit } => Which::Selected { selector: labels.to_string(), limit: *limit },
        };
        Self { of: asked.of.clone(), namespaced, namespace: asked.namespace.clone(), which, told }
    }

    /// What was asked; none where the selector of a record that people have edited is none.
    pub(crate) fn look_up(&self) -> Option<LookUp> {
        let wanted = match &self.which {
            Which::Named { name } => Wanted::Named(name.clone()),
            Which::Selected { selector, limit } => {
                Wanted::Selected { labels: Selector::parse(selector).ok()?, limit: *limit }
            }
        };
        Some(LookUp { of: self.of.clone(), namespace: self.namespace.clone(), wanted })
    }

    fn bytes(&self) -> usize {
        let which = match &self.which {
            Which::Named { name } => name.len(),
            Which::Selected { selector, .. } => selector.len(),
        };
        let told = match &self.told {
            Told::Found(objects) => objects.iter().map(|text| text.len() + size_of::<Arc<str>>()).sum(),
            Told::Denied(why) | Told::NotReady(why) => why.len(),
        };
        let namespace = self.namespace.as_ref().map_or(0, |namespace| namespace.len());
        size_of::<Self>() + self.of.bytes() + namespace + which + told
    }
}

impl Body {
    /// All pieces in one.
    pub fn whole(&self) -> Vec<u8> {
        self.0.concat()
    }

    fn push(&mut self, piece: &Bytes) {
        if !piece.is_empty() {
            self.0.push(Bytes::copy_from_slice(piece));
        }
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|piece| piece.len() + size_of::<Bytes>()).sum()
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// Bytes as base64, in JSON.
mod base64_array {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("a seed has 32 bytes"))
    }
}

/// A list of bytes, each as base64.
mod base64_pieces {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(pieces: &[Bytes], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pieces.iter().map(|piece| STANDARD.encode(piece)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bytes>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?.into_iter();
        texts.map(|text| STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)).collect()
    }
}
