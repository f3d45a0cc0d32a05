//! The attributes `composite` and `decorator` and the derive `Resource` of `trimtab-sdk`, where
//! they are documented.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;

mod composite;
mod resource;

use composite::Role;

/// Makes a function the plugin: what it owns and reads is said in the attribute,
/// what it reconciles is the type of its first parameter.
///
/// ```text
/// #[trimtab::composite(
///     children(Deployment = "recreate", ConfigMap), // in-place without a word
///     reads(Secret, ConfigMap = "kube-system"),     // that namespace only
///     selector = "tier=web",                        // other objects are left alone
///     resync = "10m",                               // look at every object this often
///     finalizes,                                    // be asked before an object goes
/// )]
/// fn reconcile(site: Site, cx: &Cx) -> Result<Answer<SiteStatus>>
/// ```
///
/// The function stays as it is, so that a native test calls it. The status must
/// be a type of the same crate: it stands for the plugin where the compiler
/// checks that an answer has no children but the declared ones.
#[proc_macro_attribute]
pub fn composite(options: TokenStream, item: TokenStream) -> TokenStream {
    composite::expand(Role::Composite, options.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a function a plugin that adds to objects which somebody else owns: to
/// those of several kinds, each with a selector by label and one by annotation.
///
/// ```text
/// #[trimtab::decorator(
///     objects(Namespace = "team", Service),  // Services whatever their labels
///     annotated(Service = "example.dev/on"), // and with this annotation
///     children(ConfigMap),                   // and the rest as for `composite`
/// )]
/// fn decorate(object: Object, cx: &Cx) -> Result<Answer<TeamStatus>>
/// ```
///
/// A decorator of one kind may take that type instead of `Object`. One that has no
/// status to write has an empty struct in its place.
#[proc_macro_attribute]
pub fn decorator(options: TokenStream, item: TokenStream) -> TokenStream {
    composite::expand(Role::Decorator, options.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a struct with a field `metadata: Metadata` an object of a kind:
/// `#[resource(api_version = "example.dev/v1", kind = "Site")]`, and
/// `cluster_scoped` where its objects lie in no namespace.
#[proc_macro_derive(Resource, attributes(resource))]
pub fn resource(item: TokenStream) -> TokenStream {
    resource::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
