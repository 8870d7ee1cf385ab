//! Rules for a single file: its header, its length, its names.

use std::path::Path;

use syn::{Item, spanned::Spanned};

use super::modules::is_test;

/// A file with more lines of plain code probably has more than one purpose. Tables and tests do not count.
const LONG: usize = 400;

/// Names without a purpose, at the end of a type's name or as a module's name.
const EMPTY_NAMES: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils", "Data"];

/// The errors in a file with this text, and a warning.
///
/// # Errors
/// When the text is not Rust.
pub fn judge(file: &Path, text: &str) -> syn::Result<(Vec<String>, Option<String>)> {
    let items = syn::parse_file(text)?.items;
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push("a module needs a `//!` header with its purpose".to_owned());
    }
    let own = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let empty = names(&items).into_iter().chain(own).filter(|name| {
        EMPTY_NAMES.iter().any(|empty| name.ends_with(empty) || *name == empty.to_lowercase())
    });
    faults.extend(
        empty.map(|name| format!("`{name}` does not name a purpose: avoid Manager, Helper, Util and Data")),
    );
    let lines = if file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs") {
        0
    } else {
        text.lines().count() - exempt(&items)
    };
    Ok((
        faults,
        (lines > LONG).then(|| format!("{lines} lines of plain code: does it have only one purpose?")),
    ))
}

/// The names of types and modules.
fn names(items: &[Item]) -> Vec<String> {
    let name = |item: &Item| match item {
        Item::Struct(item) => vec![item.ident.to_string()],
        Item::Enum(item) => vec![item.ident.to_string()],
        Item::Trait(item) => vec![item.ident.to_string()],
        Item::Type(item) => vec![item.ident.to_string()],
        Item::Mod(item) => {
            let inner = item.content.as_ref().map(|(_, items)| names(items));
            inner.into_iter().flatten().chain([item.ident.to_string()]).collect()
        }
        _ => Vec::new(),
    };
    items.iter().flat_map(name).collect()
}

/// The number of lines in tests and tables (constants).
fn exempt(items: &[Item]) -> usize {
    let lines = |item: &Item| {
        let attributes = match item {
            Item::Const(_) | Item::Static(_) => None,
            Item::Mod(item) => Some(&item.attrs),
            Item::Fn(item) => Some(&item.attrs),
            _ => return 0,
        };
        let is_exempt = attributes.is_none_or(|attributes| attributes.iter().any(is_test));
        if is_exempt { item.span().end().line + 1 - item.span().start().line } else { 0 }
    };
    items.iter().map(lines).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(file: &str, text: &str) -> Vec<String> {
        judge(Path::new(file), text).unwrap().0
    }

    #[test]
    fn a_file_starts_with_a_header() {
        assert_eq!(faults("observer/src/text.rs", "//! x\npub fn f() {}"), [] as [&str; 0]);
        assert!(faults("observer/src/text.rs", "// x\npub fn f() {}")[0].contains("header"));
    }

    #[test]
    fn a_name_without_a_purpose_is_an_error() {
        for code in ["struct SocketManager;", "pub mod utils { }", "mod inner { enum MemData { } }"] {
            assert_eq!(faults("a.rs", &format!("//! x\n{code}")).len(), 1, "{code}");
        }
        assert_eq!(faults("source/helper.rs", "//! x").len(), 1);
        assert_eq!(faults("a.rs", "//! x\nfn data() {}\nstruct Database;"), [] as [&str; 0]);
    }

    #[test]
    fn a_long_file_is_a_warning_and_its_tables_and_tests_do_not_count() {
        let plain = "pub fn f() {}\n".repeat(390);
        let table = format!("const T: &[u8] = &[\n{}];\n", "1,\n".repeat(20));
        let test = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(20));
        let warned = |text: &str| judge(Path::new("observer/src/text.rs"), text).unwrap().1.is_some();
        assert!(!warned(&format!("//! x\n{plain}{table}{test}")));
        assert!(warned(&format!("//! x\n{plain}{}", test.replace("#[cfg(test)]\n", ""))));
    }
}
