//! The contract's side of the bridge.

use std::time::Duration;

use trimtab::guest::bindings::{
    exports::trimtab::plugin::controller::Guest,
    trimtab::plugin::{
        host,
        types::{self, KindRef, Outcome, Request, Response},
    },
};

use crate::{
    config::Config,
    hook::{Failure, Reply},
    related::Cache,
    run::{Group, run},
};

struct Bridge;

impl Guest for Bridge {
    fn describe(config: String) -> Result<String, String> {
        Config::read(&config)?.description().map(|description| description.to_string())
    }

    fn reconcile(request: Request) -> Result<Response, types::Failure> {
        let config = Config::read(&request.config).map_err(|error| failure(error.into()))?;
        let group = |group: types::Group| Group {
            api_version: group.of.api_version,
            kind: group.of.kind,
            objects: group.objects,
        };
        let children = request.children.into_iter().map(group).collect::<Vec<_>>();
        let answer =
            run(&config, &request.object, &children, request.finalizing, &post, &HostCache).map_err(failure)?;
        Ok(Response {
            children: answer.children,
            status: answer.status.map(|status| status.to_string()),
            labels: answer.labels,
            annotations: answer.annotations,
            events: Vec::new(),
            requeue_after_ms: answer.requeue_after_ms,
            finalized: answer.finalized,
            extra: None,
        })
    }
}

fn failure(failure: Failure) -> types::Failure {
    let retry_after_ms = failure.retry_after.map(|after| after.as_millis().try_into().unwrap_or(u32::MAX));
    types::Failure { outcome: Outcome::Retry, message: failure.message, retry_after_ms }
}

fn post(url: &str, body: &[u8], timeout: Duration) -> Result<Reply, String> {
    let headers = &[("content-type", "application/json"), ("accept", "application/json")];
    let answer = trimtab_http::Request { url, headers, body, timeout }.send()?;
    Ok(Reply { status: answer.status, headers: answer.headers, body: answer.body })
}

struct HostCache;

impl Cache for HostCache {
    fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<String>, String> {
        host::get(&kind_ref(api_version, kind), namespace, name)
    }

    fn select(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<String>, String> {
        host::select(&kind_ref(api_version, kind), namespace, Some(labels), u32::MAX)
    }
}

fn kind_ref(api_version: &str, kind: &str) -> KindRef {
    KindRef { cluster: None, api_version: api_version.to_owned(), kind: kind.to_owned() }
}

trimtab::guest::export!(Bridge with_types_in trimtab::guest::bindings);
