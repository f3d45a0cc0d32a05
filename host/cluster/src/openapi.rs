//! The server's OpenAPI v3 documents, one for each group and version. They are
//! large (over a megabyte for the core group), so one is kept as text and only
//! the schemas that are asked for are made of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Request;
use kube::Client;
use serde::Deserialize;
use trimtab_core::{id::join_api_version, schema::Schema};

/// Longer than for the other documents of discovery: after a change, the server
/// puts this one together when it is asked for.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The document of one group and version.
#[derive(Debug)]
pub struct OpenApi {
    /// The hash that the server gives for it.
    pub(crate) hash: Arc<str>,
    group: String,
    version: String,
    text: String,
    schemas: Mutex<BTreeMap<String, Arc<Schema>>>,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum OpenApiError {
    /// The server has none of that group and version.
    #[error("the server has no OpenAPI document for {0} yet")]
    Missing(String),
    /// It could not be fetched.
    #[error("the OpenAPI document of {api_version} cannot be fetched: {why}")]
    Failed {
        /// Which one.
        api_version: String,
        /// What went wrong.
        why: String,
    },
}

impl OpenApi {
    /// The schema of one kind; one that knows nothing where the document lacks
    /// it.
    pub fn schema(&self, kind: &str) -> Arc<Schema> {
        let mut schemas = self.schemas.lock().expect("no one panics while they hold the schemas");
        let schema = schemas.entry(kind.to_owned()).or_insert_with(|| {
            let schema = Schema::from_openapi(&self.text, &self.group, &self.version, kind);
            Arc::new(schema.unwrap_or_else(Schema::unknown))
        });
        schema.clone()
    }
}

/// Fetches the document of a group and version; `hash` is what the index says
/// of it. The document may be newer than the index: then the next poll shows
/// another hash, and it is fetched once more.
pub(crate) async fn fetch(
    client: &Client,
    group: &str,
    version: &str,
    hash: Arc<str>,
) -> Result<OpenApi, OpenApiError> {
    let api_version = join_api_version(group, version);
    let failed = |why: String| OpenApiError::Failed { api_version: api_version.clone(), why };
    let root = if group.is_empty() { "api" } else { "apis" };
    let request = Request::get(format!("/openapi/v3/{root}/{api_version}")).body(Vec::new());
    let request = request.map_err(|error| failed(error.to_string()))?;
    let text = match tokio::time::timeout(TIMEOUT, client.request_text(request)).await {
        Err(_) => Err(failed(format!("no answer within {TIMEOUT:?}"))),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(OpenApiError::Missing(api_version.clone())),
        Ok(answer) => answer.map_err(|error| failed(crate::causes(&error))),
    }?;
    serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|error| failed(error.to_string()))?;
    Ok(OpenApi { hash, group: group.to_owned(), version: version.to_owned(), text, schemas: Mutex::default() })
}

/// `/openapi/v3`: where each document lies, with its hash.
#[derive(Default, Deserialize)]
pub(crate) struct Index {
    paths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "serverRelativeURL")]
    url: Box<str>,
}

impl Index {
    /// The hashes by group and version; the whole address where it has none.
    pub(crate) fn hashes(&self) -> BTreeMap<String, BTreeMap<String, Arc<str>>> {
        let mut hashes: BTreeMap<String, BTreeMap<String, Arc<str>>> = BTreeMap::new();
        for (path, Entry { url }) in &self.paths {
            let group_version = path.strip_prefix("apis/").and_then(|path| path.split_once('/'));
            let core = || path.strip_prefix("api/").map(|version| ("", version));
            let Some((group, version)) = group_version.or_else(core) else { continue };
            let hash = url.rsplit_once("hash=").map_or(&**url, |(_, hash)| hash);
            hashes.entry(group.to_owned()).or_default().insert(version.to_owned(), hash.into());
        }
        hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_gives_a_hash_for_each_group_and_version() {
        let index = r#"{"paths": {
            "api": {"serverRelativeURL": "/openapi/v3/api?hash=0"},
            "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=A1"},
            "apis/apps": {"serverRelativeURL": "/openapi/v3/apis/apps?hash=2"},
            "apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=B2"}}}"#;
        let hashes = serde_json::from_str::<Index>(index).unwrap().hashes();
        assert_eq!(&*hashes[""]["v1"], "A1");
        assert_eq!(&*hashes["apps"]["v1"], "B2");
        assert_eq!(hashes.values().map(BTreeMap::len).sum::<usize>(), 2);
    }
}
