//! What a project is made of, by language: files from templates, the SDK, and
//! what is to be known of it.

use clap::ValueEnum;

use super::sdk;

/// A file: its path in the project, and its text.
pub type File = (&'static str, &'static str);

/// The languages that there is an SDK for.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// A cargo project.
    Rust,
    /// An npm package.
    Js,
    /// With a virtual environment of its own.
    Python,
    /// A module.
    Go,
    /// Built by zig.
    C,
}

/// What differs from language to language.
pub struct Project {
    /// Where the function is.
    pub source: &'static str,
    /// Where a build leaves the module.
    pub built: &'static str,
    /// What to type, and what for.
    pub commands: &'static [(&'static str, &'static str)],
    /// The files that are worth a word.
    pub about: &'static [(&'static str, &'static str)],
    /// From its templates.
    pub files: &'static [File],
    /// The SDK's files, below `sdk/`; in Rust it is a dependency.
    pub sdk: &'static [File],
}

/// The file `$template` of a language as `$path`.
macro_rules! files {
    ($language:literal: $($path:literal = $template:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../templates/", $language, "/", $template)))),*]
    };
}

/// What every project has.
pub const SHARED: [File; 4] = [
    ("README.md", include_str!("../../templates/README.md")),
    ("crd.yaml", include_str!("../../templates/crd.yaml")),
    ("example.yaml", include_str!("../../templates/example.yaml")),
    ("tests/{{name}}.yaml", include_str!("../../templates/scenario.yaml")),
];

const NATIVE: &str = "the function, natively";
const BUILT: &str = "the plugin, as a file to drop";
const SDK: (&str, &str) = ("sdk/", "the SDK of trimtab {{version}}; no package of it is published yet");

impl Language {
    /// What its projects are made of.
    pub fn project(self) -> &'static Project {
        match self {
            Self::Rust => &RUST,
            Self::Js => &JS,
            Self::Python => &PYTHON,
            Self::Go => &GO,
            Self::C => &C,
        }
    }
}

static RUST: Project = Project {
    source: "src/lib.rs",
    built: "target/wasm32-unknown-unknown/release/{{module}}.wasm",
    commands: &[("rustup target add wasm32-unknown-unknown", "once"), ("cargo test", NATIVE), ("cargo plugin", BUILT)],
    about: &[("src/lib.rs", "the function and a test of it"), (".cargo/config.toml", "what `cargo plugin` means")],
    files: files!("rust":
        "Cargo.toml" = "Cargo.toml.template",
        ".cargo/config.toml" = "config.toml",
        ".gitignore" = "gitignore",
        "src/lib.rs" = "lib.rs",
    ),
    sdk: &[],
};

static JS: Project = Project {
    source: "plugin.js",
    built: "{{name}}.wasm",
    commands: &[("npm install", "once; Node 20 or newer"), ("npm test", NATIVE), ("npm run build", BUILT)],
    about: &[("plugin.js", "the function; it may as well be a `.ts`"), ("plugin.test.js", "a test of it"), SDK],
    files: files!("js":
        "package.json" = "package.json",
        ".gitignore" = "gitignore",
        "plugin.js" = "plugin.js",
        "plugin.test.js" = "plugin.test.js",
    ),
    sdk: &sdk::JS,
};

static PYTHON: Project = Project {
    source: "plugin.py",
    built: "{{name}}.wasm",
    commands: &[("make test", NATIVE), ("make", BUILT)],
    about: &[("plugin.py", "the function"), ("test_plugin.py", "a test of it"), SDK],
    files: files!("python":
        "Makefile" = "Makefile",
        ".gitignore" = "gitignore",
        "plugin.py" = "plugin.py",
        "test_plugin.py" = "test_plugin.py",
    ),
    sdk: &sdk::PYTHON,
};

static GO: Project = Project {
    source: "main.go",
    built: "{{name}}.wasm",
    commands: &[("make test", "the function, natively; Go 1.24 or newer"), ("make", BUILT)],
    about: &[("main.go", "the function"), ("main_test.go", "a test of it"), SDK],
    files: files!("go":
        "Makefile" = "Makefile",
        ".gitignore" = "gitignore",
        "go.mod" = "go.mod.template",
        "main.go" = "main.go",
        "main_test.go" = "main_test.go",
    ),
    sdk: &sdk::GO,
};

static C: Project = Project {
    source: "plugin.c",
    built: "{{name}}.wasm",
    commands: &[("pip install ziglang", "once, where there is no zig"), ("make test", NATIVE), ("make", BUILT)],
    about: &[("plugin.c", "the function"), ("plugin_test.c", "a test of it"), SDK],
    files: files!("c":
        "Makefile" = "Makefile",
        ".gitignore" = "gitignore",
        "plugin.c" = "plugin.c",
        "plugin_test.c" = "plugin_test.c",
    ),
    sdk: &sdk::C,
};
