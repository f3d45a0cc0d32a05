//! How the resource of a kind is called where nothing says so.

/// The plural that generators of CustomResourceDefinitions give to a kind.
pub fn of(kind: &str) -> String {
    let singular = kind.to_ascii_lowercase();
    match singular.as_bytes() {
        [.., b's' | b'x' | b'z'] | [.., b'c' | b's', b'h'] => format!("{singular}es"),
        [.., before, b'y'] if !b"aeiou".contains(before) => format!("{}ies", &singular[..singular.len() - 1]),
        _ => format!("{singular}s"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_plural_follows_the_rule_of_generators() {
        let plurals = ["Site", "Policy", "Gateway", "Ingress", "Mailbox", "Patch"].map(super::of);
        assert_eq!(plurals, ["sites", "policies", "gateways", "ingresses", "mailboxes", "patches"]);
    }
}
