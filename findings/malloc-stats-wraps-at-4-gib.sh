#!/usr/bin/env bash
# malloc_stats() of glibc says 1 GiB of a process that holds 5 GiB.
#
# Versions:   glibc 2.36 (libc6 2.36-9+deb12u14), as in Debian 12, on 64 bits.
# Expected:   Five allocations of 1 GiB are 5368709120 bytes "in use", or more.
# Seen:       1073767072: the number modulo 2 to the power of 32. The last line of the same output, "max mmap bytes",
#             has all of them. A process that grows by 100 MiB a minute falls back to nothing every 40 minutes.
# Output:     in use bytes 1073767072, max mmap bytes 5368729600, mallinfo2 5368730256
# Reason:     Its sums are of type unsigned int.
# Documented: malloc_stats(3) does not mention it, while mallinfo(3) warns of its own fields of int.
# Remedy:     mallinfo2(), uordblks + hblkhd; or malloc_info().
# Needs:      apt-get (Debian 12), dpkg-deb, a C compiler, 64 bits, 5 GiB of address space (they are not touched).
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet libc6=2.36-9+deb12u14 >/dev/null 2>&1 || exit 2
dpkg-deb --extract ./*.deb .
libraries=$(dirname lib/*/libc.so.6)
loader=$(echo "$libraries"/ld-linux*.so.*)

cat >hold.c <<'C'
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    for (int i = 0; i < 5; i++) {
        void *volatile block = malloc(1UL << 30);
        if (!block)
            return 2;
    }
    struct mallinfo2 info = mallinfo2();
    printf("mallinfo2 %zu\n", info.uordblks + info.hblkhd);
    fflush(stdout);
    malloc_stats();
    return 0;
}
C
cc -O0 -o hold hold.c || exit 2
"$loader" --library-path "$libraries" ./hold >said 2>&1 || exit 2

# The last "in use bytes" is that of all arenas.
total=$(awk '/^in use bytes/ {value = $NF} END {print value}' said)
mapped=$(awk '/^max mmap bytes/ {print $NF}' said)
truth=$(awk '/^mallinfo2/ {print $2}' said)
echo "in use bytes $total, max mmap bytes $mapped, mallinfo2 $truth"
((truth >= 5 << 30 && mapped >= 5 << 30 && total < 2 << 30))
