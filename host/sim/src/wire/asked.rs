//! What a request is, as far as faults and rules care.

use http::{Method, Request};

use crate::{fault::Target, log};

/// A request by its method and path.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: Method,
    /// With its query.
    pub path: String,
}

impl Asked {
    pub fn of<B>(request: &Request<B>) -> Self {
        Self { method: request.method().clone(), path: request.uri().to_string() }
    }

    /// Whether it may change anything.
    pub fn writes(&self) -> bool {
        log::writes(&self.method)
    }

    pub fn is_about_a_lease(&self) -> bool {
        log::is_about_a_lease(&self.path)
    }

    /// Whether the rules of `oracle` hold for it: what the host writes of itself, for
    /// electors and people, has its own.
    pub fn is_audited(&self) -> bool {
        let of_itself = ["/apis/events.k8s.io/", "/apis/trimtab.dev/"].iter().any(|group| self.path.starts_with(group));
        self.writes() && !self.is_about_a_lease() && !of_itself
    }

    pub fn is_watch(&self) -> bool {
        self.method == Method::GET && self.path.contains("watch=true")
    }

    /// Whether it is the first page of a list.
    pub fn is_list(&self) -> bool {
        let asks = |parameter| self.path.contains(parameter);
        self.method == Method::GET && asks("limit=") && !asks("continue=") && !self.is_watch()
    }

    /// The path without its query.
    pub fn place(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The plural name of what is listed or watched.
    pub fn resource(&self) -> &str {
        self.place().rsplit('/').next().unwrap_or_default()
    }

    /// Whether a fault can happen to it.
    pub fn suits(&self, target: Target, of_lease: bool) -> bool {
        match target {
            Target::Write => self.writes() && self.is_about_a_lease() == of_lease,
            Target::Request => true,
            Target::List => self.is_list(),
            Target::World => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, path: &str) -> Asked {
        Asked { method, path: path.into() }
    }

    #[test]
    fn a_request_suits_the_faults_that_can_happen_to_it() {
        let list = asked(Method::GET, "/apis/example.dev/v1/sites?limit=500");
        let page = asked(Method::GET, "/apis/example.dev/v1/sites?limit=500&continue=x");
        let watch = asked(Method::GET, "/apis/example.dev/v1/sites?&watch=true&timeoutSeconds=30&resourceVersion=1");
        let write = asked(Method::PATCH, "/api/v1/namespaces/a/configmaps/b?fieldManager=m");
        let renewal = asked(Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/default/leases/l");
        assert!(list.suits(Target::List, false) && !page.suits(Target::List, false));
        assert!(watch.is_watch() && !watch.is_list());
        assert_eq!((list.resource(), watch.resource()), ("sites", "sites"));
        assert!(write.suits(Target::Write, false) && !write.suits(Target::Write, true));
        assert!(renewal.suits(Target::Write, true) && !renewal.suits(Target::Write, false));
        assert!([list, page, watch, write, renewal].iter().all(|asked| asked.suits(Target::Request, false)));
    }
}
