# What a call costs with nothing attached, under observer and under a tool of bcc's, in turns; who watches is alone on the
# machine with the load. Each line `figure` is a call, who watches, nanoseconds a call, and of the watcher the ticks of its
# processor time that the measurement took and the seconds that it took.
mkfifo /tmp/asked
load calls /root </tmp/asked >/tmp/told &
load=$!
exec 9>/tmp/asked

# call NAME: nanoseconds of a call. The first thing that the load tells is that it is ready.
call() {
    until [ -s /tmp/told ]; do sleep 0.2; done
    before=$(wc -l </tmp/told)
    echo "$1 $MILLISECONDS" >&9
    until [ "$(wc -l </tmp/told)" -gt "$before" ]; do sleep 0.2; done
    tail -n 1 /tmp/told | sed 's/.*"ns"://; s/[,}].*//'
}

ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{print $12 + $13}'; }

now() { cut -d ' ' -f 1 /proc/uptime; }

alone() { echo "figure $1 nothing $(call "$1") 0 0"; }

# beside CALL WHO PATTERN COMMAND…: times the call once the watcher has said what matches the pattern.
beside() {
    name=$1 who=$2 pattern=$3
    shift 3
    "$@" >/tmp/watcher 2>/tmp/complaints &
    watcher=$!
    until grep -q "$pattern" /tmp/watcher; do
        kill -0 $watcher 2>/dev/null || {
            echo "missing $who $(grep -i error /tmp/complaints | head -n 1) $(tail -n 1 /tmp/complaints)"
            return
        }
        sleep 0.5
    done
    began=$(now) used=$(ticks $watcher)
    took=$(call "$name")
    echo "figure $name $who $took $(($(ticks $watcher) - used)) $(echo "$(now) $began" | awk '{print $1 - $2}')"
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

# What Debian 12's bcc does not know of 6.12's headers; tcptop alone includes them.
sed 's/^bpf_text = """/&struct bpf_wq { __u64 a[2]; }; struct bpf_rb_root { __u64 a[2]; };\
struct bpf_rb_node { __u64 a[4]; }; struct bpf_refcount { __u32 a; };\n/' /usr/sbin/tcptop-bpfcc >/tmp/tcptop

echo "@@ begin rounds"
for _ in $(seq "$ROUNDS"); do
    pair mmap+touch+munmap mem memleak 'outstanding' /usr/sbin/memleak-bpfcc -p $load 1
    pair append_100_B disk filetop loadavg /usr/sbin/filetop-bpfcc -C 1
    pair TCP_64_B net tcptop loadavg /tmp/tcptop -C 1
done
alone mmap+touch+munmap
alone append_100_B
alone TCP_64_B
echo "@@ end rounds 0"
exec 9>&-
