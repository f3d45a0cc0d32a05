//! `trimtab init NAME`: the project of a plugin in Rust, which builds, and whose
//! tests pass.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use trimtab_core::id::Lineage;

use crate::{cli::InitArgs, plural};

/// The files, by their paths in the project.
const FILES: [(&str, &str); 8] = [
    ("Cargo.toml", include_str!("../templates/rust/Cargo.toml.template")),
    (".cargo/config.toml", include_str!("../templates/rust/config.toml")),
    (".gitignore", include_str!("../templates/rust/gitignore")),
    ("README.md", include_str!("../templates/rust/README.md")),
    ("src/lib.rs", include_str!("../templates/rust/lib.rs")),
    ("crd.yaml", include_str!("../templates/rust/crd.yaml")),
    ("example.yaml", include_str!("../templates/rust/example.yaml")),
    ("tests/{{name}}.yaml", include_str!("../templates/rust/scenario.yaml")),
];

/// Where the SDK lies in a checkout of this repository.
const SDK: &str = "plugins/sdk/rust";

/// Names that Rust gives to no crate.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Crates and a type that the project's own code uses, so that it may not be
/// called like them.
const TAKEN: [&str; 6] = ["core", "deployment", "serde", "std", "trimtab", "trimtab-sdk"];

/// Makes the project and says what can be done with it.
pub fn main(args: InitArgs) -> anyhow::Result<()> {
    check_name(&args.name)?;
    let sdk = sdk(args.sdk.as_deref())?;
    let folder = Path::new(&args.name);
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        bail!("{} is there and not empty: give another name, or empty it", folder.display());
    }
    let words = words(&args.name, &sdk);
    for (path, text) in FILES {
        let path = folder.join(filled(path, &words));
        let parent = path.parent().context("a file of the project lies in a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        fs::write(&path, filled(text, &words)).with_context(|| format!("writing {}", path.display()))?;
    }
    let name = &args.name;
    println!("made {name}, with trimtab-sdk = {{ {sdk} }}");
    println!("  cd {name}");
    println!("  cargo plugin && trimtab test tests");
    println!("  trimtab dev --build . --apply crd.yaml --apply example.yaml");
    Ok(())
}

fn check_name(name: &str) -> anyhow::Result<()> {
    Lineage::new(name).map_err(|error| anyhow::anyhow!("{name:?} is no name for a plugin: {}", error.rule))?;
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        bail!("{name:?} is no name for a plugin in Rust: it must begin with a letter");
    }
    if KEYWORDS.contains(&name) {
        bail!("{name:?} is no name for a plugin in Rust: it is a keyword");
    }
    if TAKEN.contains(&name) {
        bail!("{name:?} is no name for a plugin in Rust: its code uses something of that name");
    }
    let plural = plural::of(&kind(name));
    Lineage::new(&plural)
        .map_err(|error| anyhow::anyhow!("{name:?} is too long: its plural {plural:?} must be {}", error.rule))?;
    Ok(())
}

/// The SDK as a dependency: what is given, or that of the checkout that this is
/// run in or was built in.
fn sdk(given: Option<&str>) -> anyhow::Result<String> {
    let path = match given {
        Some(version) if version.starts_with(|c: char| c.is_ascii_digit()) && !Path::new(version).is_dir() => {
            return Ok(format!("version = {version:?}"));
        }
        Some(path) => PathBuf::from(path),
        None => {
            let here = std::env::current_dir().context("asking for the current folder")?;
            let program = std::env::current_exe().context("finding this program")?;
            let mut above = here.ancestors().chain(program.ancestors()).map(|folder| folder.join(SDK));
            let found = above.find(|sdk| sdk.join("Cargo.toml").is_file());
            found.context("no checkout of trimtab is around to take the SDK from: give --sdk PATH or --sdk VERSION")?
        }
    };
    let path = fs::canonicalize(&path).with_context(|| format!("--sdk {}", path.display()))?;
    if !path.join("Cargo.toml").is_file() {
        bail!("--sdk {}: there is no Cargo.toml in it", path.display());
    }
    Ok(format!("path = {:?}", path.display().to_string()))
}

/// What stands for what in a template.
fn words(name: &str, sdk: &str) -> [(&'static str, String); 6] {
    let kind = kind(name);
    [
        ("{{name}}", name.to_owned()),
        ("{{module}}", name.replace('-', "_")),
        ("{{plural}}", plural::of(&kind)),
        ("{{singular}}", kind.to_ascii_lowercase()),
        ("{{sdk}}", sdk.to_owned()),
        ("{{Kind}}", kind),
    ]
}

/// `my-site` as `MySite`.
fn kind(name: &str) -> String {
    let capital = |word: &str| {
        word.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(word.chars().skip(1)).collect::<String>()
    };
    name.split('-').map(capital).collect()
}

fn filled(template: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(word, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_template_is_left_unfilled() {
        let words = words("my-site", "version = \"0.1\"");
        for (path, text) in FILES {
            let (path, text) = (filled(path, &words), filled(text, &words));
            assert!(!path.contains("{{") && !text.contains("{{"), "{path}");
        }
    }

    #[test]
    fn a_name_that_is_no_dns_label_or_no_crate_is_refused() {
        assert!(check_name("my-site-2").is_ok());
        assert!(check_name(&"a".repeat(62)).is_ok());
        // With the s of its plural the last one is one too long.
        for wrong in ["", "My-Site", "a_b", "-a", "9lives", "struct", "true", "yield", "serde", &"a".repeat(63)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_becomes_a_kind() {
        assert_eq!(["site", "my-site", "a-2b"].map(kind), ["Site", "MySite", "A2b"]);
    }

    #[test]
    fn the_sdk_is_a_version_or_a_folder_with_a_crate() {
        assert_eq!(sdk(Some("0.1")).unwrap(), "version = \"0.1\"");
        let empty = tempfile::tempdir().unwrap();
        assert!(sdk(empty.path().to_str()).unwrap_err().to_string().contains("no Cargo.toml"));
        assert!(sdk(Some("no/such/folder")).is_err());
    }
}
