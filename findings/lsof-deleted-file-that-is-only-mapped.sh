#!/usr/bin/env bash
# Neither `lsof +L1` nor `lsfd` finds the process that keeps a deleted file's space by a mapping.
#
# Versions:   lsof 4.95.0 and lsfd of util-linux 2.38.1, as in Debian 12.
# Expected:   `lsof +L1` ("will select open files that have been unlinked", lsof(8)), the usual answer to "df says
#             full, du does not", lists a deleted file of 32 MiB whose descriptor is closed and whose mapping is not;
#             so does `lsfd -Q DELETED`.
# Seen:       Both have no line for it. lsfd lists other mapped files, but not this one, even without a filter. `lsof
#             -p` has it as a file of type DEL, without a size and a link count, which is why +L1 leaves it out: only
#             `lsof -d DEL` finds it, and cannot say how much it takes.
# Output:     lsof +L1: 0, lsfd: 0, lsof -d DEL: 1 without a size, /proc/PID/smaps: 1
# Documented: lsof(8) says of DEL "a Linux map file that has been deleted", and nothing of it at +L.
# Needs:      apt-get (Debian 12), dpkg-deb, python3, and a file system for $TMPDIR.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet lsof=4.95.0-1 util-linux-extra=2.38.1-5+deb12u3 >/dev/null 2>&1 || exit 2
for package in *.deb; do
    dpkg-deb --extract "$package" .
done

cat >hold.py <<'PYTHON'
import ctypes, os, subprocess, sys

folder, pid = os.getcwd(), str(os.getpid())
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
file = os.open("kept", os.O_RDWR | os.O_CREAT)
os.write(file, b"x" * (32 << 20))
PROT_READ, MAP_SHARED = 1, 1
assert libc.mmap(None, 32 << 20, PROT_READ, MAP_SHARED, file, 0) != ctypes.c_void_p(-1).value
os.close(file)
os.unlink("kept")

def lines(*command):
    said = subprocess.run(command, capture_output=True, text=True).stdout
    return [line for line in said.splitlines() if folder + "/kept" in line]

by_links = lines("usr/bin/lsof", "-n", "-w", "+L1")
by_lsfd = lines("usr/bin/lsfd", "--pid", pid, "--output", "ASSOC,NLINK,SIZE,DELETED,NAME")
by_type = lines("usr/bin/lsof", "-n", "-w", "-a", "-p", pid, "-d", "DEL")
# COMMAND PID USER DEL REG DEVICE, no size, NODE NAME
without_size = "a" if len(by_type[0].split()) > 8 else "without a"
by_kernel = [line for line in open("/proc/self/smaps") if folder + "/kept" in line]
print(
    f"lsof +L1: {len(by_links)}, lsfd: {len(by_lsfd)},"
    f" lsof -d DEL: {len(by_type)} {without_size} size, /proc/PID/smaps: {len(by_kernel)}"
)
PYTHON
said=$(python3 hold.py)
echo "$said"
[[ $said == "lsof +L1: 0, lsfd: 0, lsof -d DEL: 1 without a size, /proc/PID/smaps: 1" ]]
