//! A private apt with its own sources, lists and archives in one folder. The machine's sources are read, never changed.

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

/// Package lists older than this are fetched again, so that the newest kernel is at most a day old.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// An apt configuration in a folder.
pub struct Apt {
    folder: PathBuf,
}

/// A package as in apt's lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// Names of the packages that it depends on, without alternatives and versions.
    pub depends: Vec<String>,
}

impl Apt {
    /// Prepares `folder`, and fetches lists if there are none or they are old.
    ///
    /// # Errors
    /// When the machine's sources name no mirror, or when lists cannot be fetched and there are no older ones.
    pub fn prepare(folder: &Path) -> Result<Self> {
        let apt = Self { folder: folder.to_owned() };
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(name)).context("creating apt's folders")?;
        }
        let list = sources::with_every_suite(&machine_sources(), &codename())?;
        let path = folder.join("sources.list");
        let fetched = folder.join("fetched");
        let unchanged = fs::read_to_string(&path).is_ok_and(|before| before == list);
        if unchanged && is_fresh(&fetched) {
            return Ok(apt);
        }
        fs::write(&path, list).with_context(|| format!("writing {}", path.display()))?;
        println!("vm: fetching package lists");
        match process::output(apt.command("apt-get").args(["-q", "update"])) {
            Ok(_) => fs::write(&fetched, "").context("recording the time of the package lists")?,
            // The older lists still name kernels, perhaps not the newest.
            Err(error) if fetched.exists() => {
                println!("vm: OLD PACKAGE LISTS, fetching new ones failed: {error:#}")
            }
            Err(error) => {
                return Err(error.context(
                    "no kernels available: the package mirror in this machine's apt configuration does not serve package \
                     lists, and none were fetched before (see /etc/apt)",
                ));
            }
        }
        Ok(apt)
    }

    /// The packages with a name that matches `expression`, each in every known version.
    ///
    /// # Errors
    /// When apt-cache fails.
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
    /// When the mirror does not have it, or no longer.
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
            // A mirror that does not answer is reported soon.
            "Acquire::http::Timeout=30".to_owned(),
            "Acquire::https::Timeout=30".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // The lists of an archived release are not signed again.
            "Acquire::Check-Valid-Until=false".to_owned(),
            // apt's own user may have no access to the folder.
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

/// The sources in the machine's files; unreadable files are ignored.
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

/// Parses the output of `apt-cache show`.
fn packages(text: &str) -> Result<Vec<Package>> {
    let shown: Deb822 = text.parse().context("the output of apt-cache")?;
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
    fn the_output_of_apt_cache_is_read() {
        let shown = "Package: linux-image-7.2\nVersion: 7.2.1-1\nDepends: kmod | x (>= 1), linux-binary-7.2 (= 7.2.1-1)\n\n\
                     Package: other\nVersion: 1\n";
        let packages = packages(shown).unwrap();
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].version, "7.2.1-1");
        assert_eq!(packages[0].depends, ["kmod", "linux-binary-7.2"]);
    }
}
