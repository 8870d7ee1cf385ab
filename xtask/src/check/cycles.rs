//! Rule: no two files import each other, directly or through others.
//!
//! A parent declares its children, and children may use what the parent shares: that alone is no cycle. With a third
//! file it is one.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};

use super::modules::{Import, Kin};

/// Every cycle, with the lines that make it. Paths are relative to `root`.
pub fn judge(root: &Path, imports: &BTreeSet<Import>) -> Vec<String> {
    let short = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let fault = |files: BTreeSet<&Path>| {
        let names = files.iter().map(|path| short(path)).collect::<Vec<_>>().join(" ");
        let is_in = |path: &PathBuf| files.contains(path.as_path());
        let inner = imports.iter().filter(|import| is_in(&import.from) && is_in(&import.to));
        let lines = inner.map(|Import { from, line, to, .. }| {
            format!("\n    {}:{line} imports {}", short(from), short(to))
        });
        format!("these files import each other: {names}{}", lines.collect::<String>())
    };
    cycles(imports).into_iter().map(fault).collect()
}

/// The cycles that remain without imports from ancestors, and those that remain without imports from descendants.
fn cycles(imports: &BTreeSet<Import>) -> BTreeSet<BTreeSet<&Path>> {
    let without = |kin: Kin| {
        let imports = imports.iter().filter(move |import| import.kin != kin);
        let edges = imports.map(|import| (import.from.as_path(), import.to.as_path()));
        let parts = tarjan_scc(&DiGraphMap::<&Path, ()>::from_edges(edges));
        parts.into_iter().filter(|files| files.len() > 1).map(BTreeSet::from_iter)
    };
    let mut found: BTreeSet<BTreeSet<&Path>> =
        without(Kin::Ancestor).chain(without(Kin::Descendant)).collect();
    let all = found.clone();
    found.retain(|files| all.iter().all(|other| files == other || !files.is_subset(other)));
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::modules::Tree, *};

    /// The cycles in a crate of these files, as names of files.
    fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
        let own = format!("cycles-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = std::env::temp_dir().join(own);
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let imports = Tree::read(&folder.join("lib.rs")).unwrap().imports().collect();
        fs::remove_dir_all(&folder).unwrap();
        let names = |path: &&Path| path.strip_prefix(&folder).unwrap().display().to_string();
        cycles(&imports).iter().map(|files| files.iter().map(names).collect::<Vec<_>>().join(" ")).collect()
    }

    const LIB: (&str, &str) = ("lib.rs", "mod a; mod b; mod c;");
    const C: (&str, &str) = ("c.rs", "pub use crate::b::B as Other;");

    #[track_caller]
    fn cycle(a: &str, b: &str) {
        assert_eq!(cycles_of(&[LIB, ("a.rs", a), ("b.rs", b), C]), ["a.rs b.rs"], "{a}\n{b}");
    }

    #[track_caller]
    fn none(a: &str, b: &str) {
        assert_eq!(cycles_of(&[LIB, ("a.rs", a), ("b.rs", b), C]), [] as [&str; 0], "{a}\n{b}");
    }

    #[test]
    fn two_files_that_import_each_other_are_a_cycle_in_any_notation() {
        let b = "use crate::a::A; pub struct B; pub fn f() {}";
        for a in [
            "use crate::b::B; pub struct A;",
            "use super::{b::{self as other, f}, c}; pub struct A;",
            "use super::b::*; pub struct A;",
            "pub use crate::b::B as Other; pub struct A;",
            "use super::b; pub struct A(b::B);",
            "pub struct A; fn g() { crate::b::f(); }",
            "pub struct A; fn g() { format!(\"{:?}\", super::b::f()); }",
            "pub struct A; fn g() { use crate::b as k; k::f(); }",
            "pub struct A; mod inner { fn g() { super::super::b::f(); } }",
            "pub struct A; impl crate::b::B {}",
            // Through a reexport of a third module.
            "use crate::c::Other; pub struct A;",
        ] {
            cycle(a, b);
        }
    }

    #[test]
    fn imports_in_one_direction_are_no_cycle() {
        let b = "use crate::a::A; pub struct B; pub fn f() {}";
        for a in [
            "use b::B; pub struct A;",
            "use super::b; pub struct A;",
            "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
        ] {
            none(a, b);
        }
    }

    #[test]
    fn a_parent_and_its_children_are_no_cycle_without_a_third_file() {
        let cycles_of =
            |a, x, b| cycles_of(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", b), ("a/x.rs", x)]);
        let (a, x) = ("mod x; pub struct A; fn f() { x::f(); }", "use super::A; pub struct X; pub fn f() {}");
        let b = "use crate::a::A; pub struct B;";
        let x_of_b = "use crate::b::B; pub struct X; pub fn f() {}";
        assert_eq!(cycles_of(a, x, b), [] as [&str; 0]);
        assert_eq!(cycles_of(a, x_of_b, b), ["a/x.rs a.rs b.rs"]);
        let a_inline = "mod x; pub struct A; mod names { use super::x::*; }";
        assert_eq!(cycles_of(a_inline, x, b), [] as [&str; 0]);
        assert_eq!(cycles_of("mod x; pub use x::X; pub struct A;", x_of_b, b), [] as [&str; 0]);
        let (a_of_b, b_of_x) = ("mod x; use crate::b::B; pub struct A;", "use crate::a::x::X; pub struct B;");
        assert_eq!(cycles_of(a_of_b, x, b_of_x), ["a/x.rs a.rs b.rs"]);
        assert_eq!(cycles_of(a, x_of_b, b_of_x), ["a/x.rs b.rs"]);
    }

    #[test]
    fn a_cycle_is_reported_with_each_line_that_makes_it() {
        let import = |from: &str, to: &str| Import {
            from: PathBuf::from("/w").join(from),
            line: 3,
            to: PathBuf::from("/w").join(to),
            kin: Kin::Other,
        };
        let imports = [import("a.rs", "b.rs"), import("b.rs", "a.rs"), import("b.rs", "c.rs")].into();
        assert_eq!(
            judge(Path::new("/w"), &imports),
            ["these files import each other: a.rs b.rs\n    a.rs:3 imports b.rs\n    b.rs:3 imports a.rs"]
        );
    }
}
