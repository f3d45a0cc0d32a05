//! The folder on a real file system: look by look at times that the tests
//! tell, and the task with the kernel's notifications.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
};

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// A folder under a follower's eyes.
struct Eyes {
    folder: TempDir,
    steady: Steady,
    now: Duration,
    open: BTreeSet<PathBuf>,
    wall: Duration,
    writes: Cell<u64>,
}

impl Eyes {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            steady: Steady::default(),
            now: Duration::ZERO,
            open: BTreeSet::new(),
            wall: Duration::ZERO,
            writes: Cell::new(0),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
        // Looks take no time here, and a file system's clock may not have ticked since the last write.
        self.writes.set(self.writes.get() + 1);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(self.writes.get());
        File::options().append(true).open(self.path(name)).unwrap().set_modified(modified).unwrap();
    }

    /// One look, [`SETTLE`] after the last one.
    fn look(&mut self) -> (Folder, bool) {
        self.now += SETTLE;
        let (root, at) = (self.folder.path(), At { now: self.now, wall: self.wall });
        self.steady.look(root, Listing::read(root).unwrap(), at, &self.open)
    }

    /// Looks until nothing moves any more.
    fn settle(&mut self) -> Folder {
        for _ in 0..9 {
            if let (folder, false) = self.look() {
                return folder;
            }
        }
        panic!("it does not settle");
    }
}

fn slots(folder: &Folder) -> Vec<String> {
    folder.slots.keys().map(SlotId::to_string).collect()
}

fn content(folder: &Folder, slot: &str) -> Option<Hash> {
    folder.slots.iter().find(|(id, _)| id.to_string() == slot).map(|(_, source)| source.content)
}

fn hash(content: impl AsRef<[u8]>) -> Option<Hash> {
    Some(Hash::of([content.as_ref()]))
}

fn source<'a>(folder: &'a Folder, slot: &str) -> &'a Source {
    folder.slots.iter().find(|(id, _)| id.to_string() == slot).map(|(_, source)| source).expect(slot)
}

/// The names of what is ignored, with the reasons.
fn ignored(eyes: &Eyes, folder: &Folder) -> Vec<String> {
    let name = |path: &Path| path.strip_prefix(eyes.folder.path()).unwrap().display().to_string();
    folder.ignored.iter().map(|(path, why)| format!("{}: {why}", name(path))).collect()
}

#[test]
fn files_are_slots_by_their_folder_and_stem() {
    let mut eyes = Eyes::new();
    for name in ["site.wasm", "site@v2.wasm", "canary/site.wasm"] {
        eyes.write(name, name);
    }
    eyes.write("site.toml", "[config]\na = 1\n");
    let folder = eyes.settle();
    assert_eq!(slots(&folder), ["site", "site@v2", "canary/site"]);
    assert_eq!(source(&folder, "site").policy.as_deref(), Some("[config]\na = 1\n"));
    assert_eq!(source(&folder, "canary/site").policy, None);
    assert_eq!(&*source(&folder, "canary/site").read().unwrap(), b"canary/site.wasm");
    assert!(folder.ignored.is_empty() && folder.read);
}

#[test]
fn a_file_that_grows_is_not_taken_before_it_holds_still() {
    let mut eyes = Eyes::new();
    let mut file = File::create(eyes.path("site.wasm")).unwrap();
    for chunk in 0..5 {
        file.write_all(&[chunk; 1000]).unwrap();
        let (folder, moving) = eyes.look();
        assert_eq!((slots(&folder).len(), moving), (0, true), "after chunk {chunk}");
    }
    let whole = fs::read(eyes.path("site.wasm")).unwrap();
    assert_eq!(content(&eyes.settle(), "site"), hash(whole));
}

#[test]
fn a_file_that_is_being_overwritten_stays_what_it_was() {
    let mut eyes = Eyes::new();
    eyes.write("site.wasm", "old");
    assert_eq!(content(&eyes.settle(), "site"), hash("old"));
    for half in ["n", "ne"] {
        eyes.write("site.wasm", half);
        let (folder, moving) = eyes.look();
        assert_eq!((content(&folder, "site"), moving), (hash("old"), true));
    }
    eyes.write("site.wasm", "new");
    assert_eq!(content(&eyes.settle(), "site"), hash("new"));
}

#[test]
fn what_changes_between_two_hashes_is_not_taken() {
    let mut eyes = Eyes::new();
    eyes.write("site.wasm", "one");
    eyes.look(); // seen
    eyes.look(); // hashed
    eyes.write("site.wasm", "two");
    let (folder, _) = eyes.look();
    assert!(folder.slots.is_empty());
    assert_eq!(content(&eyes.settle(), "site"), hash("two"));
}

#[test]
fn a_file_that_somebody_has_open_is_waited_for_although_its_writer_pauses() {
    let mut eyes = Eyes::new();
    eyes.write("site.wasm", "half");
    eyes.open = [eyes.path("site.wasm")].into();
    for _ in 0..20 {
        assert!(eyes.look().0.slots.is_empty());
    }
    eyes.open.clear();
    assert_eq!(content(&eyes.settle(), "site"), hash("half"));
}

#[test]
fn a_file_whose_closing_nobody_told_is_taken_in_the_end() {
    let mut eyes = Eyes::new();
    eyes.write("site.wasm", "whole");
    eyes.open = [eyes.path("site.wasm")].into();
    eyes.look();
    eyes.now += POLL;
    assert_eq!(content(&eyes.settle(), "site"), hash("whole"));
}

#[test]
fn at_the_first_look_old_files_are_taken_at_once_and_fresh_ones_are_not() {
    let mut fresh = Eyes::new();
    fresh.write("site.wasm", "a");
    assert_eq!(slots(&fresh.look().0).len(), 0);
    let mut old = Eyes { wall: Duration::MAX, ..Eyes::new() };
    old.write("site.wasm", "a");
    let (folder, moving) = old.look();
    assert_eq!((slots(&folder), moving), (vec!["site".into()], false));
    old.write("blog.wasm", "b");
    assert_eq!(slots(&old.look().0), ["site"], "later looks trust no clock");
}

#[test]
fn a_file_that_is_removed_to_be_replaced_stays_meanwhile() {
    let mut eyes = Eyes::new();
    eyes.write("site.wasm", "old");
    eyes.settle();
    fs::remove_file(eyes.path("site.wasm")).unwrap();
    assert_eq!(content(&eyes.look().0, "site"), hash("old"));
    eyes.write("site.wasm", "new");
    assert_eq!(content(&eyes.look().0, "site"), hash("old"));
    assert_eq!(content(&eyes.settle(), "site"), hash("new"));
}

#[test]
fn a_removed_file_and_a_vanished_folder_are_served_no_more() {
    let mut eyes = Eyes::new();
    eyes.write("site.wasm", "a");
    eyes.write("canary/site.wasm", "b");
    eyes.settle();
    fs::remove_file(eyes.path("site.wasm")).unwrap();
    assert_eq!(slots(&eyes.settle()), ["canary/site"]);
    fs::remove_dir_all(eyes.folder.path()).unwrap();
    let folder = eyes.settle();
    assert!(folder.slots.is_empty() && folder.read);
    assert_eq!(ignored(&eyes, &folder), [": there is no such folder yet; it is taken up when it appears"]);
}

#[test]
fn a_config_map_is_swapped_whole() {
    let mut eyes = Eyes::new();
    for (version, module) in [("..v1", "old"), ("..v2", "new")] {
        eyes.write(&format!("{version}/site.wasm"), module);
        eyes.write(&format!("{version}/site.toml"), format!("[config]\nmodule = \"{module}\"\n"));
    }
    symlink("..v1", eyes.path("..data")).unwrap();
    for name in ["site.wasm", "site.toml"] {
        symlink(format!("..data/{name}"), eyes.path(name)).unwrap();
    }
    let folder = eyes.settle();
    assert_eq!((slots(&folder), ignored(&eyes, &folder)), (vec!["site".into()], vec![]));
    assert_eq!(content(&folder, "site"), hash("old"));

    symlink("..v2", eyes.path("..data_tmp")).unwrap();
    fs::rename(eyes.path("..data_tmp"), eyes.path("..data")).unwrap();
    let before = folder;
    loop {
        let (folder, moving) = eyes.look();
        if !moving {
            assert_eq!(content(&folder, "site"), hash("new"));
            assert!(source(&folder, "site").policy.as_deref().is_some_and(|text| text.contains("new")));
            break;
        }
        assert_eq!(folder, before, "the new module never meets the old policy");
    }
}

#[test]
fn a_slot_changes_only_when_its_module_and_its_policy_hold_still() {
    let mut eyes = Eyes::new();
    eyes.write("site.wasm", "old");
    eyes.write("site.toml", "# old\n");
    eyes.write("blog.wasm", "blog");
    let before = eyes.settle();
    eyes.write("site.wasm", "new");
    eyes.write("blog.wasm", "new blog");
    for round in 0..5 {
        eyes.write("site.toml", format!("# {round}\n"));
        let (folder, moving) = eyes.look();
        assert_eq!((source(&folder, "site"), moving), (source(&before, "site"), true));
    }
    assert_eq!(content(&eyes.look().0, "blog"), hash("new blog"), "others do not wait");
    let folder = eyes.settle();
    assert_eq!(content(&folder, "site"), hash("new"));
    assert_eq!(source(&folder, "site").policy.as_deref(), Some("# 4\n"));
}

#[test]
fn what_is_neither_module_nor_policy_is_left_alone_with_the_reason() {
    let mut eyes = Eyes::new();
    for name in
        [".hidden.wasm", ".git/x.wasm", "README.md", "Site.wasm", "my plugins/a.wasm", "canary/deep/a.wasm", "a.wasm"]
    {
        eyes.write(name, "x");
    }
    symlink("nowhere", eyes.path("link.wasm")).unwrap();
    let folder = eyes.settle();
    assert_eq!(slots(&folder), ["a"]);
    let lineage = "lower-case letters, digits and inner dashes, at most 63 bytes (a DNS label)";
    let instance = "letters, digits and inner '-', '_', '.', at most 63 bytes (a label value)";
    assert_eq!(
        ignored(&eyes, &folder),
        [
            ".git: its name begins with a dot",
            ".hidden.wasm: its name begins with a dot",
            "README.md: neither a module (.wasm) nor a policy (.toml)",
            &format!("Site.wasm: lineage \"Site\" is not usable: {lineage}"),
            "canary/deep: a folder in an instance's folder",
            "link.wasm: a link to nothing",
            &format!("my plugins: instance-id \"my plugins\" is not usable: {instance}"),
        ]
    );
}

#[test]
fn a_module_named_by_a_policy_is_no_slot_of_its_own() {
    let mut eyes = Eyes::new();
    eyes.write("shared.wasm", "shared");
    eyes.write("one.toml", "module = \"shared.wasm\"\n");
    eyes.write("two.toml", "module = \"shared.wasm\"\n[config]\na = 1\n");
    eyes.write("canary/shared.wasm", "not the same folder");
    let folder = eyes.settle();
    assert_eq!(slots(&folder), ["one", "two", "canary/shared"]);
    assert_eq!(content(&folder, "two"), hash("shared"));
    eyes.write("shared.toml", "");
    let folder = eyes.settle();
    assert_eq!(slots(&folder), ["one", "two", "canary/shared"]);
    assert_eq!(ignored(&eyes, &folder), ["shared.toml: its module shared.wasm is the one of two.toml"]);
}

#[test]
fn a_module_that_a_policy_may_name_is_not_taken_for_a_slot_while_that_policy_moves() {
    let mut eyes = Eyes::new();
    eyes.write("impl.wasm", "x");
    eyes.look();
    eyes.look();
    eyes.write("site.toml", "module = \"impl.wasm\"\n");
    let mut seen = BTreeSet::new();
    for _ in 0..6 {
        seen.extend(slots(&eyes.look().0));
    }
    assert_eq!(seen, ["site".to_owned()].into());
}

#[test]
fn a_policy_without_a_module_is_left_alone_with_the_reason() {
    let mut eyes = Eyes::new();
    eyes.write("a.toml", "");
    eyes.write("b.toml", "module = \"gone.wasm\"\n");
    eyes.write("c.toml", "= no toml");
    let folder = eyes.settle();
    assert!(folder.slots.is_empty());
    let reasons = ignored(&eyes, &folder);
    assert_eq!(reasons[0], "a.toml: there is no a.wasm beside it, and it names no other module");
    assert_eq!(reasons[1], "b.toml: it names gone.wasm as its module, which is not there");
    assert!(
        reasons[2].starts_with("c.toml: there is no c.wasm beside it, and if it names another is not known: line 1: ")
    );
}

#[test]
fn a_broken_policy_keeps_the_slot_and_its_module_so_that_it_can_be_refused() {
    let mut eyes = Eyes::new();
    eyes.write("impl.wasm", "x");
    eyes.write("site.toml", "module = \"impl.wasm\"\n");
    eyes.settle();
    eyes.write("site.toml", "module = \"impl.wasm\n");
    let folder = eyes.settle();
    assert_eq!(slots(&folder), ["site"]);
    assert_eq!(source(&folder, "site").policy.as_deref(), Some("module = \"impl.wasm\n"));
    assert_eq!(content(&folder, "site"), hash("x"));
}

#[test]
fn what_cannot_be_used_stays_a_slot_and_says_why() {
    let mut eyes = Eyes::new();
    File::create(eyes.path("huge.wasm")).unwrap().set_len(MODULE_BYTES_MAX + 1).unwrap();
    eyes.write("long.wasm", "x");
    File::create(eyes.path("long.toml")).unwrap().set_len(POLICY_BYTES_MAX + 1).unwrap();
    eyes.write("odd.wasm", "x");
    eyes.write("odd.toml", b"\xff");
    let folder = eyes.settle();
    let why = |slot| source(&folder, slot).read().unwrap_err().to_string();
    assert_eq!(why("huge"), "it is 134217729 bytes large, at most 134217728 are read");
    assert_eq!(why("long"), "long.toml: it is 1048577 bytes large, at most 1048576 are read");
    assert!(why("odd").starts_with("odd.toml: it is not UTF-8: "), "{}", why("odd"));
}

#[test]
fn a_module_that_changed_since_the_look_is_not_read() {
    let mut eyes = Eyes::new();
    eyes.write("site.wasm", "old");
    let folder = eyes.settle();
    eyes.write("site.wasm", "new");
    assert!(matches!(source(&folder, "site").read(), Err(ReadError::Changed)));
    fs::remove_file(eyes.path("site.wasm")).unwrap();
    assert!(matches!(source(&folder, "site").read(), Err(ReadError::Io(_))));
}

#[test]
fn more_files_than_the_limit_are_left_alone() {
    let eyes = Eyes::new();
    for at in 0..=listing::FILES_MAX {
        eyes.write(&format!("p{at:04}.wasm"), "");
    }
    let listing = Listing::read(eyes.folder.path()).unwrap();
    assert_eq!((listing.files.len(), listing.ignored.len()), (listing::FILES_MAX, 1));
    assert!(listing.ignored.contains_key(&eyes.path("p1000.wasm")));
}

/// The first message that `wanted` accepts. The time-out only ends a failed test.
async fn wait_for(receiver: &mut watch::Receiver<Arc<Folder>>, wanted: impl Fn(&Folder) -> bool) -> Arc<Folder> {
    let wait = receiver.wait_for(|folder| wanted(folder));
    timeout(Duration::from_secs(30), wait).await.expect("it comes").expect("the follower lives").clone()
}

#[tokio::test]
async fn the_kernel_tells_of_a_file_that_is_copied_in() {
    let folder = tempfile::tempdir().unwrap();
    let (mut receiver, follower) = follow(folder.path());
    let follower = Follower { poll: Duration::from_secs(3600), ..follower };
    let stop = CancellationToken::new();
    let task = tokio::spawn(follower.run(stop.clone()));
    assert!(wait_for(&mut receiver, |folder| folder.read).await.slots.is_empty());

    fs::write(folder.path().join("site.wasm"), "a").unwrap();
    let told = wait_for(&mut receiver, |folder| !folder.slots.is_empty()).await;
    assert_eq!(content(&told, "site"), hash("a"));
    fs::create_dir(folder.path().join("canary")).unwrap();
    fs::write(folder.path().join("canary/site.wasm"), "b").unwrap();
    wait_for(&mut receiver, |folder| folder.slots.len() == 2).await;

    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_copy_that_pauses_is_not_taken_before_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut receiver, follower) = follow(folder.path());
    let task = tokio::spawn(follower.run(CancellationToken::new()));
    wait_for(&mut receiver, |folder| folder.read).await;

    let mut copy = File::create(folder.path().join("site.wasm")).unwrap();
    copy.write_all(b"half").unwrap();
    // Whatever is taken by the clock alone is so by the time this one is.
    fs::write(folder.path().join("blog.wasm"), "whole").unwrap();
    let told = wait_for(&mut receiver, |folder| !folder.slots.is_empty()).await;
    assert_eq!(slots(&told), ["blog"]);
    copy.write_all(b" and half").unwrap();
    drop(copy);
    let told = wait_for(&mut receiver, |folder| folder.slots.len() == 2).await;
    assert_eq!(content(&told, "site"), hash("half and half"));
    task.abort();
}

#[tokio::test]
async fn the_poll_finds_what_the_kernel_does_not_tell() {
    let parent = tempfile::tempdir().unwrap();
    for (release, module) in [("one", "a"), ("two", "b")] {
        fs::create_dir(parent.path().join(release)).unwrap();
        fs::write(parent.path().join(release).join("site.wasm"), module).unwrap();
    }
    let link = parent.path().join("plugins");
    symlink("one", &link).unwrap();
    let (mut receiver, follower) = follow(&link);
    let follower = Follower { poll: Duration::from_millis(20), ..follower };
    let stop = CancellationToken::new();
    let task = tokio::spawn(follower.run(stop.clone()));
    wait_for(&mut receiver, |folder| content(folder, "site") == hash("a")).await;

    symlink("two", parent.path().join("next")).unwrap();
    fs::rename(parent.path().join("next"), &link).unwrap();
    wait_for(&mut receiver, |folder| content(folder, "site") == hash("b")).await;

    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_folder_that_appears_late_is_taken_up() {
    let parent = tempfile::tempdir().unwrap();
    let plugins = parent.path().join("plugins");
    let (mut receiver, follower) = follow(&plugins);
    let follower = Follower { poll: Duration::from_millis(20), ..follower };
    let task = tokio::spawn(follower.run(CancellationToken::new()));
    assert_eq!(wait_for(&mut receiver, |folder| folder.read).await.ignored.len(), 1);
    fs::create_dir(&plugins).unwrap();
    fs::write(plugins.join("site.wasm"), "a").unwrap();
    let told = wait_for(&mut receiver, |folder| !folder.slots.is_empty()).await;
    assert!(told.ignored.is_empty());
    task.abort();
}
