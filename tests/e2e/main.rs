//! The binary `trimtab` from outside, against a real control plane: a folder
//! that files are copied into, kubectl, signals, and what the admin interface
//! says. Nothing of the host is linked in but the type of a client.

mod accounts;
mod asking;
mod bad_files;
mod bridge;
mod bridge_decorator;
mod bridge_selector;
mod canary;
mod configs;
mod connecting;
mod decorating;
mod deletion;
mod dev;
mod elsewhere;
mod exclusive;
mod fencing;
mod folder;
mod handover;
mod init;
mod leases;
mod misbehaving;
mod missing;
mod moving;
mod outages;
mod process;
mod promotion;
mod rbac;
mod recording;
mod refusals;
mod release;
mod reporting;
mod restart;
mod retiring;
mod rolling;
mod secrets;
mod selecting;
mod shadow;
mod soak;
mod story;
mod succession;
mod support;
