//! Which paths a file names: in `use`, types, expressions, patterns, attributes, and inside the arguments of macros.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{
    Attribute, ExprMethodCall, ExprUnsafe, File, ImplItemFn, ItemConst, ItemExternCrate, ItemFn,
    ItemForeignMod, ItemImpl, ItemMod, ItemStatic, ItemTrait, ItemUse, Macro, Path, UseTree, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

/// A path as it is written, and where.
#[derive(Clone, Debug)]
pub struct Mention {
    /// The inline modules around it, from the outermost; empty at the file's top level.
    pub inside: Vec<String>,
    pub segments: Vec<String>,
    /// `::std::fs`: begins at a crate's name whatever the module calls its own.
    pub absolute: bool,
    pub line: usize,
    pub kind: Kind,
    /// In code that only tests compile.
    pub test: bool,
}

/// The position that a path stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `use …` (or `extern crate`) that makes the name known in its module.
    Import(String),
    /// `use …::*`
    Glob,
    /// The name of a macro that is called.
    Macro,
    /// The name of a method that is called without arguments.
    Method,
    /// Not a path: a construct that has none, named in `segments` (`unsafe`, `extern`, `#[path]`).
    Construct,
    Other,
}

/// What one file says.
#[derive(Debug, Default)]
pub struct Mentions {
    pub all: Vec<Mention>,
    /// Items by the inline module they are in: (inside, name).
    pub items: Vec<(Vec<String>, String)>,
    /// Inline modules, as full paths below the file's module.
    pub inline: Vec<Vec<String>>,
    /// Modules in other files that only tests compile.
    pub test_modules: Vec<Vec<String>>,
    /// First and last lines of what does not count as plain code: tests, and constants (tables).
    pub exempt: Vec<(usize, usize)>,
}

/// Reads one parsed file.
pub fn read(file: &File) -> Mentions {
    let mut reader = Reader::default();
    reader.visit_file(file);
    reader.found
}

#[derive(Default)]
struct Reader {
    found: Mentions,
    inside: Vec<String>,
    test: usize,
}

impl Reader {
    fn add(&mut self, segments: Vec<String>, absolute: bool, span: Span, kind: Kind) {
        let mention = Mention {
            inside: self.inside.clone(),
            segments,
            absolute,
            line: span.start().line,
            kind,
            test: self.test > 0,
        };
        self.found.all.push(mention);
    }

    fn construct(&mut self, what: &str, span: Span) {
        self.add(vec![what.to_owned()], false, span, Kind::Construct);
    }

    fn item(&mut self, name: &syn::Ident) {
        self.found.items.push((self.inside.clone(), name.to_string()));
    }

    fn tree(&mut self, tree: &UseTree, prefix: &mut Vec<String>, absolute: bool) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.tree(&path.tree, prefix, absolute);
                prefix.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, prefix, absolute)),
            UseTree::Glob(glob) => self.add(prefix.clone(), absolute, glob.span(), Kind::Glob),
            UseTree::Name(leaf) => self.leaf(&leaf.ident, &leaf.ident, prefix, absolute),
            UseTree::Rename(leaf) => self.leaf(&leaf.ident, &leaf.rename, prefix, absolute),
        }
    }

    fn leaf(&mut self, ident: &syn::Ident, name: &syn::Ident, prefix: &[String], absolute: bool) {
        let mut segments = prefix.to_vec();
        let mut name = name.to_string();
        if ident == "self" && !prefix.is_empty() {
            // `use a::b::{self}` makes `b` known.
            if name == "self" {
                name = prefix.last().cloned().unwrap_or_default();
            }
        } else {
            segments.push(ident.to_string());
        }
        self.add(segments, absolute, ident.span(), Kind::Import(name));
    }

    /// Paths in tokens that nobody has parsed: `a::b` wherever it stands. Strings are read as paths only where the
    /// caller says so (`#[serde(with = "…")]`).
    fn tokens(&mut self, tokens: TokenStream, strings: bool) {
        let mut path: Vec<String> = Vec::new();
        let mut span = Span::call_site();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.flush(&mut path, span);
                        span = ident.span();
                    }
                    if ident == "unsafe" {
                        self.construct("unsafe", ident.span());
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Punct(punct) => {
                    if punct.as_char() == '!' && !path.is_empty() {
                        self.add(path.clone(), false, span, Kind::Macro);
                    }
                    self.flush(&mut path, span);
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    // `use a::{b, c}` in a macro: the inner names hang on the outer path.
                    if colons == 2 && !path.is_empty() {
                        for inner in group.stream() {
                            if let TokenTree::Ident(ident) = inner {
                                let mut whole = path.clone();
                                whole.push(ident.to_string());
                                self.add(whole, false, span, Kind::Other);
                            }
                        }
                    }
                    self.flush(&mut path, span);
                    self.tokens(group.stream(), strings);
                    colons = 0;
                }
                TokenTree::Literal(literal) => {
                    self.flush(&mut path, span);
                    colons = 0;
                    let text = literal.to_string();
                    if strings
                        && let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
                        && let Ok(path) = syn::parse_str::<Path>(text)
                    {
                        self.path(&path, literal.span(), Kind::Other);
                    }
                }
            }
        }
        self.flush(&mut path, span);
    }

    fn flush(&mut self, path: &mut Vec<String>, span: Span) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.add(path, false, span, Kind::Other);
        }
    }

    fn path(&mut self, path: &Path, span: Span, kind: Kind) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(segments, path.leading_colon.is_some(), span, kind);
    }

    fn as_test(&mut self, test: bool, span: Span, then: impl FnOnce(&mut Self)) {
        if test {
            self.found.exempt.push((span.start().line, span.end().line));
        }
        self.test += usize::from(test);
        then(self);
        self.test -= usize::from(test);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.as_test(tested(&item.attrs), item.span(), |reader| {
            reader.tree(&item.tree, &mut Vec::new(), item.leading_colon.is_some());
        });
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
        self.add(vec![item.ident.to_string()], true, item.span(), Kind::Import(name.to_string()));
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.item(&item.ident);
        let test = tested(&item.attrs);
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            self.construct("#[path]", item.span());
        }
        self.inside.push(item.ident.to_string());
        if item.content.is_some() {
            self.found.inline.push(self.inside.clone());
        } else if test {
            self.found.test_modules.push(self.inside.clone());
        }
        self.as_test(test, item.span(), |reader| visit::visit_item_mod(reader, item));
        self.inside.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.item(&item.sig.ident);
        if let Some(token) = &item.sig.unsafety {
            self.construct("unsafe", token.span);
        }
        self.as_test(tested(&item.attrs), item.span(), |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if let Some(token) = &item.sig.unsafety {
            self.construct("unsafe", token.span);
        }
        self.as_test(tested(&item.attrs), item.span(), |reader| visit::visit_impl_item_fn(reader, item));
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if let Some(token) = &item.unsafety {
            self.construct("unsafe", token.span);
        }
        self.as_test(tested(&item.attrs), item.span(), |reader| visit::visit_item_impl(reader, item));
    }

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.item(&item.ident);
        self.found.exempt.push((item.span().start().line, item.span().end().line));
        visit::visit_item_const(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        self.item(&item.ident);
        self.found.exempt.push((item.span().start().line, item.span().end().line));
        visit::visit_item_static(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.item(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.item(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.item(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.item(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast ItemForeignMod) {
        self.construct("extern", item.span());
        visit::visit_item_foreign_mod(self, item);
    }

    fn visit_expr_unsafe(&mut self, expr: &'ast ExprUnsafe) {
        self.construct("unsafe", expr.unsafe_token.span);
        visit::visit_expr_unsafe(self, expr);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.args.is_empty() {
            self.add(vec![call.method.to_string()], false, call.method.span(), Kind::Method);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.path(path, path.span(), Kind::Other);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.path(&called.path, called.span(), Kind::Macro);
        self.tokens(called.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            syn::Meta::Path(path) => self.path(path, attribute.span(), Kind::Other),
            syn::Meta::List(list) => {
                self.path(&list.path, attribute.span(), Kind::Other);
                self.tokens(list.tokens.clone(), true);
            }
            // `#[doc = "…"]` and the like: text.
            syn::Meta::NameValue(_) => {}
        }
    }

    // `pub(in crate::…)` says who may look in, not what is known here.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Whether only tests compile what has these attributes.
fn tested(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if attribute.path().is_ident("test") {
            return true;
        }
        let syn::Meta::List(list) = &attribute.meta else { return false };
        if !list.path.is_ident("cfg") {
            return false;
        }
        let mut tokens = list.tokens.clone().into_iter();
        match (tokens.next(), tokens.next()) {
            (Some(TokenTree::Ident(ident)), None) => ident == "test",
            (Some(TokenTree::Ident(ident)), Some(TokenTree::Group(group))) if ident == "all" => group
                .stream()
                .into_iter()
                .any(|token| matches!(token, TokenTree::Ident(ident) if ident == "test")),
            _ => false,
        }
    })
}
