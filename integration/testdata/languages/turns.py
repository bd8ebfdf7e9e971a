"""One who takes turns with others by kazoo's recipes, all of them at once, and writes in a journal that is shared with those others, as
Turns.java does: "RECIPE WHO VERB NUMBER". Says "ready", waits for a line, and ends when all turns are taken.

Arguments: SERVER TURNS WHO, then for each recipe three: NAMES/RECIPE, its path, the file of its journal. NAMES are those of the
contenders: kazoo, or curator, which is what it takes to stand in one line with Curator's.
"""

import os
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.recipe.election import Election
from kazoo.recipe.lock import Lock


class CuratorLock(Lock):
    """A lock whose contenders are named as Curator's: Curator orders names by what follows "lock-", and kazoo is told to do so too."""

    _NODE_NAME = "-lock-"
    _EXCLUDE_NAMES = ["lock-"]


class Turns:
    def __init__(self, client, who, recipe, path, journal):
        self.client, self.who, self.path = client, who, path
        self.names, self.recipe = recipe.split("/")
        self.journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, verb, number):
        os.write(self.journal, f"{self.recipe} {self.who} {verb} {number}\n".encode())

    def within(self):
        token = self.client.exists(f"{self.path}/{self.node()}").czxid
        self.say("enters", token)
        time.sleep(0.001)
        self.say("leaves", token)

    def node(self):
        return (self.election.lock if self.recipe == "selector" else self.locking).node

    def run(self, turns):
        if self.recipe == "value":
            count = self.client.Counter(self.path, default=0, support_curator=True)
            for _ in range(turns):
                count += 1
                self.say("counts", count.post_value)
        elif self.recipe == "lock":
            for _ in range(turns):
                self.locking = self.lock()
                with self.locking:
                    self.within()
        elif self.recipe == "selector":
            for _ in range(turns):
                self.election = Election(self.client, self.path, self.who)
                self.election.lock = self.lock()
                self.election.run(self.within)

    def lock(self):
        return (CuratorLock if self.names == "curator" else Lock)(self.client, self.path, self.who)


def main(server, turns, who, *recipes):
    client = KazooClient(server, timeout=30)
    client.start()
    failed = []

    def run(*recipe):
        try:
            Turns(client, who, *recipe).run(int(turns))
        except BaseException as e:
            failed.append(f"{recipe[0]}: {e!r}")

    threads = [threading.Thread(target=run, args=recipes[i : i + 3]) for i in range(0, len(recipes), 3)]
    print("ready", flush=True)
    sys.stdin.readline()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    client.stop()
    if failed:
        sys.exit("\n".join(failed))


main(*sys.argv[1:])
