//! `trimtab init NAME`: the project of a plugin, which builds, and whose tests
//! pass.

mod language;
mod sdk;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use trimtab_core::id::Lineage;

pub use self::language::Language;
use self::language::{Project, SHARED};
use crate::{cli::InitArgs, plural};

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

/// What a command of the README takes beside what it is for.
const COLUMN: usize = 44;

/// Makes the project and says what can be done with it.
pub fn main(args: InitArgs) -> anyhow::Result<()> {
    check_name(&args.name, args.lang)?;
    let (project, folder) = (args.lang.project(), Path::new(&args.name));
    let sdk = match args.lang {
        Language::Rust => dependency(args.sdk.as_deref())?,
        _ if args.sdk.is_some() => bail!("--sdk is for Rust: the SDKs of other languages are laid into the project"),
        _ => String::new(),
    };
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        bail!("{} is there and not empty: give another name, or empty it", folder.display());
    }
    let words = words(&args.name, project, &sdk);
    for (path, text) in project.files.iter().chain(&SHARED) {
        write(&folder.join(filled(path, &words)), &filled(text, &words))?;
    }
    for (path, text) in project.sdk {
        write(&folder.join("sdk").join(path), text)?;
    }
    let name = &args.name;
    match args.lang {
        Language::Rust => println!("made {name}, with trimtab-sdk = {{ {sdk} }}"),
        _ => println!("made {name}, with the SDK of trimtab {} in {name}/sdk", env!("CARGO_PKG_VERSION")),
    }
    println!("  cd {name}");
    for (command, what_for) in project.commands {
        println!("  {command:COLUMN$}{what_for}");
    }
    println!("  trimtab test tests");
    println!("  trimtab dev --build . --apply crd.yaml --apply example.yaml");
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let parent = path.parent().context("a file of the project lies in a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn check_name(name: &str, language: Language) -> anyhow::Result<()> {
    Lineage::new(name).map_err(|error| anyhow::anyhow!("{name:?} is no name for a plugin: {}", error.rule))?;
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        bail!("{name:?} is no name for a plugin: its kind must begin with a letter");
    }
    if language == Language::Rust && KEYWORDS.contains(&name) {
        bail!("{name:?} is no name for a plugin in Rust: it is a keyword");
    }
    if language == Language::Rust && TAKEN.contains(&name) {
        bail!("{name:?} is no name for a plugin in Rust: its code uses something of that name");
    }
    let plural = plural::of(&kind(name));
    Lineage::new(&plural)
        .map_err(|error| anyhow::anyhow!("{name:?} is too long: its plural {plural:?} must be {}", error.rule))?;
    Ok(())
}

/// Rust's SDK as a dependency: what is given, or that of the checkout that this is
/// run in or was built in.
fn dependency(given: Option<&str>) -> anyhow::Result<String> {
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

/// What stands for what in a template. Words stand for text with words in it
/// first.
fn words(name: &str, project: &Project, sdk: &str) -> [(&'static str, String); 11] {
    let kind = kind(name);
    let commands = project.commands.iter().map(|(command, what_for)| format!("    {command:COLUMN$}{what_for}"));
    let files = project.about.iter().map(|(file, what)| format!("| `{file}` | {what} |"));
    [
        ("{{commands}}", commands.collect::<Vec<_>>().join("\n")),
        ("{{files}}", files.collect::<Vec<_>>().join("\n")),
        ("{{source}}", project.source.to_owned()),
        ("{{built}}", project.built.to_owned()),
        ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
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
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn no_word_of_a_template_is_left_unfilled() {
        for language in Language::value_variants() {
            let project = language.project();
            let words = words("my-site", project, "version = \"0.1\"");
            for (path, text) in project.files.iter().chain(&SHARED) {
                let (path, text) = (filled(path, &words), filled(text, &words));
                // Go's own braces are no words.
                let unfilled = [&path, &text]
                    .map(|text| text.split("{{").skip(1).any(|rest| rest.starts_with(char::is_alphabetic)));
                assert_eq!(unfilled, [false; 2], "{path}");
            }
        }
    }

    #[test]
    fn a_name_that_is_no_dns_label_or_no_crate_is_refused() {
        let check = |name: &str| check_name(name, Language::Rust);
        assert!(check("my-site-2").is_ok());
        assert!(check(&"a".repeat(62)).is_ok());
        // With the s of its plural the last one is one too long.
        for wrong in ["", "My-Site", "a_b", "-a", "9lives", "struct", "true", "yield", "serde", &"a".repeat(63)] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(check_name("struct", Language::Go).is_ok(), "only in Rust is it the name of code");
        assert!(check_name("9lives", Language::Go).is_err());
    }

    #[test]
    fn a_name_becomes_a_kind() {
        assert_eq!(["site", "my-site", "a-2b"].map(kind), ["Site", "MySite", "A2b"]);
    }

    #[test]
    fn the_sdk_is_a_version_or_a_folder_with_a_crate() {
        assert_eq!(dependency(Some("0.1")).unwrap(), "version = \"0.1\"");
        let empty = tempfile::tempdir().unwrap();
        assert!(dependency(empty.path().to_str()).unwrap_err().to_string().contains("no Cargo.toml"));
        assert!(dependency(Some("no/such/folder")).is_err());
    }
}
