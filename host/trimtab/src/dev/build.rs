//! `--build DIR`: a save of a plugin's source builds it and puts it into the
//! plugins folder, from where the host swaps it. A build that fails is shown,
//! and what was built last serves on.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::{process::Command, sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use trimtab_core::hash::Hash;

use crate::screen::Screen;

/// How often the source is looked at. A look reads a few names; a person does
/// not notice the wait.
const LOOK: Duration = Duration::from_millis(200);
/// Folders that hold what was made from the source, or by others.
const NOT_SOURCE: [&str; 5] = ["target", "node_modules", "dist", "build", "__pycache__"];
/// Files that a build writes itself.
const WRITTEN: [&str; 2] = ["wasm", "lock"];
/// The most that counts as a plugin's source: more is a mistaken path.
const FILES_MAX: usize = 10_000;
/// Cargo's own name for where it leaves modules.
const TARGET: &str = "wasm32-unknown-unknown";

/// The source of a plugin, and how it is built.
pub struct Source {
    folder: PathBuf,
    command: Build,
}

enum Build {
    /// The alias of a plugin's cargo project, which tells what it made.
    Cargo,
    /// Another command; what it made is found by its ending.
    Shell(String),
}

/// What of the source a build was made from: the contents, so that a build that
/// writes the same again is not followed by another.
type Snapshot = BTreeMap<PathBuf, Hash>;

/// The contents as they were when files had these times and lengths.
type Read = BTreeMap<PathBuf, ((SystemTime, u64), Hash)>;

impl Source {
    /// By the project's own command, or the one that is given.
    pub fn new(folder: &Path, command: Option<String>) -> anyhow::Result<Self> {
        if !folder.is_dir() {
            bail!("--build {}: there is no such folder", folder.display());
        }
        let command = match command {
            Some(command) => Build::Shell(command),
            None if folder.join("Cargo.toml").is_file() => Build::Cargo,
            None if folder.join("package.json").is_file() => Build::Shell("npm run build".into()),
            None => bail!(
                "--build {}: neither Cargo.toml nor package.json tells how it is built; give --build-command",
                folder.display()
            ),
        };
        Ok(Self { folder: folder.to_owned(), command })
    }

    /// Builds now and after each save until `stop`, and says how it goes.
    pub async fn follow(
        self,
        plugins: PathBuf,
        screen: Screen,
        says: watch::Sender<Option<String>>,
        stop: CancellationToken,
    ) {
        let (mut built, mut read) = (None, Read::new());
        while !stop.is_cancelled() {
            match self.snapshot(&mut read) {
                Ok(snapshot) if built.as_ref() != Some(&snapshot) => {
                    says.send_replace(Some("building".into()));
                    let said = self.build(&plugins, &screen, &stop).await;
                    says.send_replace(Some(said));
                    built = Some(snapshot);
                }
                Ok(_) => {}
                Err(error) => _ = says.send_replace(Some(format!("{error:#}"))),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn build(&self, plugins: &Path, screen: &Screen, stop: &CancellationToken) -> String {
        let began = Instant::now();
        let made = match self.made(stop).await {
            Ok(made) => made,
            Err(error) => {
                screen.say(&format!("{error:#}"));
                return "failed; what was built last serves on".into();
            }
        };
        let mut names = Vec::new();
        for file in &made {
            match place(file, plugins) {
                Ok(name) => names.push(name),
                Err(error) => return format!("{error:#}"),
            }
        }
        format!("{} in {:.1} s", names.join(", "), began.elapsed().as_secs_f64())
    }

    /// Runs the command; the modules that it made.
    async fn made(&self, stop: &CancellationToken) -> anyhow::Result<Vec<PathBuf>> {
        let began = SystemTime::now();
        let (shown, mut command) = match &self.command {
            Build::Cargo => {
                let mut command = Command::new("cargo");
                command.args(["plugin", "--message-format=json-render-diagnostics"]);
                ("cargo plugin", command)
            }
            Build::Shell(text) => {
                let mut command = Command::new("sh");
                command.args(["-c", text]);
                (text.as_str(), command)
            }
        };
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that all of it can be ended.
        let child = command.process_group(0).spawn().with_context(|| format!("{shown} does not start"))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let output = tokio::select! {
            output = child.wait_with_output() => output.with_context(|| shown.to_owned())?,
            () = stop.cancelled() => {
                // It may have ended just now.
                let _ = group.map(|group| kill_process_group(group, Signal::KILL));
                return Ok(Vec::new());
            }
        };
        if !output.status.success() {
            let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
            let said = if matches!(self.command, Build::Cargo) { said[1].clone() } else { said.concat() };
            bail!("{}\n{shown}: {}", said.trim_end(), output.status);
        }
        let made = match self.command {
            Build::Cargo => artifacts(&output.stdout),
            Build::Shell(_) => self.newest(began)?,
        };
        if made.is_empty() {
            bail!("{shown} succeeded, but made no .wasm: a plugin is a cdylib built for {TARGET}, or a component");
        }
        Ok(made)
    }

    /// The modules below the folder that are not older than the build, or else
    /// the newest one: a build that finds nothing to do writes nothing.
    fn newest(&self, began: SystemTime) -> anyhow::Result<Vec<PathBuf>> {
        let mut modules = Vec::new();
        walk(&self.folder, &|name| ["node_modules", "deps"].contains(&name), &mut |path, metadata| {
            if path.extension().is_some_and(|ending| ending == "wasm") {
                modules.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), path.to_owned()));
            }
        })?;
        modules.sort();
        let fresh = modules.iter().filter(|(at, _)| *at >= began).map(|(_, path)| path.clone()).collect::<Vec<_>>();
        Ok(if fresh.is_empty() { modules.pop().map(|(_, path)| path).into_iter().collect() } else { fresh })
    }

    /// The source as it is now. What was `read` before and has not been touched
    /// since is not read again.
    fn snapshot(&self, read: &mut Read) -> anyhow::Result<Snapshot> {
        let mut found = Read::new();
        walk(&self.folder, &|name| NOT_SOURCE.contains(&name), &mut |path, metadata| {
            if path.extension().is_some_and(|ending| WRITTEN.iter().any(|written| ending == *written)) {
                return;
            }
            let stamp = (metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len());
            let known = read.get(path).filter(|(before, _)| *before == stamp).map(|(_, hash)| *hash);
            // What vanishes while it is looked at is gone the next time.
            if let Some(hash) = known.or_else(|| Some(Hash::of([&fs::read(path).ok()?[..]]))) {
                found.insert(path.to_owned(), (stamp, hash));
            }
        })?;
        *read = found;
        Ok(read.iter().map(|(path, (_, hash))| (path.clone(), *hash)).collect())
    }
}

/// All files below a folder, but for hidden ones and those of some folders.
fn walk(folder: &Path, skips: &dyn Fn(&str) -> bool, see: &mut dyn FnMut(&Path, &fs::Metadata)) -> anyhow::Result<()> {
    let mut folders = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What vanishes while it is looked at is seen the next time.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() && !skips(&name) && (!name.starts_with('.') || name == ".cargo") {
                folders.push(entry.path());
            } else if metadata.is_file() && !name.starts_with('.') {
                see(&entry.path(), &metadata);
                seen += 1;
            }
            if seen > FILES_MAX {
                bail!("--build: more than {FILES_MAX} files below {}; name the plugin's own folder", folder.display());
            }
        }
    }
    Ok(())
}

/// The modules that cargo says it made.
fn artifacts(messages: &[u8]) -> Vec<PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let files = messages.filter(|message| message["reason"] == "compiler-artifact").flat_map(|mut message| {
        let Value::Array(files) = message["filenames"].take() else { return Vec::new() };
        files.into_iter().filter_map(|file| file.as_str().map(PathBuf::from)).collect()
    });
    files.filter(|file| file.extension().is_some_and(|ending| ending == "wasm")).collect()
}

/// Puts a module into the plugins folder under a plugin's name, renamed into
/// place whole. The name that it has there.
fn place(module: &Path, plugins: &Path) -> anyhow::Result<String> {
    let stem = module.file_stem().context("a module has a name")?.to_string_lossy().replace('_', "-");
    let name = format!("{stem}.wasm");
    let (part, to) = (plugins.join(format!(".{name}.part")), plugins.join(&name));
    fs::copy(module, &part).with_context(|| format!("copying {} to {}", module.display(), part.display()))?;
    fs::rename(&part, &to).with_context(|| format!("renaming {} to {}", part.display(), to.display()))?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(folder: &Path, command: &str) -> Source {
        Source::new(folder, Some(command.to_owned())).unwrap()
    }

    #[test]
    fn what_a_build_writes_itself_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        ["src/lib.rs", "Cargo.toml", ".cargo/config.toml"].into_iter().for_each(write);
        let source = source(folder.path(), "true");
        let mut read = Read::new();
        let before = source.snapshot(&mut read).unwrap();
        assert_eq!(before.len(), 3);
        ["target/a.d", "Cargo.lock", "plugin.wasm", "node_modules/x/y.js"].into_iter().for_each(write);
        assert_eq!(source.snapshot(&mut read).unwrap(), before);
        write("src/more.rs");
        assert_ne!(source.snapshot(&mut read).unwrap(), before);
    }

    #[test]
    fn a_file_that_is_written_anew_with_the_same_content_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut read) = (folder.path().join("generated.ts"), Read::new());
        let write = |text: &str, seconds| {
            fs::write(&path, text).unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::File::options().append(true).open(&path).unwrap().set_modified(at).unwrap();
        };
        let source = source(folder.path(), "true");
        write("one", 1);
        let before = source.snapshot(&mut read).unwrap();
        write("one", 2);
        assert_eq!(source.snapshot(&mut read).unwrap(), before);
        write("two", 3);
        assert_ne!(source.snapshot(&mut read).unwrap(), before);
    }

    #[test]
    fn cargos_messages_name_the_modules() {
        let messages = br#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","filenames":["/t/my_site.wasm"]}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(artifacts(messages), [PathBuf::from("/t/my_site.wasm")]);
    }

    #[tokio::test]
    async fn what_a_command_made_gets_the_name_of_a_plugin_and_its_failure_is_told() {
        let (folder, plugins) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (screen, stop) = (Screen::new(), CancellationToken::new());
        let good = source(folder.path(), "mkdir -p out && echo module > out/my_site.wasm");
        let said = good.build(plugins.path(), &screen, &stop).await;
        assert!(said.starts_with("my-site.wasm in "), "{said}");
        assert_eq!(fs::read_to_string(plugins.path().join("my-site.wasm")).unwrap(), "module\n");

        let bad = source(folder.path(), "echo no such thing >&2; exit 3").made(&stop).await.unwrap_err().to_string();
        assert!(bad.contains("no such thing") && bad.contains("exit status: 3"), "{bad}");
        let none = tempfile::tempdir().unwrap();
        let none = source(none.path(), "true").made(&stop).await.unwrap_err().to_string();
        assert!(none.contains("made no .wasm"), "{none}");
    }
}
