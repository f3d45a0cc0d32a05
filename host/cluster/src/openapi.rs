//! The server's OpenAPI v3 documents, one per group and version.
/// The parsed document of one group and version.
#[derive(Debug)]
pub struct OpenApi {
    /// The hash that the server gives for it.
    pub hash: String,
    /// The document, `components.schemas` in it.
    pub document: serde_json::Value,
}
/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum OpenApiError {
    /// The server has none of that group and version.
    #[error("the server has no OpenAPI document for {0}")]
    Missing(String),
}
