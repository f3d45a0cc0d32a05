//! Makes a component of what was dropped, or says why it is none. Runs in the
//! child, before anything is compiled.

use std::borrow::Cow;

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// What a plugin has to export.
pub(crate) const CONTROLLER: &str = "trimtab:plugin/controller@0.1.0";
const CONTROLLER_ANY_VERSION: &str = "trimtab:plugin/controller@";
/// Patch releases link both ways.
const CONTROLLER_ANY_PATCH: &str = "trimtab:plugin/controller@0.1.";

/// The custom section in which a core module carries its component's type.
const COMPONENT_TYPE: &str = "component-type";
const PREVIEW_1: &str = "wasi_snapshot_preview1";

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
        "this core module was built for WASI preview 1, which this host does not take yet; expected a component that exports {CONTROLLER}, or a core module built for wasm32-unknown-unknown"
    )]
    Preview1,
    #[error(
        "this core module says nothing of its component: there is no component-type section; expected one written by wit-bindgen for {CONTROLLER}, without which the types of an unreleased contract cannot be checked"
    )]
    NoComponentType,
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
    let mut has_type = false;
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(damaged)? {
            Payload::CustomSection(section) => has_type |= section.name().starts_with(COMPONENT_TYPE),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if import.map_err(damaged)?.module == PREVIEW_1 {
                        return Err(Unusable::Preview1);
                    }
                }
            }
            _ => {}
        }
    }
    if !has_type {
        return Err(Unusable::NoComponentType);
    }
    let encoded = ComponentEncoder::default().validate(true).module(module).and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| Unusable::NoComponent(format!("{error:#}")))
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
