# Events of a running system that disturb observer, and missing privileges. The clock comes last, because it stays wrong.
# shellcheck shell=sh disable=SC2086 # words of a command
# The full path, because the shell's own setpriv has none of these options.
nobody="/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups"
three=+bpf,+perfmon,+sys_ptrace
# Before 5.11 programs and maps count as locked memory, and observer has to raise the limit.
case $(uname -r) in 5.10.*) three=$three,+sys_resource ;; esac
four=$three,+dac_read_search
step 300 'smoke mem, few capabilities and no root' $nobody --inh-caps=$three --ambient-caps=$three \
    observer mem --once --json --top 1
step 300 'smoke net, few capabilities and no root' $nobody --inh-caps=$three --ambient-caps=$three \
    observer net --once --json --top 1
step 300 'smoke disk, few capabilities and no root' $nobody --inh-caps=$four --ambient-caps=$four \
    observer disk --deleted-open --once --json --top 1

cp /sys/kernel/btf/vmlinux /tmp/btf
step 300 'smoke hidden types and --btf' unshare --mount sh -c \
    'mount -t tmpfs none /sys/kernel/btf && observer mem --once --json --top 1 --no-cache --btf /tmp/btf'
step 300 'refusal hidden types' unshare --mount sh -c \
    'mount -t tmpfs none /sys/kernel/btf && observer mem --once --json --no-cache; test $? = 77'

step 600 'smoke a CPU off and on' sh -c \
    'cd /sys/devices/system/cpu/cpu1; { sleep 3; echo 0 >online; sleep 2; echo 1 >online; } &
     observer mem --json --top 1 --count 6 --budget 100'
step 300 'smoke a clock that jumps' sh -c \
    '{ sleep 3; date -s 204001010000; } >/dev/null & observer net --json --top 1 --count 6 --budget 100'
