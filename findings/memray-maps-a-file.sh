#!/usr/bin/env bash
# memray counts a file that is only mapped as heap: the peak is the size of the file.
#
# Versions:   memray 1.20.0.
# Expected:   "Peak memory usage" of a program that maps a file of 4 GiB for reading, reads one byte of it, and allocates
#             20 MiB is about 20 MiB. A mapped file takes no memory of the process but pages of the cache.
# Seen:       4.3 GB, with the line that maps the file at the top of the largest allocations. VmHWM of the same process
#             is less than 100 MiB. A program that opens an index, a data set or a model by a mapping (numpy.memmap,
#             Arrow) has a peak which hides all of its allocations.
# Output:     memray: peak 4316 MB, of it MMAP 4295 MB; VmHWM 46 MB
# Documented: memray documents that it tracks mmap(); not that the kind of mapping makes no difference.
# Remedy:     The allocator is MMAP in the reader of memray's files: these can be left out there, though anonymous
#             mappings go with them.
# Needs:      python3 with pip, a file system with sparse files for $TMPDIR.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages \
    memray==1.20.0 || exit 2
truncate --size 4G file || exit 2

cat >map.py <<'PYTHON'
import mmap
import memray

with open("file", "rb") as file, memray.Tracker("result"):
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    first = mapped[0]
    allocated = bytearray(20 << 20)

reader = memray.FileReader("result")
peak = reader.metadata.peak_memory
records = reader.get_high_watermark_allocation_records(merge_threads=True)
by_mmap = sum(record.size for record in records if record.allocator == memray.AllocatorType.MMAP)
resident = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
print(f"memray: peak {peak / 1e6:.0f} MB, of it MMAP {by_mmap / 1e6:.0f} MB; VmHWM {resident / 1e6:.0f} MB")
raise SystemExit(not (peak > 4 << 30 and by_mmap >= 4 << 30 and resident < 256 << 20))
PYTHON
PYTHONPATH=$folder/packages python3 map.py
