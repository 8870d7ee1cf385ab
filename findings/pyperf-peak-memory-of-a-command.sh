#!/usr/bin/env bash
# pyperf reports its own size as the peak memory of a command that is smaller than pyperf.
#
# Versions:   pyperf 2.9.0; any Linux since 2.6.32, seen on 6.18.
# Expected:   `pyperf command --track-memory /bin/true` reports what /bin/true needs: 1 to 2 MiB.
# Seen:       More than 10 MiB, which is the size of the Python process that starts the command. The value is the same
#             for every command that is smaller.
# Output:     14.1 MiB for /bin/true; /bin/cat, which is larger, has a VmHWM of 1.6 MiB
# Reason:     pyperf takes ru_maxrss from wait4(). Between fork (or vfork) and exec the child has the parent's memory,
#             and exec keeps that as the child's peak (setmax_mm_hiwater_rss in the kernel's exec_mmap). So any
#             program that starts a command and reads ru_maxrss reports at least its own RSS; from a parent of 300
#             MiB, /bin/true has a peak of 300 MiB. The truth is VmHWM in /proc/PID/status, since a new memory
#             map begins at exec.
# Documented: getrusage(2) says that the metrics are preserved across execve(2); not what that does to a child's peak.
# Needs:      python3 with pip.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$folder/packages" pyperf==2.9.0 psutil==7.2.2 || exit 2

export PYTHONPATH=$folder/packages
python3 -m pyperf command --track-memory --processes 2 --values 1 --loops 1 --warmups 0 \
    --output "$folder/result.json" /bin/true >/dev/null 2>&1

python3 - "$folder/result.json" <<'PYTHON'
import subprocess, sys
import pyperf

reported = pyperf.BenchmarkSuite.load(sys.argv[1]).get_benchmarks()[0].mean() / (1 << 20)
# A program as small as /bin/true that can be asked while it lives: its peak since exec.
child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdin.write(b"x")
child.stdin.flush()
child.stdout.read(1)
status = open(f"/proc/{child.pid}/status").read()
true = int(status.split("VmHWM:")[1].split()[0]) / 1024
child.stdin.close()
child.wait()
print(f"{reported:.1f} MiB for /bin/true; /bin/cat, which is larger, has a VmHWM of {true:.1f} MiB")
sys.exit(not (reported > 8 and true < 4))
PYTHON
