"""One contender for a lock, by kazoo, steered line by line as Contender.java is: "acquire MILLIS" answers "held" or "busy", "release"
answers "released", the end of the input ends the program. A read-write lock is acquired for writing, and with "share" and "unshare" for
reading.

Arguments: SERVER PATH [rw | curator], a lock by default. That of curator is one with Curator's mutex.
"""

import sys

from kazoo.client import KazooClient
from kazoo.exceptions import LockTimeout
from kazoo.recipe.lock import Lock


class CuratorLock(Lock):
    """A lock whose contenders are named as Curator's, and so stand in one line with them."""

    _NODE_NAME = "-lock-"
    _EXCLUDE_NAMES = ["-lock-"]


def main(server, path, kind="lock"):
    client = KazooClient(server)
    client.start()
    if kind == "rw":
        write, read = client.WriteLock(path, "kazoo"), client.ReadLock(path, "kazoo")
    elif kind == "curator":
        write = read = CuratorLock(client, path, "kazoo")
    else:
        write = read = client.Lock(path, "kazoo")

    def acquire(lock, millis):
        try:
            return "held" if lock.acquire(timeout=int(millis) / 1000) else "busy"
        except LockTimeout:
            return "busy"

    def release(lock):
        return "released" if lock.release() else "nothing"

    answers = {
        "acquire": lambda millis: acquire(write, millis),
        "release": lambda: release(write),
        "share": lambda millis: acquire(read, millis),
        "unshare": lambda: release(read),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        print(answers[words[0]](*words[1:]), flush=True)
    client.stop()


main(*sys.argv[1:])
