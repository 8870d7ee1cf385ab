# Keeps and drops objects, and says what its interpreter knows of itself. A line in, a line of JSON out, as a workload does.
import ctypes
import gc
import json
import os
import re
import sys
import tempfile
import threading
import time

kept = []


def in_blocks():
    """Bytes in blocks of the interpreter's own allocator, from the statistics that it prints."""
    with tempfile.TemporaryFile() as statistics:
        error = os.dup(2)
        os.dup2(statistics.fileno(), 2)
        sys._debugmallocstats()
        os.dup2(error, 2)
        os.close(error)
        statistics.seek(0)
        found = re.search(rb"# bytes in allocated blocks *= *([0-9,]+)", statistics.read())
    return int(found.group(1).replace(b",", b"")) if found else 0


def answer():
    collections = [generation["collections"] for generation in gc.get_stats()]
    truth = {"in_blocks": in_blocks(), "collections": sum(collections), "full": collections[2]}
    print(json.dumps(truth), flush=True)


def serve():
    for line in sys.stdin:
        word, thousands = line.split()
        if word == "keep":
            kept.extend([number, number + 1] for number in range(int(thousands) * 1000))
        elif word == "drop":
            # Every second object goes: no pool becomes empty.
            del kept[::2]
        gc.collect()
        answer()
    os._exit(0)


print(json.dumps({"ready": True}), flush=True)
if "--main-thread-ends" in sys.argv:
    threading.Thread(target=serve).start()
    time.sleep(0.1)
    # SYS_exit ends this thread alone.
    ctypes.CDLL(None).syscall(60, 0)
serve()
