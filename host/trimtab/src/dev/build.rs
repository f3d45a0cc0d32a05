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
use serde_json::Value;
use tokio::{process::Command, sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use trimtab_core::hash::Hash;
use trimtab_guard::Group;

use crate::screen::Screen;

/// How often the source is looked at. A look reads a few names; a person does
/// not notice the wait.
const LOOK: Duration = Duration::from_millis(200);
/// Folders that hold what was made from the source, or by others.
const NOT_SOURCE: [&str; 5] = ["target", "node_modules", "dist", "build", "__pycache__"];
/// Files that a build writes itself.
const WRITTEN: [&str; 2] = ["wasm", "lock"];
/// Builds in a row during which the source changed. A person may well save while
/// a build runs; what changes during each of so many is written by the build.
const RESTLESS_MAX: u32 = 3;
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

/// Tells what a person saved from what builds write themselves.
#[derive(Default)]
struct Saves {
    /// What the last build was made from, and what it is not to be made again for.
    built: Option<Snapshot>,
    /// Builds in a row during which the source changed.
    restless: u32,
}

impl Saves {
    /// Whether a build is due.
    fn are_new(&self, now: &Snapshot) -> bool {
        self.built.as_ref() != Some(now)
    }

    /// A build was made. If each one changes the source, a file that it changed:
    /// then only what comes later is a save.
    fn built(&mut self, before: Snapshot, after: Snapshot) -> Option<PathBuf> {
        let Some(changed) = changed(&before, &after) else {
            *self = Self { built: Some(after), restless: 0 };
            return None;
        };
        self.restless = (self.restless + 1).min(RESTLESS_MAX);
        let is_written = self.restless == RESTLESS_MAX;
        self.built = Some(if is_written { after } else { before });
        is_written.then_some(changed)
    }
}

/// A file that differs between two looks at the source.
fn changed(before: &Snapshot, after: &Snapshot) -> Option<PathBuf> {
    let differs = |path: &&PathBuf| before.get(*path) != after.get(*path);
    before.keys().chain(after.keys()).find(differs).cloned()
}

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
            None if folder.join("Makefile").is_file() => Build::Shell("make".into()),
            None => bail!(
                "--build {}: no Cargo.toml, package.json or Makefile tells how it is built; give --build-command",
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
        let (mut saves, mut read) = (Saves::default(), Read::new());
        while !stop.is_cancelled() {
            match self.snapshot(&mut read) {
                Ok(before) if saves.are_new(&before) => {
                    says.send_replace(Some("building".into()));
                    let mut said = self.build(&plugins, &screen, &stop).await;
                    let after = self.snapshot(&mut read).unwrap_or_else(|_| before.clone());
                    if let Some(written) = saves.built(before, after) {
                        let file = written.strip_prefix(&self.folder).unwrap_or(&written).display();
                        said = format!("{said}; each build changes {file}, so the next one waits for a save");
                    }
                    says.send_replace(Some(said));
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
        // All of it ends with the group: when it is done, is not wanted any more,
        // or when this process ends, in whatever way.
        let group = Group::new()?;
        let child = command.process_group(group.id()).spawn().with_context(|| format!("{shown} does not start"))?;
        let output = tokio::select! {
            output = child.wait_with_output() => output.with_context(|| shown.to_owned())?,
            () = stop.cancelled() => return Ok(Vec::new()),
        };
        drop(group);
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
    fn what_changes_during_each_build_is_no_save() {
        let of = |contents: &[u64]| -> Snapshot {
            let files = contents.iter().enumerate();
            files.map(|(at, content)| (format!("{at}.ts").into(), Hash::of([&content.to_le_bytes()[..]]))).collect()
        };
        let mut saves = Saves::default();
        for round in 1..u64::from(RESTLESS_MAX) {
            assert!(saves.are_new(&of(&[0, round])));
            assert_eq!(saves.built(of(&[0, round]), of(&[0, round + 1])), None, "it may have been a save");
        }
        let (before, after) = (of(&[0, 7]), of(&[0, 8]));
        assert_eq!(saves.built(before, after.clone()), Some("1.ts".into()));
        assert!(!saves.are_new(&after));
        assert!(saves.are_new(&of(&[1, 8])));
        assert_eq!(saves.built(of(&[1, 8]), of(&[1, 9])), Some("1.ts".into()), "one build for a save, not three");
        assert_eq!(saves.built(of(&[2, 9]), of(&[2, 9])), None);
        assert_eq!(saves.built(of(&[3, 9]), of(&[4, 9])), None, "it counts anew");
        assert!(saves.are_new(&of(&[4, 9])), "a save during a build is built");
    }

    #[tokio::test]
    async fn a_build_that_writes_its_source_anew_each_time_rests_until_a_save() {
        let (folder, plugins) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // One letter for each build, in a file that is no source.
        let command = "date +%s%N > generated.ts; touch site.wasm; printf x >> .builds";
        let source = source(folder.path(), command);
        let builds = || fs::read_to_string(folder.path().join(".builds")).unwrap().len();
        let (tell, mut says) = watch::channel(None);
        let stop = CancellationToken::new();
        let follow = tokio::spawn(source.follow(plugins.path().to_owned(), Screen::new(), tell, stop.clone()));
        let mut rests = async || {
            let told = |said: &Option<String>| said.as_ref().is_some_and(|said| said.contains("waits for a save"));
            says.wait_for(told).await.unwrap().clone().unwrap()
        };
        let said = rests().await;
        assert!(said.ends_with("; each build changes generated.ts, so the next one waits for a save"), "{said}");
        assert_eq!(builds(), 3);
        // It has looked many times since, when a save comes.
        tokio::time::sleep(5 * LOOK).await;
        assert_eq!(builds(), 3);
        fs::write(folder.path().join("plugin.ts"), "saved").unwrap();
        while builds() < 4 {
            tokio::time::sleep(LOOK).await;
        }
        rests().await;
        stop.cancel();
        follow.await.unwrap();
        assert_eq!(builds(), 4);
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
