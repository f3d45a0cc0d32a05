//! The API as a person with kubectl sees it: at once, unseen by the wires'
//! faults, and not in their log.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use trimtab_apiserver::ApiServer;

/// The API server did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} was answered with {status}: {answer}")]
pub struct Refused {
    method: Method,
    path: String,
    status: u16,
    answer: Value,
}

impl Refused {
    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The answer, mostly a `Status`.
    pub fn answer(&self) -> &Value {
        &self.answer
    }
}

/// A person's client of a world's API.
#[derive(Clone)]
pub struct Api(ApiServer);

impl Api {
    pub(crate) fn new(server: ApiServer) -> Self {
        Self(server)
    }

    /// Reads one object or list.
    pub async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::GET, path, "", None).await
    }

    /// Creates an object in the collection of that path.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        self.send(Method::POST, path, "application/json", Some(object)).await
    }

    /// Merges a patch into an object.
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, Refused> {
        self.send(Method::PATCH, path, "application/merge-patch+json", Some(patch)).await
    }

    /// Applies an object; the query of the path says for which manager.
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        self.send(Method::PATCH, path, "application/apply-patch+yaml", Some(object)).await
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::DELETE, path, "", None).await
    }

    /// All objects of all kinds that can be listed, each with the resource that
    /// it was listed by (`/apis/apps/v1/deployments`), in the server's order.
    pub async fn everything(&self) -> Result<Vec<(String, Value)>, Refused> {
        let mut roots = vec!["/api/v1".to_owned()];
        let groups = self.get("/apis").await?;
        let preferred = |group: &Value| group["preferredVersion"]["groupVersion"].as_str().map(str::to_owned);
        let groups = items(&groups, "groups").iter().filter_map(preferred);
        roots.extend(groups.map(|group_version| format!("/apis/{group_version}")));
        let mut all = Vec::new();
        for root in roots {
            let resources = self.get(&root).await?;
            for resource in items(&resources, "resources") {
                let can_list = items(resource, "verbs").iter().any(|verb| verb == "list");
                let Some(name) = resource["name"].as_str().filter(|_| can_list) else { continue };
                let path = format!("{root}/{name}");
                let list = self.get(&path).await?;
                all.extend(items(&list, "items").iter().map(|object| (path.clone(), object.clone())));
            }
        }
        Ok(all)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder().method(method.clone()).uri(path).header("user-agent", "person");
        let request = request.header("content-type", content_type).body(Full::new(Bytes::from(text)));
        let Ok(answer) = self.0.clone().oneshot(request.expect("the path is a path")).await;
        let status = answer.status();
        let Ok(body) = answer.into_body().collect().await;
        let answer = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        Err(Refused { method, path: path.to_owned(), status: status.as_u16(), answer })
    }
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}
