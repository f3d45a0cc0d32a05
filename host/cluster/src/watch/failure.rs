//! Why a list or a watch has failed, and what that says of the store.

use kube::core::Status;

use crate::{spec::Health, store::StaleList};

/// Classes of failures: each has its own health and its own delay.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the server refuses (HTTP {code}): {message}; grant get, list and watch")]
    Forbidden { code: u16, message: String },
    #[error("the server has no such kind: {0}")]
    Missing(String),
    #[error("what changed meanwhile is no longer kept by the server")]
    Expired,
    #[error("the server answered HTTP {code}: {message}")]
    Refused { code: u16, message: String, retry_after_s: u32 },
    #[error("no answer in time")]
    Silent,
    #[error("the server ended the watch as soon as it began")]
    Cut,
    #[error(transparent)]
    Stale(#[from] StaleList),
    #[error("resourceVersion {0:?} is not a number")]
    Version(String),
    #[error("{0}")]
    Broken(String),
}

impl Failure {
    /// What the store's readers are told; none for what is mended by a list
    /// without anyone's help.
    pub(super) fn health(&self) -> Option<Health> {
        match self {
            Self::Expired => None,
            Self::Missing(_) => Some(Health::Missing),
            Self::Forbidden { .. } => Some(Health::Forbidden(self.to_string().into())),
            _ => Some(Health::Failing(self.to_string().into())),
        }
    }

    pub(super) fn request(error: kube::core::request::Error) -> Self {
        Self::Broken(format!("no request can be made of this watch: {error}"))
    }

    pub(super) fn answer(error: serde_json::Error) -> Self {
        Self::Broken(format!("the server's answer is no list of objects: {error}"))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let Status { code, message, reason, details, .. } = status;
        match (code, reason.as_str()) {
            (401 | 403, _) => Self::Forbidden { code, message },
            (404, _) => Self::Missing(message),
            (410, _) | (_, "Expired" | "Gone") => Self::Expired,
            _ => {
                let retry_after_s = details.map_or(0, |details| details.retry_after_seconds);
                Self::Refused { code, message, retry_after_s }
            }
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(*status),
            other => Self::Broken(crate::causes(&other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: u16, reason: &str) -> Failure {
        Failure::from(Status::failure("why", reason).with_code(code))
    }

    #[test]
    fn each_answer_of_a_server_has_the_health_that_it_deserves() {
        for code in [401, 403] {
            assert!(matches!(failure(code, "").health(), Some(Health::Forbidden(_))));
        }
        assert_eq!(failure(404, "NotFound").health(), Some(Health::Missing));
        assert_eq!(failure(410, "Expired").health(), None);
        assert_eq!(failure(0, "Expired").health(), None);
        for code in [400, 429, 500, 503] {
            assert!(matches!(failure(code, "").health(), Some(Health::Failing(_))));
        }
    }
}
