//! The module tree of a crate, and where a path leads in it: through imports, aliases, re-exports, globs and `super`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    Sources,
    mentions::{self, Kind, Mention},
};

/// A module's path below the crate's root: `["domains", "mem"]`; empty is the root, `["main"]` the program's own root.
pub type ModulePath = Vec<String>;

/// Imports that lead in a circle are left after so many steps.
const DEEPEST: usize = 24;

/// A crate as it is written.
#[derive(Debug, Default)]
pub struct Tree {
    pub mentions: Vec<Named>,
    modules: BTreeMap<ModulePath, Names>,
}

/// A mention and the module that it is in.
#[derive(Debug)]
pub struct Named {
    pub file: PathBuf,
    pub module: ModulePath,
    pub mention: Mention,
}

/// What a module makes known, for itself and for those that look through it.
#[derive(Debug, Default)]
struct Names {
    children: BTreeSet<String>,
    items: BTreeSet<String>,
    imports: BTreeMap<String, Vec<(Vec<String>, bool)>>,
    globs: Vec<(Vec<String>, bool)>,
}

impl Tree {
    /// Reads the files below `folder` as the modules of one crate.
    ///
    /// # Errors
    /// When a file is not Rust.
    pub fn read(sources: &Sources, folder: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let mut tests = Vec::new();
        for (file, text) in sources.iter().filter(|(file, _)| file.starts_with(folder)) {
            let parsed =
                syn::parse_file(text).with_context(|| format!("{} cannot be parsed", file.display()))?;
            let module = module_of(file.strip_prefix(folder)?);
            tree.declare(&module);
            let found = mentions::read(&parsed);
            for inline in &found.inline {
                tree.declare(&below(&module, inline));
            }
            for (inside, name) in &found.items {
                tree.names(&below(&module, inside)).items.insert(name.clone());
            }
            tests.extend(found.test_modules.iter().map(|inside| below(&module, inside)));
            for mention in found.all {
                let module = below(&module, &mention.inside);
                let target = (mention.segments.clone(), mention.absolute);
                match &mention.kind {
                    Kind::Import(name) => {
                        tree.names(&module).imports.entry(name.clone()).or_default().push(target)
                    }
                    Kind::Glob => tree.names(&module).globs.push(target),
                    _ => {}
                }
                tree.mentions.push(Named { file: file.clone(), module, mention });
            }
        }
        for named in &mut tree.mentions {
            named.mention.test |= tests.iter().any(|test| named.module.starts_with(test));
        }
        Ok(tree)
    }

    /// The crate's outermost modules, the program's own root among them as `main`.
    pub fn top(&self) -> impl Iterator<Item = &String> {
        self.modules.keys().filter(|path| path.len() == 1).map(|path| &path[0])
    }

    /// Where a mention leads: paths that begin with `crate`, or with the name of another crate. More than one where a
    /// name is imported more than once; as written where nothing is known of its first segment.
    pub fn resolve(&self, named: &Named) -> Vec<Vec<String>> {
        self.follow(&named.module, &named.mention.segments, named.mention.absolute, 0)
    }

    fn follow(
        &self,
        module: &[String],
        segments: &[String],
        absolute: bool,
        depth: usize,
    ) -> Vec<Vec<String>> {
        let Some(first) = segments.first() else { return Vec::new() };
        if depth > DEEPEST {
            return Vec::new();
        }
        let rest = &segments[1..];
        match first.as_str() {
            _ if absolute => self.foreign(segments, depth),
            "crate" => self.walk(root_of(module), rest, depth),
            "self" if rest.first().is_some_and(|next| next == "super") => {
                self.follow(module, rest, false, depth)
            }
            "self" => self.walk(module, rest, depth),
            "super" => self.above(module, rest, depth),
            "Self" => Vec::new(),
            _ => {
                let hits = self.look_up(module, first, rest, depth);
                if hits.is_empty() { self.foreign(segments, depth) } else { hits }
            }
        }
    }

    /// A path that begins at a crate's name. The program's root names its own library so.
    fn foreign(&self, segments: &[String], depth: usize) -> Vec<Vec<String>> {
        if segments[0] == "observer" {
            self.walk(&[], &segments[1..], depth + 1)
        } else {
            vec![segments.to_vec()]
        }
    }

    fn above(&self, module: &[String], rest: &[String], depth: usize) -> Vec<Vec<String>> {
        let parent = &module[..module.len().saturating_sub(1)];
        match rest.first() {
            Some(next) if next == "super" => self.above(parent, &rest[1..], depth),
            _ => self.walk(parent, rest, depth),
        }
    }

    /// Goes down from `module` along `rest`, through what each module on the way makes known.
    fn walk(&self, module: &[String], rest: &[String], depth: usize) -> Vec<Vec<String>> {
        let whole = || {
            let mut path = vec!["crate".to_owned()];
            path.extend_from_slice(module);
            path.extend_from_slice(rest);
            vec![path]
        };
        let Some((name, onwards)) = rest.split_first() else { return whole() };
        let hits = self.look_up(module, name, onwards, depth);
        if hits.is_empty() { whole() } else { hits }
    }

    /// What `name` is in `module`, followed along `onwards`; empty where it is nothing that is known here.
    fn look_up(
        &self,
        module: &[String],
        name: &String,
        onwards: &[String],
        depth: usize,
    ) -> Vec<Vec<String>> {
        if depth > DEEPEST {
            return Vec::new();
        }
        let Some(names) = self.modules.get(module) else { return Vec::new() };
        if names.children.contains(name) {
            let mut child = module.to_vec();
            child.push(name.clone());
            return self.walk(&child, onwards, depth + 1);
        }
        if let Some(targets) = names.imports.get(name) {
            return targets
                .iter()
                // `use regex;` or `use x as x` names itself: there is nothing behind it in this module.
                .filter(|(target, _)| !(target.len() == 1 && target[0] == *name))
                .flat_map(|(target, absolute)| {
                    let mut path = target.clone();
                    path.extend_from_slice(onwards);
                    self.follow(module, &path, *absolute, depth + 1)
                })
                .collect();
        }
        if names.items.contains(name) {
            return Vec::new();
        }
        let mut hits = Vec::new();
        for (target, absolute) in &names.globs {
            for found in self.follow(module, target, *absolute, depth + 1) {
                let Some(("crate", inner)) = found.split_first().map(|(first, rest)| (first.as_str(), rest))
                else {
                    continue;
                };
                if inner == module {
                    continue;
                }
                hits.extend(self.look_up(inner, name, onwards, depth + 1));
                if self.modules.get(inner).is_some_and(|names| names.items.contains(name)) {
                    let mut path = found.clone();
                    path.push(name.clone());
                    path.extend_from_slice(onwards);
                    hits.push(path);
                }
            }
        }
        hits
    }

    fn declare(&mut self, module: &[String]) {
        self.names(module);
        if let Some((name, parent)) = module.split_last() {
            self.names(parent).children.insert(name.clone());
        }
    }

    fn names(&mut self, module: &[String]) -> &mut Names {
        self.modules.entry(module.to_vec()).or_default()
    }
}

/// `main.rs` is a crate of its own: its `crate` is itself.
fn root_of(module: &[String]) -> &[String] {
    if module.first().is_some_and(|first| first == "main") { &module[..1] } else { &[] }
}

fn below(module: &[String], inside: &[String]) -> ModulePath {
    let mut path = module.to_vec();
    path.extend_from_slice(inside);
    path
}

/// `domains/mem/mod.rs` → `domains::mem`; `lib.rs` → the root; `main.rs` → `main`.
fn module_of(file: &Path) -> ModulePath {
    let mut path: ModulePath = file
        .with_extension("")
        .components()
        .map(|component| component.as_os_str().to_string_lossy().into_owned())
        .collect();
    if path.last().is_some_and(|last| last == "mod") || path == ["lib"] {
        path.pop();
    }
    path
}
