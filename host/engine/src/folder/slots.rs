//! From files that hold still to slots: which module belongs to which policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use trimtab_core::{id::SlotId, policy};

use super::{Folder, Source, listing::Role, steady::Held};

/// The files of one folder: the modules and policies of an instance.
#[derive(Default)]
struct Instance<'a> {
    files: BTreeMap<&'a str, (&'a Path, &'a Held)>,
    slots: BTreeSet<&'a SlotId>,
}

/// The slots of these files. A slot changes only when all of its files hold
/// still, so that a module never meets the policy of the one before it; until
/// then it stays as it was in `before`.
pub fn assemble(
    root: &Path,
    files: &BTreeMap<PathBuf, Held>,
    ignored: BTreeMap<PathBuf, String>,
    before: &Folder,
) -> Folder {
    let mut instances = BTreeMap::<&Path, Instance<'_>>::new();
    for (path, held) in files {
        let instance = instances.entry(path.parent().unwrap_or(root)).or_default();
        instance.files.insert(name(path), (path, held));
        instance.slots.insert(&held.file.slot);
    }
    let mut folder = Folder { slots: BTreeMap::new(), ignored, read: true };
    for instance in instances.values() {
        let named = instance.named_modules(before);
        for slot in &instance.slots {
            instance.add(slot, &named, before, &mut folder);
        }
    }
    folder
}

impl Instance<'_> {
    /// The modules that policies name, and the slot that does.
    fn named_modules(&self, before: &Folder) -> BTreeMap<String, &SlotId> {
        let policies = self.files.values().filter(|(_, held)| held.file.role == Role::Policy);
        policies.filter_map(|(_, held)| Some((named_module(held, before).ok()??, &held.file.slot))).collect()
    }

    /// Whether a policy is on its way of which it is not known what it names.
    fn unknown_policy(&self) -> bool {
        let unknown = |held: &Held| held.file.role == Role::Policy && held.steady.is_none();
        self.files.values().any(|(_, held)| unknown(held))
    }

    fn add(&self, slot: &SlotId, named: &BTreeMap<String, &SlotId>, before: &Folder, folder: &mut Folder) {
        let own_module = format!("{}.wasm", slot.stem);
        let policy = self.files.get(format!("{}.toml", slot.stem).as_str());
        if let Some(by) = named.get(&own_module).filter(|by| **by != slot) {
            if let Some((path, _)) = policy {
                let why = format!("its module {own_module} is the one of {}.toml", by.stem);
                folder.ignored.insert(path.to_path_buf(), why);
            }
            return;
        }
        let named_here = policy.map_or(Ok(None), |(_, held)| named_module(held, before));
        let named_name = named_here.as_ref().ok().and_then(Option::as_deref);
        let module = self.files.get(named_name.unwrap_or(&own_module));
        let moving = [policy, module].into_iter().flatten().any(|(_, held)| held.is_moving());
        let earlier = before.slots.get(slot);
        if moving || (earlier.is_none() && self.unknown_policy()) {
            folder.slots.extend(earlier.map(|source| (slot.clone(), source.clone())));
            return;
        }
        match (source(policy, module), policy) {
            (Some(source), _) => _ = folder.slots.insert(slot.clone(), source),
            (None, Some((path, _))) => {
                let why = match named_here {
                    Ok(Some(named)) => format!("it names {named} as its module, which is not there"),
                    Ok(None) => format!("there is no {own_module} beside it, and it names no other module"),
                    Err(why) => {
                        format!("there is no {own_module} beside it, and if it names another is not known: {why}")
                    }
                };
                folder.ignored.insert(path.to_path_buf(), why);
            }
            (None, None) => {}
        }
    }
}

/// The source of a module and its policy; none without a module. Trouble with
/// either is the slot's, which refuses it and goes on with what it has.
fn source(policy: Option<&(&Path, &Held)>, module: Option<&(&Path, &Held)>) -> Option<Source> {
    let (path, held) = module?;
    let content = held.steady.as_ref()?;
    let policy = policy.and_then(|(path, held)| Some((path, held.steady.as_ref()?)));
    let trouble = policy.and_then(|(path, content)| Some(format!("{}: {}", name(path), content.trouble.as_ref()?)));
    Some(Source {
        module: path.to_path_buf(),
        content: content.hash,
        policy: policy.and_then(|(_, content)| content.text.clone()),
        unreadable: trouble.or_else(|| content.trouble.clone()),
    })
}

/// The module that a policy names, if it names one. A policy that cannot be
/// read names the one that it named when it could.
fn named_module(policy: &Held, before: &Folder) -> Result<Option<String>, String> {
    let Some(content) = &policy.steady else { return Ok(None) };
    let trouble = || content.trouble.clone().unwrap_or_default();
    let named = content.text.as_deref().ok_or_else(trouble);
    let named = named.and_then(|text| policy::named_module(text).map_err(|error| error.to_string()));
    let earlier = || before.slots.get(&policy.file.slot).map(|source| name(&source.module).to_owned());
    named.or_else(|why| earlier().map(Some).ok_or(why))
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("only files with UTF-8 names are listed")
}
