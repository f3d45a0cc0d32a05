//! Where a plugin may connect to: a scheme, a host and a port, and nothing of a
//! path, since a connection is granted and not a page.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::selector::is_subdomain;

/// One place that requests may be sent to. Two texts of one place are equal:
/// names are in lower case, addresses in their shortest form, ports spelled out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads `http://hooks.example:8080`; without a port, it is that of the scheme.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let https = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let after_address = authority.find(']').map_or(0, |at| at + 1);
        let (host, port) = match authority[after_address..].find(':') {
            Some(at) => (&authority[..after_address + at], authority[after_address + at + 1..].parse().ok()?),
            None => (authority, if https { 443 } else { 80 }),
        };
        (port != 0).then_some(Self { https, host: read_host(host)?, port })
    }

    /// Whether connections to it are encrypted.
    pub fn is_https(&self) -> bool {
        self.https
    }
}

fn read_host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[') {
        let address = address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
        return Some(format!("[{address}]"));
    }
    let name = text.to_ascii_lowercase();
    // A name of digits alone is an address in some resolvers, and not in others.
    let digits = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let fits = if digits { name.parse::<Ipv4Addr>().is_ok() } else { is_subdomain(&name) };
    fits.then_some(name)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_texts_of_one_place_are_one_origin() {
        for (text, origin) in [
            ("http://hooks.kubeflow", "http://hooks.kubeflow:80"),
            ("https://Hooks.Kubeflow", "https://hooks.kubeflow:443"),
            ("https://10.0.0.1:8443", "https://10.0.0.1:8443"),
            ("http://[0:0::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), Some(origin));
        }
        assert_ne!(Origin::parse("http://a:443"), Origin::parse("https://a:443"));
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_none() {
        for text in [
            "hooks:80",
            "ftp://hooks",
            "HTTP://hooks",
            "http://",
            "http://:80",
            "http://hooks/path",
            "http://hooks:80/",
            "http://user@hooks",
            "http://*.kubeflow",
            "http://hooks:0",
            "http://hooks:65536",
            "http://hooks:",
            "http://[::1",
            "http://[hooks]",
            "http://::1",
            "http://127.1",
            "http://hooks.",
            "http://ho oks",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
