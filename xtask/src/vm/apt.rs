//! A private apt: its own sources, lists and archives in one folder. The machine's own are read and never changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use deb822_fast::{Deb822, Paragraph};

use super::sources;
use crate::process;

/// Lists older than this are fetched again: "newest" is the newest of today.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// An apt configuration in a folder.
pub struct Apt {
    folder: PathBuf,
}

/// What apt knows about a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// Names of the packages that it depends on, alternatives and versions left out.
    pub depends: Vec<String>,
}

impl Apt {
    /// Prepares `folder`, and fetches lists where there are none or old ones.
    ///
    /// # Errors
    /// Where the machine's sources name no mirror, or lists cannot be fetched and there are no older ones.
    pub fn prepare(folder: &Path) -> Result<Self> {
        let apt = Self { folder: folder.to_owned() };
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(name)).context("making apt's folders")?;
        }
        let list = sources::with_every_suite(&machine_sources(), &codename())?;
        let path = folder.join("sources.list");
        let fetched = folder.join("fetched");
        let unchanged = fs::read_to_string(&path).is_ok_and(|before| before == list);
        if unchanged && is_fresh(&fetched) {
            return Ok(apt);
        }
        fs::write(&path, list).with_context(|| format!("writing {}", path.display()))?;
        println!("vm: fetching the lists of packages");
        match process::output(apt.command("apt-get").args(["-q", "update"])) {
            Ok(_) => fs::write(&fetched, "").context("noting when the lists were fetched")?,
            // What was fetched before still names kernels; that they are not the newest is said.
            Err(error) if fetched.exists() => {
                println!("vm: OLD LISTS, new ones cannot be fetched: {error:#}")
            }
            Err(error) => {
                return Err(error.context(
                    "no kernels can be had: the package mirror that this machine's apt is configured with does not serve \
                     the lists of packages, and none were fetched before (see /etc/apt)",
                ));
            }
        }
        Ok(apt)
    }

    /// The packages whose name matches `expression`, each in every version that is known.
    ///
    /// # Errors
    /// When apt cannot be asked.
    pub fn find(&self, expression: &str) -> Result<Vec<Package>> {
        let found = process::output(self.command("apt-cache").args(["search", "--names-only", expression]))?;
        let names: Vec<&str> = found.lines().filter_map(|line| line.split_whitespace().next()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        packages(&process::output(self.command("apt-cache").arg("show").args(names))?)
    }

    /// Fetches one package into `folder`.
    ///
    /// # Errors
    /// When the mirror does not have it (any more).
    pub fn download(&self, package: &str, version: &str, folder: &Path) -> Result<()> {
        let mut command = self.command("apt-get");
        command.current_dir(folder).args(["-q", "download"]).arg(format!("{package}={version}"));
        process::output(&mut command).map(drop)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let option = |name: &str, value: &str| format!("{name}={}", self.folder.join(value).display());
        for option in [
            option("Dir::Etc::SourceList", "sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            option("Dir::State::Lists", "lists"),
            option("Dir::Cache", "cache"),
            "Acquire::Languages=none".to_owned(),
            // A mirror that does not answer is told of soon.
            "Acquire::http::Timeout=30".to_owned(),
            "Acquire::https::Timeout=30".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // The lists of a release that is no longer changed are no longer signed anew.
            "Acquire::Check-Valid-Until=false".to_owned(),
            // The folder is the caller's, where apt's own user may have no way to.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

fn is_fresh(file: &Path) -> bool {
    let written = fs::metadata(file).and_then(|metadata| metadata.modified());
    let age = written.ok().and_then(|written| SystemTime::now().duration_since(written).ok());
    age.is_some_and(|age| age < STALE)
}

/// What the machine's own files say; one that cannot be read says nothing.
fn machine_sources() -> Vec<sources::Source> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.chain([PathBuf::from("/etc/apt/sources.list")]).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => sources::deb822(&text),
            Some("list") => sources::one_line(&text),
            _ => Vec::new(),
        }
    };
    files.iter().flat_map(read).collect()
}

fn codename() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

/// Reads what `apt-cache show` says.
fn packages(text: &str) -> Result<Vec<Package>> {
    let shown: Deb822 = text.parse().context("what apt-cache shows")?;
    let package = |stanza: &Paragraph| {
        let field = |name: &str| stanza.get(name).unwrap_or_default().to_owned();
        let depends = field("Depends");
        let depends = depends.split(',').filter_map(|one| one.split_whitespace().next()).map(str::to_owned);
        Package { name: field("Package"), version: field("Version"), depends: depends.collect() }
    };
    Ok(shown.iter().map(package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_shows_is_read() {
        let shown = "Package: linux-image-7.2\nVersion: 7.2.1-1\nDepends: kmod | x (>= 1), linux-binary-7.2 (= 7.2.1-1)\n\n\
                     Package: other\nVersion: 1\n";
        let packages = packages(shown).unwrap();
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].version, "7.2.1-1");
        assert_eq!(packages[0].depends, ["kmod", "linux-binary-7.2"]);
    }
}
