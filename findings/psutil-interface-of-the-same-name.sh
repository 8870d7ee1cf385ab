#!/usr/bin/env bash
# psutil adds the bytes of a deleted network interface to those of a new one of the same name.
#
# Versions:   psutil 7.2.2.
# Expected:   net_io_counters(pernic=True) has what the kernel counts for each interface. When an interface is deleted
#             and made again (a VPN that reconnects, the veth of a restarted container), its counters begin at 0.
# Seen:       If that is between two calls, the new interface has the bytes of its predecessor, too, from then on. If one
#             call falls into the gap, it has not. So two agents on one host disagree for ever, and after a restart of
#             the agent the number falls to the kernel's.
# Output:     first: psutil 104200, kernel 104200; second: psutil 156300, kernel 52100
# Reason:     By default (nowrap=True), a counter that is less than at the call before is taken for one that has wrapped,
#             and the number before is added from then on. disk_io_counters() has the same.
# Documented: For counters that "overflow and wrap (restart from zero)"; not that an interface may be another one.
# Remedy:     nowrap=False: counters of 64 bits do not wrap.
# Needs:      python3 with pip, apt-get (Debian 12), dpkg-deb, unshare (util-linux) with root or user namespaces, veth.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages \
    psutil==7.2.2 || exit 2
apt-get download --quiet iproute2=6.1.0-3 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .
unshare --net --map-root-user bin/ip link add tunnel type veth peer name end || exit 2

cat >again.py <<'PYTHON'
import os, socket, subprocess
import psutil

def ip(words):
    subprocess.run(["bin/ip", *words.split()], check=True)

def traffic(packets):
    ip("link add tunnel type veth peer name end")
    ip("addr add 10.8.0.1/24 dev tunnel")
    for name in ("tunnel", "end"):
        setting = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
        if os.path.exists(setting):
            with open(setting, "w") as file:
                file.write("1")
        ip(f"link set {name} up")
    ip("neigh add 10.8.0.2 lladdr 00:11:22:33:44:55 dev tunnel")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(packets):
        sender.sendto(bytes(1000), ("10.8.0.2", 9))
    kernel = next(line.split()[9] for line in open("/proc/net/dev") if "tunnel" in line)
    return f"psutil {psutil.net_io_counters(pernic=True)['tunnel'].bytes_sent}, kernel {kernel}"

first = traffic(100)
ip("link delete tunnel")
print(f"first: {first}; second: {traffic(50)}")
PYTHON
said=$(PYTHONPATH=$folder/packages unshare --net --map-root-user python3 again.py)
echo "$said"
[[ $said == "first: psutil 104200, kernel 104200; second: psutil 156300, kernel 52100" ]]
