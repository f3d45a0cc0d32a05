//! `#[derive(Resource)]`: the constants of the kind, and the object's identity
//! from its field `metadata`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, LitStr, Result};

pub fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = syn::parse2(item)?;
    let Data::Struct(data) = &item.data else {
        return Err(Error::new(item.ident.span(), "an object is a struct"));
    };
    if !data.fields.iter().any(|field| field.ident.as_ref().is_some_and(|name| name == "metadata")) {
        return Err(Error::new(item.ident.span(), "an object has a field `metadata: trimtab::Metadata`"));
    }
    let Options { api_version, kind, namespaced } = Options::of(&item)?;

    let ident = &item.ident;
    let (generics, arguments, bounds) = item.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::trimtab::Resource for #ident #arguments #bounds {
            const API_VERSION: &'static str = #api_version;
            const KIND: &'static str = #kind;
            const NAMESPACED: bool = #namespaced;

            fn name(&self) -> &str {
                &self.metadata.name
            }

            fn namespace(&self) -> ::core::option::Option<&str> {
                self.metadata.namespace.as_deref()
            }
        }
    })
}

struct Options {
    api_version: LitStr,
    kind: LitStr,
    namespaced: bool,
}

impl Options {
    fn of(item: &DeriveInput) -> Result<Self> {
        let (mut api_version, mut kind, mut namespaced) = (None, None, true);
        for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("resource")) {
            attribute.parse_nested_meta(|option| {
                if option.path.is_ident("api_version") {
                    api_version = Some(option.value()?.parse::<LitStr>()?);
                } else if option.path.is_ident("kind") {
                    kind = Some(option.value()?.parse::<LitStr>()?);
                } else if option.path.is_ident("cluster_scoped") {
                    namespaced = false;
                } else {
                    return Err(option.error("expected `api_version`, `kind` or `cluster_scoped`"));
                }
                Ok(())
            })?;
        }
        let missing = |name: &str| {
            let example = r#"#[resource(api_version = "example.dev/v1", kind = "Site")]"#;
            Error::new(item.ident.span(), format!("`{name}` is missing: write {example}"))
        };
        let api_version: LitStr = api_version.ok_or_else(|| missing("api_version"))?;
        let kind: LitStr = kind.ok_or_else(|| missing("kind"))?;
        if api_version.value().split('/').any(str::is_empty) || api_version.value().matches('/').count() > 1 {
            return Err(Error::new(api_version.span(), "expected `group/version`, or `v1` for the core group"));
        }
        if kind.value().is_empty() {
            return Err(Error::new(kind.span(), "the kind is empty"));
        }
        Ok(Self { api_version, kind, namespaced })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        expand(item).map(|_| ()).expect_err("the struct has a fault").to_string()
    }

    #[test]
    fn each_fault_in_an_object_is_named() {
        assert_eq!(
            refusal(quote!(
                enum E {}
            )),
            "an object is a struct"
        );
        assert!(
            refusal(quote!(
                struct S {
                    spec: Spec,
                }
            ))
            .contains("a field `metadata")
        );
        let with = |options: TokenStream| {
            refusal(quote!(
                #[resource(#options)]
                struct S {
                    metadata: Metadata,
                }
            ))
        };
        assert!(with(quote!(kind = "S")).starts_with("`api_version` is missing"));
        assert!(with(quote!(api_version = "v1")).starts_with("`kind` is missing"));
        assert!(with(quote!(api_version = "v1", kind = "")).contains("empty"));
        assert!(with(quote!(api_version = "v1", kind = "S", plural = "ss")).starts_with("expected `api_version`"));
        for api_version in ["", "/v1", "a/", "a/b/c"] {
            let message = with(quote!(api_version = #api_version, kind = "S"));
            assert!(message.starts_with("expected `group/version`"), "{api_version:?}");
        }
    }
}
