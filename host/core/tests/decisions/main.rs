//! The decisions about one run, from outside: answer, plan, status.
#![expect(clippy::unwrap_used, reason = "what a test arranges may fail as loudly as the test itself")]

mod adoption;
mod answer;
mod given;
mod plan;
mod rolling;
mod server;
mod status;
