//! Package sources: the mirrors in this machine's apt sources, also for other suites.
//!
//! Pure: texts in, text out. It contains no mirror; the machine's configuration names one, with its key.

use anyhow::{Context, Result, bail};
use deb822_fast::{Deb822, Paragraph};

/// A package source, from either of apt's formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub uris: Vec<String>,
    pub suites: Vec<String>,
    /// The keyring that must have signed it; `None` for apt's own keyrings.
    pub signed_by: Option<String>,
}

/// Parses the one-line format of `sources.list`, without comments, source packages and disabled lines.
pub fn one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Source> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        signed_by: signed_by.map(str::to_owned),
    })
}

/// Parses the deb822 format of `*.sources`; empty if the text has another format.
pub fn deb822(text: &str) -> Vec<Source> {
    text.parse::<Deb822>().iter().flat_map(Deb822::iter).filter_map(stanza).collect()
}

fn stanza(stanza: &Paragraph) -> Option<Source> {
    let words = |name: &str| -> Vec<String> {
        stanza.get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let disabled = stanza.get("Enabled").is_some_and(|enabled| enabled.eq_ignore_ascii_case("no"));
    if disabled || !words("Types").iter().any(|kind| kind == "deb") {
        return None;
    }
    // A key in the stanza itself has no path; then apt's own keyrings apply.
    let signed_by = words("Signed-By").into_iter().next().filter(|path| path.starts_with('/'));
    Some(Source { uris: words("URIs"), suites: words("Suites"), signed_by })
}

/// A sources list in the one-line format with every suite that has a kernel of the matrix, on the mirrors of the
/// running release `codename`.
///
/// # Errors
/// When the machine's sources name no mirror of the running release.
pub fn with_every_suite(machine: &[Source], codename: &str) -> Result<String> {
    if codename.is_empty() {
        bail!("this system's release has no code name, but the kernels come from Debian's mirrors");
    }
    let find = |suites: &[String]| {
        machine.iter().find(|source| source.suites.iter().any(|suite| suites.contains(suite)))
    };
    let main = find(&[codename.to_owned(), format!("{codename}-updates")])
        .with_context(|| format!("apt's sources on this machine name no mirror that has {codename}"))?;
    let security = find(&[format!("{codename}-security"), format!("{codename}/updates")]);
    // A release keeps its kernel series: bullseye has 5.10, bookworm 6.1, trixie 6.12. Backports have newer series, and
    // sid has the newest.
    let suites =
        [codename, "bookworm", "trixie", &format!("{codename}-backports"), "trixie-backports", "sid"]
            .map(str::to_owned);
    let secured = ["bullseye", "bookworm", "trixie", codename].map(|release| format!("{release}-security"));
    let mut lines = Vec::new();
    for suite in suites {
        lines.extend(entry(main, &suite));
    }
    for suite in secured {
        lines.extend(security.and_then(|security| entry(security, &suite)));
    }
    lines.sort();
    lines.dedup();
    Ok(lines.join("\n") + "\n")
}

fn entry(source: &Source, suite: &str) -> Option<String> {
    let key = source.signed_by.as_ref().map(|path| format!(" signed-by={path}")).unwrap_or_default();
    Some(format!("deb [arch=amd64{key}] {} {suite} main", source.uris.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: &str = "\
Types: deb
# a comment between fields
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb deb-src
URIs: https://mirror.example/security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: https://off.example/
Suites: bookworm
";

    #[test]
    fn both_formats_give_the_same_source() {
        let lines = one_line(
            "# a comment\ndeb [arch=amd64 signed-by=/usr/share/keyrings/archive.gpg] https://mirror.example/debian \
             bookworm main contrib\ndeb-src https://mirror.example/debian bookworm main\n",
        );
        assert_eq!(lines.len(), 1);
        let stanzas = deb822(STANZAS);
        assert_eq!(stanzas.len(), 2, "a disabled stanza is left out: {stanzas:?}");
        assert_eq!(stanzas[0].uris, lines[0].uris);
        assert_eq!(stanzas[0].signed_by, lines[0].signed_by);
        assert_eq!(stanzas[0].suites, ["bookworm", "bookworm-updates"]);
    }

    #[test]
    fn every_suite_comes_from_the_machines_own_mirror() {
        let list = with_every_suite(&deb822(STANZAS), "bookworm").unwrap();
        assert!(list.contains(
            "deb [arch=amd64 signed-by=/usr/share/keyrings/archive.gpg] https://mirror.example/debian sid main\n"
        ));
        assert!(
            list.contains("deb [arch=amd64] https://mirror.example/security bullseye-security main\n"),
            "{list}"
        );
        assert_eq!(list.matches(" bookworm main").count(), 1, "{list}");
    }

    #[test]
    fn a_machine_without_a_mirror_of_its_release_is_an_error() {
        let error = with_every_suite(&deb822(STANZAS), "trixie").unwrap_err();
        assert!(error.to_string().contains("no mirror that has trixie"), "{error}");
    }
}
