//! From a cgroup's path to the systemd unit and the container that it belongs to.
//!
//! Only the path is used: no unit file is read, no container engine is queried. Not visible: a container with a
//! cgroup name that other things may have too (plain `runc` lets its caller choose), and the unit of a process that
//! its service moved into another cgroup. Of nested containers, the innermost is reported, and the unit may belong to
//! the systemd inside it.

/// The unit and the container of a process. Bytes as the kernel gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The innermost systemd unit that is no slice, as `systemctl` names it: a `\x2d` in it is part of the name.
    pub unit: Option<Vec<u8>>,
    /// The innermost container: its full id where the engine gives ids, else its name.
    pub container: Option<Vec<u8>>,
}

/// Kinds of units, other than slices, that have a cgroup with processes in it.
const UNITS: &[&[u8]] = &[b".service", b".scope", b".socket", b".mount", b".swap"];

/// Processes of an engine that only watch a container, in scopes with its id: they are not in it.
const WATCHERS: &[&[u8]] = &[b"crio-conmon-", b"libpod-conmon-"];

/// The unit and the container in the cgroup path `cgroup`. The path may end in ` (deleted)`: the cgroup was removed
/// while one of its processes was still ending.
pub fn membership(cgroup: &[u8]) -> Membership {
    let path = cgroup.strip_suffix(b" (deleted)").unwrap_or(cgroup);
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    Membership {
        unit: parts.iter().rev().find_map(|part| unit(part)).map(<[u8]>::to_vec),
        container: (0..parts.len()).rev().find_map(|depth| container(&parts[..depth], parts[depth])),
    }
}

/// The unit with a cgroup called `part`. systemd adds a `_` before a name that could be mistaken for a file of the
/// kernel.
fn unit(part: &[u8]) -> Option<&[u8]> {
    let name = part.strip_prefix(b"_").unwrap_or(part);
    UNITS.iter().any(|kind| name.len() > kind.len() && name.ends_with(kind)).then_some(name)
}

/// The container with a cgroup called `part`, below `above`.
fn container(above: &[&[u8]], part: &[u8]) -> Option<Vec<u8>> {
    id(part).or_else(|| machine(part)).or_else(|| lxc(above, part)).or_else(|| fargate(above, part))
}

/// An id of 64 hexadecimal digits: alone (`/docker/ID`, `/kubepods/…/ID`), or after the engine's name
/// (`docker-ID.scope`, `cri-containerd-ID.scope`, `libpod-ID`, `…:cri-containerd:ID`). Slices with such an id are
/// podman's pods.
fn id(part: &[u8]) -> Option<Vec<u8>> {
    let name = part.strip_suffix(b".scope").unwrap_or(part);
    let (engine, id) = name.split_at_checked(name.len().checked_sub(64)?)?;
    let separated = engine.is_empty() || engine.ends_with(b"-") || engine.ends_with(b":");
    (separated && is_hex(id) && !WATCHERS.contains(&engine)).then(|| id.to_vec())
}

fn is_hex(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A machine of systemd: `machine-NAME.scope`, `systemd-nspawn@NAME.service`. Virtual machines are registered in the
/// same way and are no containers: their processes are the hypervisor's.
fn machine(part: &[u8]) -> Option<Vec<u8>> {
    let scope = || part.strip_prefix(b"machine-")?.strip_suffix(b".scope");
    let service = || part.strip_prefix(b"systemd-nspawn@")?.strip_suffix(b".service");
    let name = unescaped(scope().or_else(service)?);
    (!name.is_empty() && !name.starts_with(b"qemu-")).then_some(name)
}

/// A container of LXC, LXD or Incus: `/lxc.payload.NAME`, `/lxc.payload/NAME`, `/lxc/NAME`. `lxc.monitor` watches.
fn lxc(above: &[&[u8]], part: &[u8]) -> Option<Vec<u8>> {
    let below = matches!(above.last(), Some(&(b"lxc" | b"lxc.payload")));
    let name = part.strip_prefix(b"lxc.payload.").or_else(|| below.then_some(part))?;
    (!name.is_empty()).then(|| name.to_vec())
}

/// A container of a Fargate task: `/ecs/TASK/ID`, where `ID` is 32 digits, a hyphen and a number.
fn fargate(above: &[&[u8]], part: &[u8]) -> Option<Vec<u8>> {
    let (id, number) = part.split_at_checked(32)?;
    let digits = number.strip_prefix(b"-")?;
    let is_id = above.first() == Some(&&b"ecs"[..]) && is_hex(id);
    (is_id && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| part.to_vec())
}

/// A machine's name before systemd escaped it for the name of a unit: each `\xNN` is a byte. systemd also turns a `/`
/// into `-`, but a machine's name has none.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let escape = rest.strip_prefix(b"\\x").and_then(|after| after.split_at_checked(2));
        let value =
            escape.and_then(|(digits, _)| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let (Some((_, after)), Some(value)) = (escape, value) {
            plain.push(value);
            rest = after;
        } else {
            plain.push(byte);
            rest = after;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4cb1a1f5dc0f0ad7ed4c6a5e7b2a4a0a4a9d9e3d5a7c1b2e3f405162738495";
    const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// Path, unit, container; `ID` and `OTHER` are placeholders for two ids.
    const PATHS: &[(&str, Option<&str>, Option<&str>)] = &[
        // systemd
        ("/", None, None),
        ("", None, None),
        ("/init.scope", Some("init.scope"), None),
        ("/system.slice/cron.service", Some("cron.service"), None),
        ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service"), None),
        (
            "/system.slice/system-postgresql.slice/postgresql@15-main.service",
            Some("postgresql@15-main.service"),
            None,
        ),
        ("/system.slice/systemd-udevd.service/udev", Some("systemd-udevd.service"), None),
        ("/system.slice/dbus.socket", Some("dbus.socket"), None),
        ("/system.slice/mnt-backup\\x2ddisk.mount", Some("mnt-backup\\x2ddisk.mount"), None),
        ("/system.slice/_cgroup.service", Some("cgroup.service"), None),
        ("/system.slice/old.service (deleted)", Some("old.service"), None),
        ("/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope"), None),
        ("/user.slice/user-1000.slice", None, None),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", Some("init.scope"), None),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service",
            Some("syncthing.service"),
            None,
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-8a.scope",
            Some("vte-spawn-8a.scope"),
            None,
        ),
        ("/../../cron.service", Some("cron.service"), None),
        ("/.service", None, None),
        // docker: version 1 or cgroupfs, systemd, a process in a cgroup within, docker in docker
        ("/docker/ID", None, Some("ID")),
        ("/system.slice/docker-ID.scope", Some("docker-ID.scope"), Some("ID")),
        ("/system.slice/docker-ID.scope/init", Some("docker-ID.scope"), Some("ID")),
        ("/docker/OTHER/docker/ID", None, Some("ID")),
        ("/system.slice/docker.service", Some("docker.service"), None),
        ("/actions_job/ID", None, Some("ID")),
        // a systemd within a container
        ("/system.slice/docker-ID.scope/system.slice/nginx.service", Some("nginx.service"), Some("ID")),
        // Kubernetes: containerd and CRI-O, by systemd and by cgroupfs
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3a1c_9f.slice/cri-containerd-ID.scope",
            Some("cri-containerd-ID.scope"),
            Some("ID"),
        ),
        ("/kubepods/burstable/pod3a1c-9f/ID", None, Some("ID")),
        ("/kubepods/besteffort/pod3a1c-9f", None, None),
        (
            "/system.slice/containerd.service/kubepods-burstable-pod3a1c_9f.slice:cri-containerd:ID",
            Some("containerd.service"),
            Some("ID"),
        ),
        ("/kubepods.slice/kubepods-pod3a1c_9f.slice/crio-ID.scope", Some("crio-ID.scope"), Some("ID")),
        (
            "/kubepods.slice/kubepods-pod3a1c_9f.slice/crio-conmon-ID.scope",
            Some("crio-conmon-ID.scope"),
            None,
        ),
        ("/docker/OTHER/kubelet/kubepods/besteffort/pod3a1c-9f/ID", None, Some("ID")),
        ("/system.slice/nerdctl-ID.scope", Some("nerdctl-ID.scope"), Some("ID")),
        ("/default/ID", None, Some("ID")),
        // podman: root, without root, by cgroupfs, its watcher, a pod
        ("/machine.slice/libpod-ID.scope/container", Some("libpod-ID.scope"), Some("ID")),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            Some("libpod-ID.scope"),
            Some("ID"),
        ),
        ("/libpod_parent/libpod-ID", None, Some("ID")),
        ("/machine.slice/libpod-conmon-ID.scope", Some("libpod-conmon-ID.scope"), None),
        (
            "/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope",
            Some("libpod-ID.scope"),
            Some("ID"),
        ),
        ("/machine.slice/machine-libpod_pod_OTHER.slice", None, None),
        // LXC, LXD, Incus
        ("/lxc/web", None, Some("web")),
        ("/lxc/101/ns/system.slice/ssh.service", Some("ssh.service"), Some("101")),
        ("/lxc.payload.web/system.slice/ssh.service", Some("ssh.service"), Some("web")),
        ("/lxc.payload/web", None, Some("web")),
        ("/lxc.monitor.web", None, None),
        ("/lxc.monitor/web", None, None),
        // systemd-nspawn, libvirt
        (
            "/machine.slice/machine-deb\\x2d12.scope/system.slice/ssh.service",
            Some("ssh.service"),
            Some("deb-12"),
        ),
        ("/machine.slice/systemd-nspawn@deb.service/payload/init.scope", Some("init.scope"), Some("deb")),
        ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", Some("machine-qemu\\x2d1\\x2dvm.scope"), None),
        // Amazon ECS
        ("/ecs/f1d2d2f924e986ac86fdf7b36c94bcdf/ID", None, Some("ID")),
        (
            "/ecs/f1d2d2f924e986ac86fdf7b36c94bcdf/f1d2d2f924e986ac86fdf7b36c94bcdf-2532465874",
            None,
            Some("f1d2d2f924e986ac86fdf7b36c94bcdf-2532465874"),
        ),
    ];

    #[test]
    fn real_paths_have_their_unit_and_container() {
        let full = |text: &str| text.replace("ID", ID).replace("OTHER", OTHER).into_bytes();
        for (path, unit, container) in PATHS {
            let expected = Membership { unit: unit.map(full), container: container.map(full) };
            assert_eq!(membership(&full(path)), expected, "{path}");
        }
    }

    #[test]
    fn similar_names_are_no_ids() {
        for path in
            [format!("/docker/{}", &ID[1..]), format!("/a/x{ID}"), format!("/a/{}", ID.to_uppercase())]
        {
            assert_eq!(membership(path.as_bytes()).container, None, "{path}");
        }
    }

    #[test]
    fn raw_bytes_are_kept_and_damaged_escapes_stay() {
        assert_eq!(membership(b"/system.slice/\xff.service").unit.unwrap(), b"\xff.service");
        assert_eq!(unescaped(b"a\\x2"), b"a\\x2");
        assert_eq!(unescaped(b"a\\xzz\\x2d-\\"), b"a\\xzz--\\");
    }
}
