#!/usr/bin/env bash
# fuser and lsof name no process for a btrfs that cannot be unmounted since a file of it is mapped.
#
# Versions:   fuser of psmisc 23.6, lsof 4.95.0 and btrfs-progs 6.2, as in Debian 12; btrfs of any Linux, seen on 6.18.
# Expected:   `fuser FILE` and `lsof FILE` name a process that has FILE mapped and no descriptor of it (as it is with
#             every shared library), and with the mount point they name who keeps it busy. On ext4 and overlayfs all
#             four do.
# Seen:       On btrfs none of the four does, and umount says "target is busy".
# Output:     ext4: fuser 1, fuser -m 1, lsof 1, lsof of the mount 1, umount busy
#             btrfs: fuser 0, fuser -m 0, lsof 0, lsof of the mount 0, umount busy
# Reason:     /proc/PID/maps has the device number of the file system, stat() that of the subvolume, and they differ in
#             btrfs, also without any subvolume made. So (device, inode) from maps is no key to a file: neither for
#             these tools nor for a profiler that joins mappings with files.
# Documented: Not in fuser(1) and lsof(8).
# Remedy:     Comparing with stat() of /proc/PID/map_files/* (needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE), or the
#             path in maps.
# Needs:      root, loop devices, btrfs and ext4, apt-get (Debian 12), dpkg-deb, python3, unshare (util-linux).
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
[[ $(id --user) == 0 ]] || exit 2
apt-get download --quiet psmisc=23.6-1 lsof=4.95.0-1 btrfs-progs=6.2-1+deb12u2 e2fsprogs=1.47.0-2+b2 \
    >/dev/null 2>&1 || exit 2
for package in *.deb; do
    dpkg-deb --extract "$package" .
done
mkdir mount
truncate --size 256M ext4 btrfs
sbin/mkfs.ext4 -q ext4 || exit 2
sbin/mkfs.btrfs --quiet btrfs >/dev/null 2>&1 || exit 2

cat >busy.py <<'PYTHON'
import ctypes, mmap, os, subprocess, sys

kind, pid = sys.argv[1], str(os.getpid())
if subprocess.run(["mount", "-t", kind, "-o", "loop", kind, "mount"], capture_output=True).returncode:
    sys.exit(2)
with open("mount/mapped", "wb") as file:
    file.write(bytes(1 << 20))
with open("mount/mapped", "rb") as file:
    # Not mmap.mmap(), which keeps a descriptor.
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    assert libc.mmap(None, 1 << 20, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0) != ctypes.c_void_p(-1).value

def found(*words):
    said = subprocess.run(words, capture_output=True, text=True).stdout
    return int(pid in said.split())

by = [
    found("bin/fuser", "mount/mapped"),
    found("bin/fuser", "-m", "mount"),
    found("usr/bin/lsof", "-w", "mount/mapped"),
    found("usr/bin/lsof", "-w", os.path.abspath("mount")),
]
unmounted = subprocess.run(["umount", "mount"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
busy = "busy" if "busy" in unmounted.stderr else "not busy"
print("{}: fuser {}, fuser -m {}, lsof {}, lsof of the mount {}, umount {}".format(kind, *by, busy))
PYTHON
for kind in ext4 btrfs; do
    # In a mount namespace of its own, which takes the mount with it when the process ends.
    unshare --mount python3 busy.py "$kind"
done >said || exit 2
cat said
expected="ext4: fuser 1, fuser -m 1, lsof 1, lsof of the mount 1, umount busy
btrfs: fuser 0, fuser -m 0, lsof 0, lsof of the mount 0, umount busy"
[[ $(cat said) == "$expected" ]]
