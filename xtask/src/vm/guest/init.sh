#!/bin/busybox sh
# The first process on the guest's disk: sets up what a distribution would, runs the steps, and powers off. It writes to the
# second serial line, with a line `@@ …` before and after each step. The kernel's messages are on the first.
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

# step SECONDS NAME COMMAND…: runs the command, and reports its exit code.
step() {
    seconds=$1 name=$2
    shift 2
    echo "@@ begin $name"
    timeout -s KILL "$seconds" "$@"
    echo "
@@ end $name $?"
}

# Forces each alternative that doctor (in /tmp/doctor) reports as possible and not needed. Its command must give a complete
# report, which needs this alternative attached, because no other one may replace it.
force() {
    awk '/^  [^ ]+ [a-z]+\.[a-z_]+ /{hook=$2; number=0}
         /^      [^ ]/ && !/^      unknown without it/{number++; if (/: possible, not needed$/) print hook "=" number}' /tmp/doctor |
    while read -r alternative; do
        case $alternative in
        mem.*) view="mem" ;;
        disk.*) view="disk --deleted-open" ;;
        sites.*) view="mem --where" ;;
        *) view="net" ;;
        esac
        # shellcheck disable=SC2086 # words of a command
        step 300 "force $alternative" observer $view --once --json --top 1 --interval 0.3 --way "$alternative"
    done
}

echo "@@ kernel $(uname -r)"
cd /observer || exit
PATH=/observer/debug:$PATH
. /steps
echo "@@ done"
sync
poweroff -f
