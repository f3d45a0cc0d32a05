//! A Kubernetes API in memory: what controllers rely on, as kube-apiserver does
//! it, with no etcd, no files, and no clock or randomness of its own.
//!
//! [`ApiServer`] is a [`tower::Service`], so a client runs against it in
//! process; [`ApiServer::serve`] puts the same service behind a socket. All
//! state has one owner behind one lock, every request is decided while holding
//! it, and nothing is awaited meanwhile: equal requests in equal order from an
//! equal seed and clock leave equal objects.
#![forbid(unsafe_code)]

mod accept;
mod builtin_rules;
mod controllers;
mod crd;
mod deprecation;
mod discovery;
mod document;
mod event_forms;
mod field_selector;
mod fields;
mod go_print;
mod go_time;
mod ids;
mod kinds;
mod listener;
mod managed;
mod merge_patch;
mod meta;
mod openapi;
mod patch;
mod present;
mod protobuf;
mod quantity;
mod request;
mod reviews;
mod scale;
mod schema;
mod selector;
mod server;
mod status_error;
mod storage;
mod stored;
mod strategic;
mod table;
mod verbs;
mod view;
mod watch;
mod wire;

pub use server::{ApiServer, Clock, Collecting, Config};
