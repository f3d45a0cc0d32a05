//! JSON patches: read, and done.

use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation};
use serde_json::Value;

use crate::document::{self, Document, Format};
use crate::status_error::ApiError;

/// The real server's limit on the operations of one JSON patch.
const OPERATIONS_MAX: usize = 10_000;

pub(crate) fn json_operations(body: &[u8]) -> Result<Vec<PatchOperation>, ApiError> {
    let document = document(body, "[]handlers.jsonPatchOp", Value::is_array)?;
    if document.value.as_array().map_or(0, Vec::len) > OPERATIONS_MAX {
        return Err(ApiError::too_large(OPERATIONS_MAX));
    }
    if document.value.is_null() {
        return Ok(Vec::new());
    }
    let Patch(operations) = serde_json::from_value(document.value).map_err(|_| ApiError::patch_failed())?;
    Ok(operations)
}

/// The body of a patch, which is of one type or `null`.
pub(crate) fn document<'a>(
    body: &'a [u8],
    go_type: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<Document<'a>, ApiError> {
    let refused = |why: &str| ApiError::bad_request(format!("error decoding patch: {why}"));
    let document = Document::read(body, Format::Json).map_err(|why| refused(&why))?;
    if !fits(&document.value) && !document.value.is_null() {
        let found = document::json_type(&document.value);
        return Err(refused(&format!("json: cannot unmarshal {found} into Go value of type {go_type}")));
    }
    Ok(document)
}

/// Does the operations, in order. As in the real server, what is replaced need
/// not be there, if there is a map for it.
pub(crate) fn json(object: &mut Value, operations: &[PatchOperation]) -> Result<(), ApiError> {
    for operation in operations {
        let operation = match operation {
            PatchOperation::Replace(replace) if is_missing_field(object, replace) => {
                PatchOperation::Add(AddOperation { path: replace.path.clone(), value: replace.value.clone() })
            }
            other => other.clone(),
        };
        json_patch::patch(object, &[operation]).map_err(|_| ApiError::patch_failed())?;
    }
    Ok(())
}

fn is_missing_field(object: &Value, replace: &ReplaceOperation) -> bool {
    let parent = replace.path.parent().and_then(|parent| object.pointer(parent.as_str()));
    parent.is_some_and(Value::is_object) && object.pointer(replace.path.as_str()).is_none()
}
