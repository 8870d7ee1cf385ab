//! The root control group, to which programs for all processes are attached. Only version 2 accepts programs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::privilege::{Capabilities, NET_ADMIN};

/// Why programs cannot be attached to the root control group, in words. As data it is only its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
#[error("{0}")]
pub struct NoControlGroup(pub String);

/// Whether programs can be attached to the root control group.
///
/// # Errors
/// When the capability for that is missing, or version 2 is not mounted.
pub fn accepts_programs(root: &Path, capabilities: Capabilities) -> Result<(), NoControlGroup> {
    if !capabilities.has(&NET_ADMIN) {
        return Err(NoControlGroup(format!("{} is needed to {}", NET_ADMIN.name, NET_ADMIN.purpose)));
    }
    mount(root).map(drop)
}

/// Opens the root control group.
///
/// # Errors
/// When version 2 is not mounted, or may not be opened.
pub fn open() -> Result<File, NoControlGroup> {
    let path = mount(Path::new("/"))?;
    File::open(&path).map_err(|error| NoControlGroup(format!("opening {}: {error}", path.display())))
}

/// Where version 2 is mounted, from its root on.
fn mount(root: &Path) -> Result<PathBuf, NoControlGroup> {
    let table = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let mount = table.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut words = place.split(' ').skip(3);
        let (from, at) = (words.next()?, words.next()?);
        (kind.starts_with("cgroup2 ") && from == "/").then(|| PathBuf::from(at))
    });
    mount.ok_or_else(|| NoControlGroup("control groups of version 2 are not mounted".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_version_2_is_found_beside_version_1() {
        let root = std::env::temp_dir().join(format!("observer-control-group-{}", std::process::id()));
        fs::create_dir_all(root.join("proc/self")).expect("a folder");
        let version_1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                         33 31 0:30 /below /elsewhere rw - cgroup2 cgroup2 rw\n";
        let write = |table: &str| fs::write(root.join("proc/self/mountinfo"), table).expect("a file");
        write(version_1);
        let without = mount(&root);
        write(&format!("{version_1}41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"));
        let with = mount(&root);
        fs::remove_dir_all(&root).expect("the folder");
        assert!(without.is_err());
        assert_eq!(with, Ok(PathBuf::from("/sys/fs/cgroup/unified")));
    }
}
