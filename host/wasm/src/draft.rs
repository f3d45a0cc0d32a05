//! Which draft of the unreleased contract this host speaks.

use trimtab_core::hash::Hash;

/// The contract's text.
pub(crate) const CONTRACT: &str = include_str!("../../../wit/next/plugin.wit");

/// How the name of the export begins by which a module without a component-type
/// section says what it was written for.
pub(crate) const EXPORT: &str = "trimtab-draft-";

/// The whole name: another for each contract, but not for its comments.
pub(crate) fn export() -> String {
    let said = CONTRACT.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: Vec<_> = said.flat_map(str::split_whitespace).collect();
    format!("{EXPORT}{}", &Hash::of([words.join(" ").as_bytes()]).to_string()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdks_without_a_component_type_name_this_draft() {
        for sdk in ["go/guest.go", "c/trimtab.h"] {
            let path = format!("{}/../../plugins/sdk/{sdk}", env!("CARGO_MANIFEST_DIR"));
            let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(source.contains(&export()), "{path} names another draft than {}", export());
        }
    }
}
