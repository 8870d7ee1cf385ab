"""How memory is held, as Python programs hold it: one line on standard input is one request.

shapes.py SHAPE SIZE BOUND
"""

import collections
import functools
import random
import sys

shape, size, bound = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
held, served, dice = [], 0, random.Random(size + bound)
recent = collections.deque()


@functools.lru_cache(maxsize=bound)
def page(key):
    return bytearray(size)


class Node:
    def __init__(self):
        self.me = self
        self.payload = bytearray(size)


def leak():
    held.append(bytearray(size))


def cycles():
    Node()


def cycles_leak():
    Node()
    if served % 3 == 0:
        held.append(bytearray(size))


def lru():
    page(dice.randrange(2 * bound))


def unique_lru():
    page(served)


def expiring():
    recent.append(bytearray(size))
    if len(recent) > bound:
        recent.popleft()


def step():
    if served == bound:
        held.append([bytearray(size) for _ in range(4000)])


def comes_and_goes():
    """Sessions that live for a while: as many as there is load."""
    recent.append((served + dice.randrange(1, 2 * bound), bytearray(size)))
    while recent and recent[0][0] < served:
        recent.popleft()


def strings():
    held.append(f"{served}:" + "x" * size)


def shrink():
    if served == 0:
        held.extend(bytearray(size) for _ in range(bound))
    elif held:
        held.pop()


def batch():
    """Builds a big result and drops it."""
    if served % bound == 0:
        held[:] = [bytearray(size) for _ in range(3000)]
    elif served % bound == bound // 3:
        held.clear()


serve = {f.__name__.replace("_", "-"): f for f in
         (leak, cycles, cycles_leak, lru, unique_lru, expiring, step, comes_and_goes, strings, shrink, batch)}[shape]
for _ in sys.stdin:
    serve()
    served += 1
