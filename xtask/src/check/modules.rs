//! A crate's modules as the compiler reads them: from its root along `mod`, each with the paths that it names.
//!
//! Modules and imports that only tests compile are left out: a test may know what its subject must not. In the arguments of
//! a macro only expressions are seen.

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

/// A module's place below the crate's root, which is empty.
type Place = Vec<String>;

/// The modules of one crate.
#[derive(Default)]
pub struct Tree(BTreeMap<Place, Module>);

/// One module.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Its own place, or that of the module around it that the whole file is.
    of_file: Place,
    /// What `use` makes known here: each name with the path that it stands for.
    names: BTreeMap<String, Vec<String>>,
    /// Each path that is named here, on which line and how.
    mentions: Vec<(Vec<String>, usize, Mention)>,
}

/// How a path is named.
#[derive(Clone, Copy)]
enum Mention {
    /// In a `use`. That of a module counts for nothing by itself: what is taken from it does.
    Used,
    /// In a `pub use`: what is a child's is only declared by that.
    HandedOn,
    /// By `use …::*`, or outside of `use`.
    Whole,
}

/// One file names an item of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: PathBuf,
    pub line: usize,
    pub to: PathBuf,
    pub kin: Kin,
}

/// What the imported module is to the importing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kin {
    Ancestor,
    Descendant,
    Other,
}

impl Tree {
    /// Reads the crate whose root is the file `root`: `lib.rs`, `main.rs`.
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
        self.0.iter().flat_map(move |(place, module)| {
            let mentions = module.mentions.iter();
            mentions.filter_map(move |(path, line, how)| {
                let (target, is_item) = self.resolve(place, path, 0)?;
                let target = self.0.get(&target)?;
                let kin = match () {
                    () if module.of_file.starts_with(&target.of_file) => Kin::Ancestor,
                    () if target.of_file.starts_with(&module.of_file) => Kin::Descendant,
                    () => Kin::Other,
                };
                let counts = match how {
                    Mention::Used => is_item,
                    Mention::HandedOn => is_item && kin != Kin::Descendant,
                    Mention::Whole => true,
                };
                let (from, to) = (module.file.clone(), target.file.clone());
                (counts && from != to).then_some(Import { from, line: *line, to, kin })
            })
        })
    }

    /// The module where a path leads that is written in `place`, and whether it goes on to an item there. `None` for what
    /// belongs to another crate.
    fn resolve(&self, place: &[String], path: &[String], depth: usize) -> Option<(Place, bool)> {
        let mut at = place.to_vec();
        let mut rest = path;
        while let Some((first, onwards)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => break,
            }
            rest = onwards;
        }
        for (steps, name) in rest.iter().enumerate() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if self.0.contains_key(&child) {
                at = child;
                continue;
            }
            // Names that stand for one another lead nowhere.
            let known = self.0.get(&at)?.names.get(name).filter(|_| depth < 16);
            let onwards = known.map(|known| [&known[..], &rest[steps + 1..]].concat());
            let found = onwards.and_then(|path| self.resolve(&at, &path, depth + 1));
            let is_here = steps > 0 || rest.len() < path.len();
            return found.or_else(|| is_here.then_some((at, true)));
        }
        Some((at, false))
    }

    /// Reads the module `place` in `file`; its children's files are in `folder`.
    fn file(&mut self, file: &Path, folder: &Path, place: &[String]) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
        self.items(&parsed.items, (file, place), folder, place)
    }

    fn items(
        &mut self,
        items: &[Item],
        whole: (&Path, &[String]),
        folder: &Path,
        place: &[String],
    ) -> Result<()> {
        let (file, of_file) = (whole.0.to_owned(), whole.1.to_vec());
        let mut module = Module { file: file.clone(), of_file, ..Module::default() };
        let is_module = |item: &&Item| matches!(item, Item::Mod(_));
        items.iter().filter(|item| !is_module(item)).for_each(|item| module.visit_item(item));
        self.0.insert(place.to_vec(), module);
        for item in items {
            let Item::Mod(ItemMod { attrs, ident, content, .. }) = item else { continue };
            if attrs.iter().any(is_test) {
                continue;
            }
            let inner = [place, &[ident.to_string()]].concat();
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
    fn tree(&mut self, tree: &UseTree, prefix: &[String], how: Mention) {
        let mut leaf = |ident: &Ident, name: &Ident| {
            let own = (ident != "self").then(|| ident.to_string());
            let path: Vec<String> = prefix.iter().cloned().chain(own).collect();
            // `use a::b::{self}` makes `b` known.
            let name =
                if name == "self" { path.last().cloned().unwrap_or_default() } else { name.to_string() };
            self.names.insert(name, path.clone());
            self.mentions.push((path, ident.span().start().line, how));
        };
        match tree {
            UseTree::Name(name) => leaf(&name.ident, &name.ident),
            UseTree::Rename(name) => leaf(&name.ident, &name.rename),
            UseTree::Path(path) => self.tree(&path.tree, &[prefix, &[path.ident.to_string()]].concat(), how),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, prefix, how)),
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
            self.tree(&item.tree, &[], if is_private { Mention::Used } else { Mention::HandedOn });
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
        // Kept nowhere: what the arguments name is copied out of them.
        let mut inner = Module::default();
        arguments.iter().flatten().for_each(|argument| inner.visit_expr(argument));
        self.mentions.append(&mut inner.mentions);
    }
}

/// Whether only tests compile what has this attribute.
pub fn is_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return attribute.path().is_ident("test") };
    let tokens = list.tokens.to_string();
    list.path.is_ident("cfg") && (tokens == "test" || tokens.starts_with("all (test"))
}
