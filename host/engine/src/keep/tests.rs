//! What is kept, on a real file system.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use tempfile::TempDir;
use trimtab_core::id::{InstanceId, Stem};

use super::*;

struct Place {
    dir: TempDir,
    module: PathBuf,
}

impl Place {
    fn new() -> Self {
        let mode = fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(mode).tempdir().unwrap();
        let module = dir.path().join("site.wasm");
        Self { dir, module }
    }

    fn keep(&self, plugins: &str) -> Keep {
        Keep::open(&self.dir.path().join("kept"), Path::new(plugins)).unwrap()
    }

    fn source(&self, bytes: &[u8]) -> Source {
        fs::write(&self.module, bytes).unwrap();
        Source {
            module: self.module.clone(),
            content: Hash::of([bytes]),
            policy: Some("a = 1".into()),
            unreadable: None,
        }
    }
}

fn slot(stem: &str) -> SlotId {
    SlotId { instance: InstanceId::default_instance(), stem: Stem::new(stem).unwrap() }
}

fn generation(of: u8) -> Hash {
    Hash::of([&[of][..]])
}

fn kept(of: u8, source: &Source) -> Kept {
    Kept { generation: Hex(generation(of)), content: Hex(source.content), policy: source.policy.clone() }
}

#[test]
fn what_was_kept_of_a_slot_is_found_by_the_next_process_and_no_other_slot_or_folder() {
    let place = Place::new();
    let keep = place.keep("/a");
    let source = place.source(b"one");
    keep.stage(&source).unwrap();
    let bad = (Hex(generation(9)), "it traps".to_owned());
    let record = Record { good: vec![kept(1, &source)], rejected: vec![bad], ..keep.read(&slot("site")) };
    keep.write(&slot("site"), &record).unwrap();

    place.source(b"two, which takes its place in the plugins folder");
    let next = place.keep("/a");
    assert_eq!(next.read(&slot("site")), record);
    let found = next.source(&record.good[0]).unwrap();
    assert_eq!((&*found.read().unwrap(), found.policy.as_deref()), (&b"one"[..], Some("a = 1")));
    assert!(next.read(&slot("other")).good.is_empty() && place.keep("/b").read(&slot("site")).good.is_empty());
}

#[test]
fn a_module_or_a_record_that_was_changed_on_disk_is_not_there() {
    let place = Place::new();
    let keep = place.keep("/a");
    let source = place.source(b"one");
    keep.stage(&source).unwrap();
    let record = Record { good: vec![kept(1, &source)], ..keep.read(&slot("site")) };
    keep.write(&slot("site"), &record).unwrap();
    for (folder, gone) in [("modules", true), ("slots", false)] {
        for file in fs::read_dir(place.dir.path().join("kept").join(folder)).unwrap() {
            fs::write(file.unwrap().path(), b"another").unwrap();
        }
        assert!(keep.source(&record.good[0]).is_none());
        assert_eq!(keep.read(&slot("site")).good.is_empty(), !gone);
    }
}

#[test]
fn a_file_that_was_away_for_long_is_a_new_one() {
    let record = Record { good: vec![kept(1, &Place::new().source(b"one"))], ..Record::default() };
    let away = |for_s| record.goes(Duration::from_secs(100)).returns(Duration::from_secs(100 + for_s));
    assert_eq!(away(AWAY_MAX.as_secs()), record);
    assert!(away(AWAY_MAX.as_secs() + 1).good.is_empty());
}

#[test]
fn two_good_ones_are_kept_at_most_and_none_that_was_found_bad() {
    let source = Place::new().source(b"one");
    let record = Record { good: vec![kept(1, &source), kept(2, &source)], ..Record::default() };
    let bad = [Rejected { generation: generation(1), why: "told".into() }];
    assert_eq!(record.becomes(None, &bad).good, [kept(2, &source)]);
}

#[test]
fn what_nobody_will_ask_for_goes_and_what_is_named_stays() {
    let place = Place::new();
    let keep = place.keep("/a");
    let (named, unnamed) = (place.source(b"one"), Hash::of([&b"two"[..]]));
    keep.stage(&named).unwrap();
    keep.stage(&place.source(b"two")).unwrap();
    let record = |slot: &SlotId| Record { good: vec![kept(1, &named)], ..keep.read(slot) };
    keep.write(&slot("site"), &record(&slot("site"))).unwrap();
    keep.write(&slot("gone"), &record(&slot("gone")).goes(Duration::ZERO)).unwrap();
    for file in fs::read_dir(place.dir.path().join("kept/modules")).unwrap() {
        fs::File::open(file.unwrap().path()).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let next = place.keep("/a");
    assert_eq!(next.modules.keys().unwrap().into_keys().collect::<Vec<_>>(), [named.content], "not {unnamed}");
    assert_eq!((next.read(&slot("site")).good.len(), next.read(&slot("gone")).good.len()), (1, 0));
}

#[test]
fn what_went_while_no_process_looked_is_gone_from_then_on() {
    let place = Place::new();
    let (keep, source) = (place.keep("/a"), place.source(b"one"));
    for name in ["site", "gone"] {
        let record = Record { good: vec![kept(1, &source)], ..keep.read(&slot(name)) };
        keep.write(&slot(name), &record).unwrap();
    }
    for wall_s in [100, 200] {
        keep.sweep(|slot| slot == "site", Duration::from_secs(wall_s)).unwrap();
        assert_eq!((keep.read(&slot("site")).gone_s, keep.read(&slot("gone")).gone_s), (None, Some(100)));
    }
}
