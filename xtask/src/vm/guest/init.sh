#!/bin/busybox sh
# The first process on the guest's disk: brings up what a distribution would, does the steps, ends the machine.
# What it says is on the second serial line, a line `@@ …` around each step; the kernel's messages are on the first.
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root OBSERVER_GUEST=1 RUST_BACKTRACE=0
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs security /sys/kernel/security
mount -t tracefs trace /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir -p /dev/shm /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
hostname guest
ip link set lo up

stty -F /dev/ttyS1 -onlcr
exec </dev/null >/dev/ttyS1 2>&1

# step SECONDS NAME COMMAND…: says what it says, and how it ended.
step() {
    seconds=$1 name=$2
    shift 2
    echo "@@ begin $name"
    timeout -s KILL "$seconds" "$@"
    echo "
@@ end $name $?"
}

# Forces each way that the first answer of doctor (in /tmp/doctor) held for possible and did not need: the command that it
# belongs to must answer with it, and that is complete only where it is attached, for no other way may take its place.
force() {
    awk '/^  [^ ]+ [a-z]+\.[a-z_]+ /{hook=$2; way=0}
         /^      [^ ]/ && !/^      unknown without it/{way++; if (/: possible, not needed$/) print hook "=" way}' /tmp/doctor |
    while read -r way; do
        case $way in
        mem.*) view="mem" ;;
        disk.*) view="disk --deleted-open" ;;
        *) view="net" ;;
        esac
        # shellcheck disable=SC2086 # words of a command
        step 300 "force $way" observer $view --once --json --top 1 --interval 0.3 --way "$way"
    done
}

echo "@@ kernel $(uname -r)"
cd /observer || exit
PATH=/observer/debug:$PATH
. /steps
echo "@@ done"
sync
poweroff -f
