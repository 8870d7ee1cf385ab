//! The modules of a crate as the compiler reads them, from its root along `mod`, each with the paths in it.
//!
//! Modules and imports for tests are left out, because a test may use what its subject must not. In the arguments of a
//! macro, only expressions are visited.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use syn::{
    Attribute, Expr, Ident, Item, ItemMod, ItemUse, Macro, Meta, Token, UseTree, Visibility,
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{self, Visit},
};

/// The path of a module below the crate's root, which is empty.
type ModulePath = Vec<String>;

/// The modules of one crate.
#[derive(Default)]
pub struct Tree(BTreeMap<ModulePath, Module>);

/// One module.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// The path of the module that is the whole file: this one, or one around it.
    of_file: ModulePath,
    /// Names that `use` introduces here, with their paths.
    names: BTreeMap<String, Vec<String>>,
    /// Paths in this module, with line and kind.
    mentions: Vec<(Vec<String>, usize, Mention)>,
}

/// The kind of a mention of a path.
#[derive(Clone, Copy)]
enum Mention {
    /// In a `use`. A `use` of a module alone is no import; a mention of its items is.
    Used,
    /// In a `pub use`; for an item of a child this is only a declaration.
    Reexported,
    /// In `use …::*`, or outside of `use`.
    Whole,
}

/// A mention of another file's item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: PathBuf,
    pub line: usize,
    pub to: PathBuf,
    pub kin: Kin,
}

/// The relation of the imported module to the importing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kin {
    Ancestor,
    Descendant,
    Other,
}

impl Tree {
    /// Reads the crate with the root file `root`: `lib.rs`, `main.rs`.
    ///
    /// # Errors
    /// When a file is missing or cannot be parsed.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.file(root, root.parent().unwrap_or(root), &[])?;
        Ok(tree)
    }

    /// Every mention of another file's items.
    pub fn imports(&self) -> impl Iterator<Item = Import> {
        self.0.iter().flat_map(move |(own_path, module)| {
            let mentions = module.mentions.iter();
            mentions.filter_map(move |(path, line, mention)| {
                let (target, is_item) = self.resolve(own_path, path, 0)?;
                let target = self.0.get(&target)?;
                let kin = match () {
                    () if module.of_file.starts_with(&target.of_file) => Kin::Ancestor,
                    () if target.of_file.starts_with(&module.of_file) => Kin::Descendant,
                    () => Kin::Other,
                };
                let counts = match mention {
                    Mention::Used => is_item,
                    Mention::Reexported => is_item && kin != Kin::Descendant,
                    Mention::Whole => true,
                };
                let (from, to) = (module.file.clone(), target.file.clone());
                (counts && from != to).then_some(Import { from, line: *line, to, kin })
            })
        })
    }

    /// Resolves a path in the module `own_path` to a module, and whether the path continues to an item there. `None`
    /// for paths of other crates.
    fn resolve(&self, own_path: &[String], path: &[String], depth: usize) -> Option<(ModulePath, bool)> {
        let mut at = own_path.to_vec();
        let mut rest = path;
        while let Some((first, remaining)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => break,
            }
            rest = remaining;
        }
        for (steps, name) in rest.iter().enumerate() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if self.0.contains_key(&child) {
                at = child;
                continue;
            }
            // The limit ends a cycle of names.
            let known = self.0.get(&at)?.names.get(name).filter(|_| depth < 16);
            let remaining = known.map(|known| [&known[..], &rest[steps + 1..]].concat());
            let found = remaining.and_then(|path| self.resolve(&at, &path, depth + 1));
            let is_here = steps > 0 || rest.len() < path.len();
            return found.or_else(|| is_here.then_some((at, true)));
        }
        Some((at, false))
    }

    /// Reads the module `own_path` from `file`; the files of its children are in `folder`.
    fn file(&mut self, file: &Path, folder: &Path, own_path: &[String]) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
        self.items(&parsed.items, (file, own_path), folder, own_path)
    }

    fn items(
        &mut self,
        items: &[Item],
        whole: (&Path, &[String]),
        folder: &Path,
        own_path: &[String],
    ) -> Result<()> {
        let (file, of_file) = (whole.0.to_owned(), whole.1.to_vec());
        let mut module = Module { file: file.clone(), of_file, ..Module::default() };
        let is_module = |item: &&Item| matches!(item, Item::Mod(_));
        items.iter().filter(|item| !is_module(item)).for_each(|item| module.visit_item(item));
        self.0.insert(own_path.to_vec(), module);
        for item in items {
            let Item::Mod(ItemMod { attrs, ident, content, .. }) = item else { continue };
            if attrs.iter().any(is_test) {
                continue;
            }
            let inner = [own_path, &[ident.to_string()]].concat();
            let inner_folder = folder.join(ident.to_string());
            if let Some((_, items)) = content {
                self.items(items, whole, &inner_folder, &inner)?;
            } else {
                let flat = inner_folder.with_extension("rs");
                let file = if flat.exists() { flat } else { inner_folder.join("mod.rs") };
                self.file(&file, &inner_folder, &inner)?;
            }
        }
        Ok(())
    }
}

impl Module {
    fn tree(&mut self, tree: &UseTree, prefix: &[String], mention: Mention) {
        let mut leaf = |ident: &Ident, name: &Ident| {
            let own = (ident != "self").then(|| ident.to_string());
            let path: Vec<String> = prefix.iter().cloned().chain(own).collect();
            // `use a::b::{self}` introduces `b`.
            let name =
                if name == "self" { path.last().cloned().unwrap_or_default() } else { name.to_string() };
            self.names.insert(name, path.clone());
            self.mentions.push((path, ident.span().start().line, mention));
        };
        match tree {
            UseTree::Name(name) => leaf(&name.ident, &name.ident),
            UseTree::Rename(name) => leaf(&name.ident, &name.rename),
            UseTree::Path(path) => {
                self.tree(&path.tree, &[prefix, &[path.ident.to_string()]].concat(), mention)
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, prefix, mention)),
            UseTree::Glob(glob) => {
                self.mentions.push((prefix.to_vec(), glob.span().start().line, Mention::Whole));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !item.attrs.iter().any(is_test) {
            let is_private = matches!(item.vis, Visibility::Inherited);
            self.tree(&item.tree, &[], if is_private { Mention::Used } else { Mention::Reexported });
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.mentions.push((names, path.span().start().line, Mention::Whole));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.visit_path(&called.path);
        let arguments = called.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        // A temporary module, from which the mentions are taken.
        let mut inner = Module::default();
        arguments.iter().flatten().for_each(|argument| inner.visit_expr(argument));
        self.mentions.append(&mut inner.mentions);
    }
}

/// Whether an item with this attribute is compiled only for tests.
pub fn is_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return attribute.path().is_ident("test") };
    let tokens = list.tokens.to_string();
    list.path.is_ident("cfg") && (tokens == "test" || tokens.starts_with("all (test"))
}
