//! Makes a component of what was dropped, or says why it is none. Runs in the
//! child, before anything is compiled.
//!
//! What Rust leaves carries the component's type in a section of its own. Go's
//! linker and plain C write no such section, so what they leave exports the
//! draft of the contract that it was written for, by name: the contract's types
//! can be taken for its own where the two are the same.

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW_1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::draft;

/// What a plugin has to export.
pub(crate) const CONTROLLER: &str = "trimtab:plugin/controller@0.1.0";
const CONTROLLER_ANY_VERSION: &str = "trimtab:plugin/controller@";
/// Patch releases link both ways.
const CONTROLLER_ANY_PATCH: &str = "trimtab:plugin/controller@0.1.";

/// The custom section in which a core module carries its component's type.
const COMPONENT_TYPE: &str = "component-type";

/// Why a file is no plugin. Each text says what was found and what is expected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("this file is empty; expected a component that exports {CONTROLLER}, or the core module of one")]
    Empty,
    #[error(
        "this is not WebAssembly: it begins with {begins:?}; expected a component that exports {CONTROLLER}, or the core module of one"
    )]
    NotWasm { begins: String },
    #[error("this is WebAssembly, but damaged or cut short: {0}")]
    Damaged(String),
    #[error(
        "this core module says nothing of its component: it has neither a component-type section, as wit-bindgen writes it, nor an export {}, as the SDKs for Go and C have it; without either, the types of an unreleased contract cannot be checked",
        draft::export()
    )]
    NoComponentType,
    #[error(
        "this core module was built for another draft of the contract: it exports {found}; expected {}: build it anew with the SDK of this host's release",
        draft::export()
    )]
    OtherDraft { found: String },
    #[error("this core module cannot be made a component that exports {CONTROLLER}: {0}")]
    NoComponent(String),
    #[error("this is a plugin for another version of the contract: it exports {found}; expected {CONTROLLER}")]
    OtherVersion { found: String },
    #[error("this is no plugin: it exports {found}; expected {CONTROLLER}")]
    OtherWorld { found: String },
}

/// The component that `bytes` are or make.
pub(crate) fn componentize(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Unusable> {
    let component = if bytes.is_empty() {
        return Err(Unusable::Empty);
    } else if Parser::is_component(bytes) {
        Cow::Borrowed(bytes)
    } else if Parser::is_core_wasm(bytes) {
        Cow::Owned(encode(bytes)?)
    } else {
        return Err(Unusable::NotWasm { begins: String::from_utf8_lossy(&bytes[..bytes.len().min(16)]).into_owned() });
    };
    check_world(&component)?;
    Ok(component)
}

fn encode(module: &[u8]) -> Result<Vec<u8>, Unusable> {
    let Found { component_type, draft, preview_1 } = look_into(module).map_err(damaged)?;
    let module = match draft {
        _ if component_type => Cow::Borrowed(module),
        Some(found) if found != draft::export() => return Err(Unusable::OtherDraft { found }),
        Some(_) => Cow::Owned(with_contract(module)?),
        None => return Err(Unusable::NoComponentType),
    };
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).map_err(no_component)?;
    if preview_1 {
        encoder = encoder.adapter(PREVIEW_1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER).map_err(no_component)?;
    }
    encoder.encode().map_err(no_component)
}

/// What a core module says of the component that it makes.
#[derive(Default)]
struct Found {
    component_type: bool,
    /// The draft of the contract that it exports.
    draft: Option<String>,
    /// It imports WASI preview 1.
    preview_1: bool,
}

fn look_into(module: &[u8]) -> wasmparser::Result<Found> {
    let mut found = Found::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::CustomSection(section) => found.component_type |= section.name().starts_with(COMPONENT_TYPE),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    found.preview_1 |= import?.module == PREVIEW_1;
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let name = export?.name;
                    if name.starts_with(draft::EXPORT) {
                        found.draft = Some(name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The module with the contract's world as the type of its component.
fn with_contract(module: &[u8]) -> Result<Vec<u8>, Unusable> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", draft::CONTRACT).map_err(no_component)?;
    let world = resolve.select_world(&[package], Some("plugin")).map_err(no_component)?;
    let mut module = module.to_owned();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(no_component)?;
    Ok(module)
}

fn no_component(error: impl std::fmt::Display) -> Unusable {
    Unusable::NoComponent(format!("{error:#}"))
}

/// That the controller is exported, by name. Its types are checked when the
/// compiled code is mapped, against those of the very functions that call it.
fn check_world(component: &[u8]) -> Result<(), Unusable> {
    let exports = exports(component).map_err(damaged)?;
    if exports.iter().any(|name| name.starts_with(CONTROLLER_ANY_PATCH)) {
        return Ok(());
    }
    match exports.iter().find(|name| name.starts_with(CONTROLLER_ANY_VERSION)) {
        Some(found) => Err(Unusable::OtherVersion { found: found.clone() }),
        None if exports.is_empty() => Err(Unusable::OtherWorld { found: "nothing".to_owned() }),
        None => Err(Unusable::OtherWorld { found: exports.join(", ") }),
    }
}

/// The names that the outermost component exports.
fn exports(component: &[u8]) -> wasmparser::Result<Vec<String>> {
    let (mut depth, mut names) = (0_u32, Vec::new());
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

fn damaged(error: wasmparser::BinaryReaderError) -> Unusable {
    Unusable::Damaged(error.to_string())
}
