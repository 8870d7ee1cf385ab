#!/usr/bin/env bash
# In one line of `atop -J`, memory of the system is in bytes, memory of a process in KiB, and there is memory of -4096.
#
# Versions:   atop 2.8.1, as in Debian 12.
# Expected:   Sizes of one JSON document have one unit, or the unit is in the key: "physmem" of MEM and "rmem" of PRM
#             can be divided. atop(1) says that the labels are those of the parseable output (-P), where MEM is in
#             pages and its line has the size of a page.
# Seen:       physmem, freemem and shmem of MEM are bytes; vmem, rmem and vdata of PRM are KiB; nrsect of DSK is
#             sectors of 512 bytes; none has a unit. What a machine does not have is -1 multiplied by the size of a
#             page: without a balloon of a hypervisor, "vmwballoon" is -4096 bytes.
# Output:     MEM physmem / MemTotal in kB: 1024; PRM rmem / VmRSS in kB: 1; MEM vmwballoon: -4096
# Documented: atop(1) says of -J only that "the syntax and name of JSON labels are the same as for the parseable
#             output". There, PRM is in KiB, and MEM is in pages.
# Needs:      apt-get (Debian 12), dpkg-deb, python3; a machine without VMware's balloon.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet atop=2.8.1-1+deb12u1 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .

cat >units.py <<'PYTHON'
import json, os, resource, subprocess, sys

held = bytes(64 << 20)
said = subprocess.run(["usr/bin/atop", "-J", "MEM,PRM", "1", "1"], capture_output=True, text=True)
if said.returncode:
    sys.exit(2)
sample = json.loads(said.stdout.splitlines()[0])
memory = sample["MEM"]
process = next(process for process in sample["PRM"] if process["pid"] == os.getpid())

def kilobytes(file, key):
    return int(open(file).read().split(key + ":")[1].split()[0])

total = memory["physmem"] / kilobytes("/proc/meminfo", "MemTotal")
resident = process["rmem"] / kilobytes("/proc/self/status", "VmRSS")
balloon = memory["vmwballoon"]
print(f"MEM physmem / MemTotal in kB: {total:.0f}; PRM rmem / VmRSS in kB: {resident:.0f}; MEM vmwballoon: {balloon}")
sys.exit(not (round(total) == 1024 and round(resident) == 1 and balloon == -resource.getpagesize()))
PYTHON
python3 units.py
