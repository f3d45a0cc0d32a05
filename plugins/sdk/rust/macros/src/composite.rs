//! `#[composite]` and `#[decorator]`: the description from the attribute, the proof
//! that only declared kinds are children, and the exports of the module.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, FnArg, GenericArgument, Ident, ItemFn, LitStr, PathArguments, Result, ReturnType, Token, Type,
    parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

/// The description's schema allows no more in one list.
const KINDS_MAX: usize = 32;
/// The description's schema allows no longer one: a week.
const RESYNC_SECONDS_MAX: u32 = 604_800;

/// What the plugin is to its objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Composite,
    Decorator,
}

pub fn expand(role: Role, options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(options)?;
    let function: ItemFn = syn::parse2(item)?;
    let object = object_type(&function)?;
    let status = status_type(&function)?;
    let name = &function.sig.ident;
    let objects = objects(role, &options, &function, object)?;
    let (role, decorates) = match role {
        Role::Composite => (quote!(Composite), None),
        Role::Decorator => (quote!(Decorator), Some(quote!(impl ::trimtab::Decorates for #status {}))),
    };

    let children = options.children.iter().map(|Declared { of, value }| {
        let update = value.as_ref().map_or_else(|| quote!(InPlace), |value| value.update.clone());
        quote!(::trimtab::describe::Child {
            of: ::trimtab::describe::KindRef::of::<#of>(),
            update: ::trimtab::describe::Update::#update,
        })
    });
    let reads = options.reads.iter().map(|Declared { of, value }| {
        let namespace = optional(value.as_ref());
        quote!(::trimtab::describe::Read { of: ::trimtab::describe::KindRef::of::<#of>(), namespace: #namespace })
    });
    let resync = optional(options.resync.as_ref());
    let finalizes = options.finalizes;
    let owned = options.children.iter().map(|child| &child.of);

    Ok(quote! {
        #function

        #(impl ::trimtab::Owns<#owned> for #status {})*

        #decorates

        impl ::trimtab::Plugin for #status {
            type Object = #object;
            const DESCRIPTION: ::trimtab::describe::Description = ::trimtab::describe::Description {
                role: ::trimtab::describe::Role::#role,
                objects: &[#(#objects),*],
                children: &[#(#children),*],
                reads: &[#(#reads),*],
                finalizes: #finalizes,
                resync_seconds: #resync,
            };

            fn reconcile(object: #object, cx: &::trimtab::Cx) -> ::trimtab::Result<::trimtab::Answer<Self>> {
                #name(object, cx)
            }
        }

        // Natively only tests call it; that is no reason to call it unused.
        #[cfg(not(target_family = "wasm"))]
        const _: fn(#object, &::trimtab::Cx) -> ::trimtab::Result<::trimtab::Answer<#status>> =
            <#status as ::trimtab::Plugin>::reconcile;

        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = ::trimtab::guest::Exported<#status>;
            ::trimtab::guest::export!(Exported with_types_in ::trimtab::guest::bindings);
        };
    })
}

/// The kinds that it reconciles: that of the function's parameter, or those that
/// the attribute of a decorator lists.
fn objects(role: Role, options: &Options, function: &ItemFn, object: &Type) -> Result<Vec<TokenStream>> {
    let described = |of: &Type, labels: Option<&LitStr>, annotations: Option<&LitStr>| {
        let (labels, annotations) = (optional(labels), optional(annotations));
        quote!(::trimtab::describe::Object {
            of: ::trimtab::describe::KindRef::of::<#of>(),
            label_selector: #labels,
            annotation_selector: #annotations,
        })
    };
    let Options { objects, annotated, selector, .. } = options;
    if role == Role::Composite {
        if let Some(Declared { of, .. }) = objects.iter().chain(annotated).next() {
            return Err(Error::new(of.span(), "a composite reconciles the kind of its function's first parameter"));
        }
        return Ok(vec![described(object, selector.as_ref(), None)]);
    }
    if let Some(selector) = selector {
        return Err(Error::new(selector.span(), "a decorator selects for each kind: `objects(Kind = \"tier=web\")`"));
    }
    if objects.is_empty() {
        return Err(Error::new(function.sig.span(), "a decorator names its kinds: `objects(Kind, …)`"));
    }
    if let Some(stray) =
        annotated.iter().find(|annotated| !objects.iter().any(|object| same(&object.of, &annotated.of)))
    {
        return Err(Error::new(stray.of.span(), "this kind is not among the `objects(…)`"));
    }
    let annotations = |of: &Type| annotated.iter().find(|annotated| same(&annotated.of, of))?.value.as_ref();
    Ok(objects.iter().map(|Declared { of, value }| described(of, value.as_ref(), annotations(of))).collect())
}

/// Whether two types are written alike.
fn same(one: &Type, other: &Type) -> bool {
    quote!(#one).to_string() == quote!(#other).to_string()
}

fn optional(value: Option<&impl quote::ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// The type of the first parameter.
fn object_type(function: &ItemFn) -> Result<&Type> {
    let shape = "a plugin is `fn reconcile(object: Object, cx: &Cx) -> Result<Answer<Status>>`";
    if function.sig.inputs.len() != 2 {
        return Err(Error::new(function.sig.span(), shape));
    }
    match &function.sig.inputs[0] {
        FnArg::Typed(parameter) if !matches!(*parameter.ty, Type::Reference(_)) => Ok(&parameter.ty),
        other => Err(Error::new(other.span(), shape)),
    }
}

/// `Status` of `Result<Answer<Status>>`.
fn status_type(function: &ItemFn) -> Result<&Type> {
    let ReturnType::Type(_, returned) = &function.sig.output else {
        return Err(Error::new(function.sig.span(), "a plugin returns `Result<Answer<Status>>`"));
    };
    argument(returned, "Result")
        .and_then(|answer| argument(answer, "Answer"))
        .ok_or_else(|| Error::new(returned.span(), "a plugin returns `Result<Answer<Status>>`"))
}

/// `T` of `NAME<T>`.
fn argument<'a>(of: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = of else { return None };
    let last = path.path.segments.last().filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(argument) => Some(argument),
        _ => None,
    }
}

/// A kind in a list, and what follows its `=`.
struct Declared<V> {
    of: Type,
    value: Option<V>,
}

impl<V: Parse> Parse for Declared<V> {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let of = input.parse()?;
        let value = input.parse::<Option<Token![=]>>()?.map(|_| input.parse()).transpose()?;
        Ok(Self { of, value })
    }
}

/// How children of a kind are brought up to date, by the name of its variant.
struct Strategy {
    update: TokenStream,
}

impl Parse for Strategy {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name: LitStr = input.parse()?;
        let update = match name.value().as_str() {
            "in-place" => quote!(InPlace),
            "recreate" => quote!(Recreate),
            "on-delete" => quote!(OnDelete),
            "rolling-in-place" => quote!(RollingInPlace),
            "rolling-recreate" => quote!(RollingRecreate),
            _ => {
                let expected =
                    "expected \"in-place\", \"recreate\", \"on-delete\", \"rolling-in-place\" or \"rolling-recreate\"";
                return Err(Error::new(name.span(), expected));
            }
        };
        Ok(Self { update })
    }
}

#[derive(Default)]
struct Options {
    objects: Vec<Declared<LitStr>>,
    annotated: Vec<Declared<LitStr>>,
    children: Vec<Declared<Strategy>>,
    reads: Vec<Declared<LitStr>>,
    selector: Option<LitStr>,
    resync: Option<u32>,
    finalizes: bool,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let option: Ident = input.parse()?;
            match option.to_string().as_str() {
                "objects" => options.objects = list(input)?,
                "annotated" => options.annotated = list(input)?,
                "children" => options.children = list(input)?,
                "reads" => options.reads = list(input)?,
                "selector" => options.selector = Some(assigned(input)?),
                "resync" => options.resync = Some(seconds(&assigned(input)?)?),
                "finalizes" => options.finalizes = true,
                _ => {
                    let expected = "expected `children(…)`, `reads(…)`, `selector = …`, `resync = …` or `finalizes`, \
                                    and for a decorator `objects(…)` or `annotated(…)`";
                    return Err(Error::new(option.span(), expected));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// `(A, B = "value")`
fn list<V: Parse>(input: ParseStream<'_>) -> Result<Vec<Declared<V>>> {
    let content;
    let parentheses = parenthesized!(content in input);
    let kinds = Punctuated::<Declared<V>, Token![,]>::parse_terminated(&content)?;
    if kinds.len() > KINDS_MAX {
        return Err(Error::new(parentheses.span.join(), format!("at most {KINDS_MAX} kinds")));
    }
    Ok(kinds.into_iter().collect())
}

/// `= "value"`
fn assigned(input: ParseStream<'_>) -> Result<LitStr> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `90s`, `10m`, `1h` as seconds.
fn seconds(text: &LitStr) -> Result<u32> {
    let value = text.value();
    let unit = match value.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        _ => 0,
    };
    let number = value.get(..value.len().saturating_sub(1)).and_then(|number| number.parse::<u32>().ok());
    number
        .and_then(|number| number.checked_mul(unit))
        .filter(|seconds| (1..=RESYNC_SECONDS_MAX).contains(seconds))
        .ok_or_else(|| Error::new(text.span(), "expected a time like \"90s\", \"10m\" or \"1h\", at most a week"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the compiler says of an attribute on a sound function.
    fn refusal(options: TokenStream) -> String {
        let function = quote!(
            fn reconcile(site: Site, cx: &Cx) -> Result<Answer<SiteStatus>> {}
        );
        expand(Role::Composite, options, function).map(|_| ()).expect_err("the attribute has a fault").to_string()
    }

    #[test]
    fn a_decorator_names_its_kinds_and_a_composite_none() {
        let decorator = |options: TokenStream| {
            let function = quote!(
                fn decorate(object: Object, cx: &Cx) -> Result<Answer<Nothing>> {}
            );
            expand(Role::Decorator, options, function).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(decorator(quote!(objects(Pod = "a", Service), annotated(Service = "b"))), Ok(()));
        assert!(decorator(quote!(children(A))).unwrap_err().contains("names its kinds"));
        assert!(decorator(quote!(objects(Pod), annotated(Service = "b"))).unwrap_err().contains("not among"));
        assert!(decorator(quote!(objects(Pod), selector = "a")).unwrap_err().contains("for each kind"));
        assert!(refusal(quote!(objects(Pod))).contains("first parameter"));
    }

    #[test]
    fn each_fault_in_the_attribute_is_named() {
        assert!(refusal(quote!(children(A = "sometimes"))).contains("\"recreate\""));
        assert!(refusal(quote!(watches(A))).starts_with("expected `children(…)`"));
        assert!(refusal(quote!(children)).contains("parentheses"));
        assert!(refusal(quote!(finalizes reads(A))).contains("expected `,`"));
        let many = (0..=KINDS_MAX).map(|_| quote!(A));
        assert_eq!(refusal(quote!(reads(#(#many),*))), "at most 32 kinds");
    }

    #[test]
    fn a_resync_is_a_second_to_a_week() {
        for fault in ["", "m", "10", "0s", "-1m", "10d", "169h", "99999999999h", "1é"] {
            assert!(refusal(quote!(resync = #fault)).starts_with("expected a time like"), "{fault:?}");
        }
        for (sound, in_seconds) in [("1s", 1), ("10m", 600), ("168h", RESYNC_SECONDS_MAX)] {
            let text = LitStr::new(sound, proc_macro2::Span::call_site());
            assert_eq!(seconds(&text).ok(), Some(in_seconds), "{sound:?}");
        }
    }

    #[test]
    fn only_a_function_of_the_right_shape_is_a_composite() {
        let shapes = [
            quote!(
                fn f() -> Result<Answer<S>> {}
            ),
            quote!(
                fn f(site: &Site, cx: &Cx) -> Result<Answer<S>> {}
            ),
            quote!(
                fn f(self, cx: &Cx) -> Result<Answer<S>> {}
            ),
            quote!(
                fn f(site: Site, cx: &Cx) {}
            ),
            quote!(
                fn f(site: Site, cx: &Cx) -> Answer<S> {}
            ),
            quote!(
                fn f(site: Site, cx: &Cx) -> Result<Answer> {}
            ),
            quote!(
                struct F;
            ),
        ];
        for shape in shapes {
            assert!(expand(Role::Composite, TokenStream::new(), shape.clone()).is_err(), "{shape}");
        }
        let qualified = quote!(
            fn f(site: a::Site, cx: &Cx) -> trimtab::Result<trimtab::Answer<a::Status>> {}
        );
        assert!(expand(Role::Composite, TokenStream::new(), qualified).is_ok());
    }
}
