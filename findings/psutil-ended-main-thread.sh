#!/usr/bin/env bash
# psutil reports a process as an empty zombie while its other threads hold memory and files.
#
# Versions:   psutil 7.2.2; any Linux, seen on 6.18.
# Expected:   A process whose main thread has ended and whose second thread holds 64 MiB has an RSS of at least 64
#             MiB, or an error that says that its memory is unknown.
# Seen:       status() is `zombie`, memory_info().rss is 0, memory_full_info().uss is 0 and num_fds() is 0, all
#             without an error; memory_maps() raises ZombieProcess. `ps` says the same: state Zl, RSS 0.
#             /proc/PID/task/TID/statm of the second thread has all of the memory.
# Output:     zombie rss=0 uss=0 fds=0 maps=ZombieProcess thread_rss_mib=76
# Reason:     The kernel drops the memory and the descriptors of a thread when it ends, and /proc/PID shows those of
#             the main thread. proc(5) says so of /proc/PID/cwd, exe, fd and root, not of the files about memory.
# Needs:      python3 with pip, x86-64 or AArch64.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$folder/packages" psutil==7.2.2 || exit 2

cat >"$folder/child.py" <<'PYTHON'
import ctypes, platform, threading, time

def hold():
    memory = bytearray(64 << 20)
    memory[::4096] = b"x" * len(memory[::4096])
    main.wait()
    time.sleep(0.2)
    print("ready", flush=True)
    time.sleep(60)

main = threading.Event()
threading.Thread(target=hold).start()
time.sleep(0.5)
main.set()
exit_thread = {"x86_64": 60, "aarch64": 93}[platform.machine()]
ctypes.CDLL(None).syscall(exit_thread, 0)
PYTHON

cat >"$folder/parent.py" <<'PYTHON'
import os, subprocess, sys
import psutil

child = subprocess.Popen([sys.executable, sys.argv[1]], stdout=subprocess.PIPE)
try:
    child.stdout.readline()
    process = psutil.Process(child.pid)
    try:
        maps = len(process.memory_maps())
    except psutil.Error as error:
        maps = type(error).__name__
    threads = [thread for thread in os.listdir(f"/proc/{child.pid}/task") if int(thread) != child.pid]
    pages = int(open(f"/proc/{child.pid}/task/{threads[0]}/statm").read().split()[1])
    print(
        f"{process.status()} rss={process.memory_info().rss} uss={process.memory_full_info().uss}"
        f" fds={process.num_fds()} maps={maps} thread_rss_mib={pages * os.sysconf('SC_PAGE_SIZE') >> 20}"
    )
finally:
    child.kill()
    child.wait()
PYTHON

said=$(PYTHONPATH=$folder/packages python3 "$folder/parent.py" "$folder/child.py")
echo "$said"
read -r status rss uss fds maps thread <<<"$said"
[[ "$status $rss $uss $fds $maps" == "zombie rss=0 uss=0 fds=0 maps=ZombieProcess" && ${thread#*=} -ge 64 ]]
