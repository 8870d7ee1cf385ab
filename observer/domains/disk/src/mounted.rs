//! Finds where a filesystem is mounted.

use observer_core::{facts::disk::Mount, text::printable};

/// The mount of `dev` that contains `path`. If there is none: the first that shows the whole filesystem, or any.
pub fn of<'a>(mounts: &'a [Mount], dev: u32, path: Option<&[u8]>) -> Option<&'a Mount> {
    let own = || mounts.iter().filter(|mount| mount.dev == dev);
    let above = own().filter(|mount| path.is_some_and(|path| beneath(path, &mount.point)));
    above
        .max_by_key(|mount| mount.point.len())
        .or_else(|| own().find(|mount| mount.root == b"/"))
        .or_else(|| own().next())
}

/// The local path of `path`, which starts at the root of the filesystem `dev`. Among the mounts that show it, the one
/// that shows most is used.
pub fn below(mounts: &[Mount], dev: u32, path: &[u8]) -> Option<Vec<u8>> {
    let mut shown = mounts.iter().filter(|mount| mount.dev == dev && beneath(path, &mount.root));
    let first = shown.next()?;
    let mount =
        shown.fold(first, |best, mount| if mount.root.len() < best.root.len() { mount } else { best });
    let point = mount.point.strip_suffix(b"/").unwrap_or(&mount.point);
    let rest = if mount.root == b"/" { path } else { path.strip_prefix(mount.root.as_slice())? };
    Some([point, rest].concat())
}

/// The name of a filesystem for readers: its mount point, or its device.
pub fn title(mount: Option<&Mount>, dev: u32) -> String {
    mount.map_or_else(|| format!("device {}", device(dev)), |mount| printable(&mount.point))
}

/// A device as `major:minor`.
pub fn device(dev: u32) -> String {
    format!("{}:{}", dev >> 20, dev & 0x000f_ffff)
}

fn beneath(path: &[u8], point: &[u8]) -> bool {
    point == b"/" || path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(dev: u32, root: &str, point: &str) -> Mount {
        Mount { dev, root: root.into(), point: point.into(), ..Mount::default() }
    }

    #[test]
    fn the_nearest_mount_of_the_same_filesystem_counts() {
        let mounts =
            [mount(1, "/", "/"), mount(2, "/", "/var"), mount(2, "/log", "/var/log"), mount(2, "/", "/mnt")];
        let point =
            |dev, path: &str| of(&mounts, dev, Some(path.as_bytes())).map(|mount| mount.point.clone());
        assert_eq!(point(2, "/var/log/x"), Some(b"/var/log".to_vec()));
        assert_eq!(point(2, "/var/logs/x"), Some(b"/var".to_vec()));
        assert_eq!(point(2, "/elsewhere"), Some(b"/var".to_vec()), "a path of another mount namespace");
        assert_eq!(point(1, "/var/x"), Some(b"/".to_vec()));
        assert_eq!(of(&mounts, 3, None), None);
        let found = |path: &str| below(&mounts, 2, path.as_bytes());
        assert_eq!(found("/log/x"), Some(b"/var/log/x".to_vec()));
        assert_eq!(below(&mounts, 1, b"/x"), Some(b"/x".to_vec()));
        let bound = [mount(3, "/data", "/srv")];
        assert_eq!(below(&bound, 3, b"/data/x"), Some(b"/srv/x".to_vec()));
        assert_eq!(below(&bound, 3, b"/database"), None, "it is not shown anywhere");
        assert_eq!(title(None, 8 << 20 | 1), "device 8:1");
    }
}
