//! Which module of `observer` may know which: dependencies point one way.

use super::{
    Finding,
    mentions::Kind,
    modules::{Named, Tree},
};

/// An outermost module, what it may name beside itself, and whether it belongs to the pure part.
struct Layer {
    name: &'static str,
    knows: &'static [&'static str],
    /// No clock, no file, no kernel: see `purity`.
    pure: bool,
}

/// The house, from the ground up. What a module does not list it must not name, and neither must its tests.
const LAYERS: &[Layer] = &[
    Layer { name: "text", knows: &[], pure: true },
    Layer { name: "units", knows: &[], pure: true },
    Layer { name: "hook", knows: &[], pure: true },
    Layer { name: "observation", knows: &["hook"], pure: true },
    Layer { name: "trend", knows: &["observation", "units"], pure: true },
    Layer { name: "view", knows: &["observation"], pure: true },
    Layer { name: "wants", knows: &["observation"], pure: true },
    Layer { name: "report", knows: &["observation", "text", "units", "view"], pure: true },
    Layer {
        name: "identity",
        knows: &["observation", "report", "trend", "hook", "text", "units", "view", "wants"],
        pure: true,
    },
    Layer {
        name: "domains",
        knows: &["identity", "observation", "report", "trend", "hook", "text", "units", "view", "wants"],
        pure: true,
    },
    Layer {
        name: "engine",
        knows: &[
            "domains",
            "identity",
            "observation",
            "report",
            "trend",
            "hook",
            "text",
            "units",
            "view",
            "wants",
        ],
        pure: true,
    },
    Layer { name: "error", knows: &["text"], pure: false },
    Layer { name: "kernel", knows: &["hook", "domains", "observation", "error"], pure: false },
    Layer {
        name: "source",
        knows: &["kernel", "domains", "hook", "observation", "view", "wants", "error"],
        pure: false,
    },
    Layer { name: "render", knows: &["report", "text", "units", "error"], pure: false },
    Layer { name: "doctor", knows: &["kernel", "domains", "hook", "text", "units", "error"], pure: false },
    Layer { name: "cli", knows: &["hook", "text", "units", "view", "error"], pure: false },
    Layer {
        name: "run",
        knows: &[
            "cli",
            "doctor",
            "domains",
            "engine",
            "error",
            "hook",
            "identity",
            "kernel",
            "observation",
            "render",
            "report",
            "source",
            "text",
            "trend",
            "units",
            "view",
            "wants",
        ],
        pure: false,
    },
    Layer { name: "main", knows: &["cli", "run", "error"], pure: false },
];

/// What a domain keeps and reports is nobody's business below the engine: the kernel layer and the source know its
/// declaration and its decoder only.
const INNER_PARTS: &[&str] = &["state", "report"];
const INNER_NAMES: &[&str] = &["Domain", "Context", "state"];
/// What belongs to no domain in `domains`, and all of them may name.
const SHARED_BY_DOMAINS: &[&str] = &["bytes"];

/// Whether the outermost module `name` is of the part that sees no clock, no file and no kernel.
pub fn is_pure(name: &str) -> bool {
    LAYERS.iter().any(|layer| layer.pure && layer.name == name)
}

/// Every mention that points against the direction.
pub fn judge(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in tree.top().filter(|name| layer(name).is_none()) {
        findings.push(Finding {
            file: format!("observer/src/{name}").into(),
            line: 0,
            text: format!(
                "module `{name}` has no place in the table of layers (xtask/src/check/layering.rs)"
            ),
        });
    }
    for named in &tree.mentions {
        if named.mention.kind == Kind::Construct || named.mention.kind == Kind::Method {
            continue;
        }
        let fault = match named.module.first() {
            None => at_root(named),
            Some(from) => {
                let Some(layer) = layer(from) else { continue };
                tree.resolve(named).into_iter().find_map(|path| against(layer, named, &path))
            }
        };
        if let Some(text) = fault {
            findings.push(Finding { file: named.file.clone(), line: named.mention.line, text });
        }
    }
    findings
}

fn layer(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// The crate's root only lists modules: a name that is known through it would hide where it comes from.
fn at_root(named: &Named) -> Option<String> {
    matches!(named.mention.kind, Kind::Import(_) | Kind::Glob).then(|| {
        format!(
            "the crate's root lists modules and nothing else, but imports {}",
            named.mention.segments.join("::")
        )
    })
}

/// Why `path` must not be named in `layer`; `None` where it may.
fn against(layer: &Layer, named: &Named, path: &[String]) -> Option<String> {
    if path.first()? != "crate" {
        return None;
    }
    let Some(to) = path.get(1) else {
        return (named.mention.kind == Kind::Glob).then(|| {
            format!("`{}` imports everything from the crate's root: name what is needed", layer.name)
        });
    };
    let written = named.mention.segments.join("::");
    let resolved = path.join("::");
    let shown = if written == resolved {
        format!("`{written}`")
    } else {
        format!("`{written}`, that is `{resolved}`")
    };
    if *to == layer.name {
        return between_domains(layer, named, path).map(|other| {
            format!("a domain does not know another, but `{}` names {shown} of `{other}`", named.module[1])
        });
    }
    if !layer.knows.contains(&to.as_str()) {
        return Some(format!("`{}` must not know `{to}`, but names {shown}", layer.name));
    }
    let inner = to == "domains"
        && matches!(layer.name, "kernel" | "source" | "doctor")
        && (path.get(3).is_some_and(|part| INNER_PARTS.contains(&part.as_str()))
            || path.get(2).is_some_and(|name| INNER_NAMES.contains(&name.as_str())));
    inner.then(|| {
        format!(
            "`{}` knows a domain's declaration and decoder, not its state or report, but names {shown}",
            layer.name
        )
    })
}

/// The other domain, where a file of one domain names it. The list of domains itself (`domains/mod.rs`) knows all.
fn between_domains(layer: &Layer, named: &Named, path: &[String]) -> Option<String> {
    if layer.name != "domains" {
        return None;
    }
    let own = named.module.get(1)?;
    let other = path.get(2)?;
    let is_domain = other.chars().all(|c| c.is_ascii_lowercase() || c == '_') && path.len() > 3;
    let shared = SHARED_BY_DOMAINS.contains(&other.as_str());
    (is_domain && !shared && own != other && other != "tests" && own != "tests").then(|| other.clone())
}
