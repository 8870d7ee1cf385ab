# What a call costs with nothing attached, under observer and under a tool of bcc's, in turns; who watches is alone on the
# machine with the load. Each line `figure` is a call, who watches, nanoseconds a call, and of the watcher the microseconds
# of its processor time that the measurement took and the seconds that it took; each line `round` ends one. That somebody
# is waited for is told now and then: whoever hears nothing takes the machine to hang.
WATCHER=/sys/fs/cgroup/watcher
mkdir -p $WATCHER

begin() {
    rm -f /tmp/asked
    mkfifo /tmp/asked
    load calls /root </tmp/asked >/tmp/told &
    load=$!
    exec 9>/tmp/asked
}

# tells LINES: waits until the load has told so many; fails where it does not.
tells() {
    waited=0
    until [ "$(wc -l </tmp/told)" -ge "$1" ]; do
        waited=$((waited + 1))
        if [ $waited -gt 600 ] || ! kill -0 $load 2>/dev/null; then return 1; fi
        sleep 0.2
    done
}

# call NAME: nanoseconds of a call. The first thing that the load tells is that it is ready. What was written before is on the
# disk by then, so that each call finds it at rest.
call() {
    tells 1 || return
    sync
    before=$(wc -l </tmp/told)
    echo "$1 $MILLISECONDS" >&9
    tells $((before + 1)) || return
    tail -n 1 /tmp/told | sed 's/.*"ns"://; s/[,}].*//'
}

# Microseconds of processor time of all that ever watched: the kernel's own book of their group, in which threads that have
# ended are too.
used() { awk '/^usage_usec/ {print $2}' $WATCHER/cpu.stat; }

now() { cut -d ' ' -f 1 /proc/uptime; }

alone() { echo "figure $1 nothing $(call "$1") 0 0"; }

# beside CALL WHO PATTERN COMMAND…: times the call once the watcher has said what matches the pattern.
beside() {
    timed=$1 who=$2 ready=$3
    shift 3
    # shellcheck disable=SC2016 # the inner shell's own words
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' $WATCHER "$@" >/tmp/watcher 2>/tmp/complaints &
    watcher=$!
    waited=0
    until grep -q "$ready" /tmp/watcher; do
        waited=$((waited + 1))
        [ $((waited % 20)) -ne 0 ] || echo "waiting for $who"
        if [ $waited -gt 600 ] || ! kill -0 $watcher 2>/dev/null; then
            echo "missing $who $(tail -n 1 /tmp/watcher) $(grep -iE 'error|exception' /tmp/complaints | tail -n 1)"
            kill -KILL $watcher 2>/dev/null
            return
        fi
        sleep 1
    done
    began=$(now) before_it=$(used)
    took=$(call "$timed") || {
        echo "missing $who the load did not go on under it"
        kill -KILL $watcher $load 2>/dev/null
        begin
        return
    }
    echo "figure $timed $who $took $(($(used) - before_it)) $(echo "$(now) $began" | awk '{print $1 - $2}')"
    kill $watcher
    wait $watcher 2>/dev/null
}

# pair CALL "VIEW" TOOL PATTERN COMMAND…
pair() {
    name=$1 view=$2 tool=$3 pattern=$4
    shift 4
    alone "$name"
    # shellcheck disable=SC2086 # words of a command
    beside "$name" observer '"view"' observer $view --json --top -n --budget 100
    beside "$name" "$tool" "$pattern" python3 -u "$@"
}

# What Debian 12's bcc does not know of 6.12's headers, which tcptop alone includes; and a function that is no more.
sed 's/kr*e*t*probe__tcp_sendpage/no_more_&/; s/^bpf_text = """/&struct bpf_wq { __u64 a[2]; }; struct bpf_rb_root { __u64 a[2]; };\
struct bpf_rb_node { __u64 a[4]; }; struct bpf_refcount { __u32 a; };\n/' /usr/sbin/tcptop-bpfcc >/tmp/tcptop

begin
echo "@@ begin rounds"
for round in $(seq "$ROUNDS"); do
    pair mmap+touch+munmap mem memleak 'outstanding' /usr/sbin/memleak-bpfcc -p $load 1
    pair append_100_B disk filetop loadavg /usr/sbin/filetop-bpfcc -C 1
    pair TCP_64_B net tcptop loadavg /tmp/tcptop -C 1
    echo "round $round"
done
alone mmap+touch+munmap
alone append_100_B
alone TCP_64_B
echo "@@ end rounds 0"
exec 9>&-
