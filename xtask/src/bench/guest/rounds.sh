# The time of a call with nothing attached, with observer and with one of bcc's tools, in turns. Only one tool runs at a
# time, beside the load. A line `figure` has the call, the tool, nanoseconds per call, the tool's processor time during the
# measurement in microseconds, and the length of the measurement in seconds. A line `round` ends a round. Waiting prints a
# line now and then, because silence counts as a hanging machine.
WATCHER=/sys/fs/cgroup/watcher
mkdir -p $WATCHER

begin() {
    rm -f /tmp/requests
    mkfifo /tmp/requests
    load calls /root </tmp/requests >/tmp/answers &
    load=$!
    exec 9>/tmp/requests
}

# answers LINES: waits until the load has written this many lines; fails if it does not.
answers() {
    waited=0
    until [ "$(wc -l </tmp/answers)" -ge "$1" ]; do
        waited=$((waited + 1))
        if [ $waited -gt 600 ] || ! kill -0 $load 2>/dev/null; then return 1; fi
        sleep 0.2
    done
}

# call NAME: nanoseconds of a call. The first line of the load says that it is ready. Written data is on disk first, so that
# each call finds the disk idle.
call() {
    answers 1 || return
    sync
    before=$(wc -l </tmp/answers)
    echo "$1 $MILLISECONDS" >&9
    answers $((before + 1)) || return
    tail -n 1 /tmp/answers | sed 's/.*"ns"://; s/[,}].*//'
}

# Microseconds of processor time of all tools so far, from their control group, which includes exited threads.
used() { awk '/^usage_usec/ {print $2}' $WATCHER/cpu.stat; }

now() { cut -d ' ' -f 1 /proc/uptime; }

alone() { echo "figure $1 nothing $(call "$1") 0 0"; }

# watched CALL TOOL PATTERN COMMAND…: times the call once the tool has written a line that matches the pattern.
watched() {
    timed=$1 who=$2 ready=$3
    shift 3
    # shellcheck disable=SC2016 # the inner shell's own words
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' $WATCHER "$@" >/tmp/watcher 2>/tmp/errors &
    watcher=$!
    waited=0
    until grep -q "$ready" /tmp/watcher; do
        waited=$((waited + 1))
        [ $((waited % 20)) -ne 0 ] || echo "waiting for $who"
        if [ $waited -gt 600 ] || ! kill -0 $watcher 2>/dev/null; then
            echo "missing $who $(tail -n 1 /tmp/watcher) $(grep -iE 'error|exception' /tmp/errors | tail -n 1)"
            kill -KILL $watcher 2>/dev/null
            return
        fi
        sleep 1
    done
    began=$(now) before_it=$(used)
    took=$(call "$timed") || {
        echo "missing $who the load stopped under it"
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
    watched "$name" observer '"view"' observer $view --json --top -n --budget 100
    watched "$name" "$tool" "$pattern" python3 -u "$@"
}

# The types of 6.12's headers that Debian 12's bcc does not know and only tcptop includes, and a function that was removed.
sed 's/kr*e*t*probe__tcp_sendpage/removed_&/; s/^bpf_text = """/&struct bpf_wq { __u64 a[2]; }; struct bpf_rb_root { __u64 a[2]; };\
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
