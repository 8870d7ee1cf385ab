//! `docs/kernels.md`: the alternative in use for every hook on each kernel, and what is not seen, from doctor's output.

use std::fmt::Write as _;

use super::answers::{AlternativeState, Answer};

/// Doctor's answer on one kernel of the matrix.
pub struct Column {
    /// The series, and a lockdown mode if the kernel was started with one.
    pub title: String,
    pub release: String,
    pub answer: Answer,
}

const COMMANDS: [(&str, &str); 3] =
    [("mem", "observer mem"), ("disk", "observer disk"), ("net", "observer net")];

/// The whole page.
pub fn page(columns: &[Column]) -> String {
    let mut text = String::from(
        "# Kernels\n\n\
         For each kernel: the alternative in use for every hook, and what is not seen. `cargo xtask vm` generates this page \
         from the output of `observer doctor` on stock distribution kernels; do not edit it. `observer doctor` prints the same \
         for any machine.\n\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "| kernel | release |\n| --- | --- |");
    for column in columns {
        let _ = writeln!(text, "| {} | {} |", column.title, column.release);
    }
    for (domain, command) in COMMANDS {
        let _ = writeln!(text, "\n## `{command}`\n");
        table(&mut text, columns, domain);
        unseen(&mut text, columns, domain);
    }
    text
}

/// Whether two pages cover the same kernel releases.
pub fn same_kernels(one: &str, other: &str) -> bool {
    let kernels = |page: &str| page.split_once("\n## ").map(|(kernels, _)| kernels.to_owned());
    kernels(one) == kernels(other)
}

/// Whether the hooks of two pages are equal, apart from the kernel releases.
pub fn agree(one: &str, other: &str) -> bool {
    let hooks = |page: &str| page.split_once("\n## ").map(|(_, hooks)| hooks.to_owned());
    hooks(one) == hooks(other)
}

fn hooks<'a>(columns: &'a [Column], domain: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for hook in columns.iter().flat_map(|column| &column.answer.hooks) {
        if hook.name.split('.').next() == Some(domain) && !names.contains(&hook.name.as_str()) {
            names.push(&hook.name);
        }
    }
    names
}

fn table(text: &mut String, columns: &[Column], domain: &str) {
    let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
    let _ = writeln!(text, "| hook | {} |", titles.join(" | "));
    let _ = writeln!(text, "| --- |{}", " --- |".repeat(titles.len()));
    for name in hooks(columns, domain) {
        let _ = write!(text, "| {name} |");
        for column in columns {
            let hook = column.answer.hook(name);
            let cell = hook
                .and_then(|hook| hook.in_use())
                .map_or("not seen", |(alternative, _)| alternative.name.as_str());
            let _ = write!(text, " {} |", escaped(cell));
        }
        text.push('\n');
    }
}

fn unseen(text: &mut String, columns: &[Column], domain: &str) {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for column in columns {
        for hook in &column.answer.hooks {
            if hook.name.split('.').next() != Some(domain) {
                continue;
            }
            let line = match hook.in_use() {
                Some((_, "")) => continue,
                Some((alternative, limitation)) => {
                    format!("{} by {}: {limitation}", hook.name, alternative.name)
                }
                None => {
                    let why = hook.alternatives.iter().map(|alternative| match &alternative.state {
                        AlternativeState::Rejected(reason) => {
                            format!("{}: rejected: {reason}", alternative.name)
                        }
                        AlternativeState::Impossible(reason) => format!("{}: {reason}", alternative.name),
                        AlternativeState::InUse(_) | AlternativeState::Spare => alternative.name.clone(),
                    });
                    let why = why.collect::<Vec<_>>().join("; ");
                    let unknown = if hook.unknown.is_empty() { "" } else { "; unknown: " };
                    format!("{} is not seen ({why}){unknown}{}", hook.name, hook.unknown)
                }
            };
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, kernels)) => kernels.push(&column.title),
                None => lines.push((line, vec![&column.title])),
            }
        }
    }
    if lines.is_empty() {
        let _ = writeln!(text, "\nEverything is seen on all kernels.");
        return;
    }
    let _ = writeln!(text, "\nNot seen:\n");
    for (line, kernels) in lines {
        let _ = writeln!(text, "- {}: {}", kernels.join(", "), escaped(&line));
    }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_is_used_and_what_is_not_seen() {
        let column = |title: &str, state: &str| Column {
            title: title.to_owned(),
            release: format!("{title}.1"),
            answer: Answer::read(&format!(
                "  ✓ mem.mappings  maps\n      fexit: {state}\n      tracepoint: in use; aio\n"
            )),
        };
        let page = page(&[column("5.10", "this kernel has no function"), column("6.1", "in use")]);
        assert!(page.contains("| mem.mappings | tracepoint | fexit |"), "{page}");
        assert!(page.contains("- 5.10: mem.mappings by tracepoint: aio\n"), "{page}");
        assert!(agree(&page, &page.replace("5.10.1", "5.10.2")));
        assert!(!agree(&page, &page.replace("aio", "")));
    }
}
