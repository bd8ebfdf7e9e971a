"""kazoo doing everything it offers; the argument is the server's host:port.

Prints one line a call, in a form that is equal whenever servers behave equally: zxids count from the section's base, times
are only "0" or "now", session ids are names, unordered lists are sorted.
"""

import socket
import sys
import threading
import time

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.protocol.states import Callback, EventType, WatchedEvent
from kazoo.recipe.barrier import Barrier, DoubleBarrier
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.recipe.partitioner import PartitionState
from kazoo.security import ACL, CREATOR_ALL_ACL, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, Id, make_acl, make_digest_acl

ADDRESS = sys.argv[1]
base = 0
sessions = []


def line(text):
    print(text, flush=True)


def section(name, client=None, path=None):
    global base
    base = 0
    if path:
        client.create(path)
        base = client.exists(path).czxid
    line("## " + name)
    return path


def session(number):
    if number in (0, None):
        return "0"
    if number not in sessions:
        sessions.append(number)
    return "s%d" % (sessions.index(number) + 1)


def zxid(number):
    return "0" if number == 0 else "z%+d" % (number - base)


def moment(millis):
    if millis == 0:
        return "0"
    return "now" if abs(time.time() * 1000 - millis) < 300000 else "another time"


def show(value):
    if type(value).__name__ == "ZnodeStat":
        s = value
        return "[czxid %s mzxid %s pzxid %s ctime %s mtime %s version %d cversion %d aversion %d owner %s length %d children %d]" % (
            zxid(s.czxid), zxid(s.mzxid), zxid(s.pzxid), moment(s.ctime), moment(s.mtime), s.version, s.cversion, s.aversion,
            session(s.ephemeralOwner), s.dataLength, s.numChildren)
    if isinstance(value, WatchedEvent):
        return "%s %s %s" % (value.type, value.state, value.path)
    if isinstance(value, ACL):
        return "%s:%s:%d" % (value.id.scheme, value.id.id, value.perms)
    if isinstance(value, Exception):
        return "error " + type(value).__name__
    if isinstance(value, tuple):
        return "(" + ", ".join(show(v) for v in value) + ")"
    if isinstance(value, list):
        return "[" + ", ".join(show(v) for v in value) + "]"
    if isinstance(value, bytes) and len(value) > 200:
        return "%d bytes" % len(value)
    return repr(value)


def call(what, function, *args, **kwargs):
    try:
        result = function(*args, **kwargs)
    except Exception as e:
        line("%s -> error %s" % (what, type(e).__name__))
        return None
    line("%s -> %s" % (what, show(result)))
    return result


class Events:
    """Watches of one client: what they were told, until asked for."""

    def __init__(self, client):
        self.client = client
        self.told = []

    def watch(self, label):
        return lambda event: self.told.append((label, event))

    def show(self):
        """Waits until all that the server sent before now has been delivered, and prints it."""
        done = threading.Event()
        self.client.sync("/")
        self.client.handler.dispatch_callback(Callback("watch", lambda *_: done.set(), ()))
        if not done.wait(20):
            raise RuntimeError("events were not delivered within 20 s")
        told, self.told = self.told, []
        # One event goes to several watchers in no particular order.
        ordered = []
        for label, event in told:
            if ordered and ordered[-1][0] == event:
                ordered[-1][1].append(label)
            else:
                ordered.append((event, [label]))
        for event, labels in ordered:
            line("  %s: %s" % (", ".join(sorted(labels)), show(event)))
        if not ordered:
            line("  no event")


def connect(**kwargs):
    client = KazooClient(hosts=ADDRESS, timeout=kwargs.pop("timeout", 6), **kwargs)
    client.start(timeout=20)
    return client


class Way:
    """A way to the server that can be cut for good, so that a session loses its connection and nothing else."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.lock = threading.Lock()
        self.sockets = []
        self.whole = True
        threading.Thread(target=self._accept, daemon=True).start()

    def address(self):
        return "127.0.0.1:%d" % self.listener.getsockname()[1]

    def cut(self):
        with self.lock:
            self.whole = False
            for one in self.sockets:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # its other end has gone already

    def mend(self):
        self.whole = True

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            with self.lock:
                if not self.whole:
                    client.close()
                    continue
                host, port = ADDRESS.rsplit(":", 1)
                server = socket.create_connection((host, int(port)))
                self.sockets = [client, server]
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    @staticmethod
    def _copy(source, target):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def until(what, condition):
    """Waits for something that a background thread brings about."""
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(what + ": not within 20 s")
        threading.Event().wait(0.02)


def nodes(a, b):
    root = section("create, read, change, delete", a, "/nodes")
    call("create", a.create, root + "/x", b"data")
    call("create again", a.create, root + "/x", b"data")
    call("create without parent", a.create, root + "/no/parent")
    call("create with parents", a.create, root + "/with/parents", makepath=True)
    call("create ephemeral", a.create, root + "/e", ephemeral=True)
    call("create below it", a.create, root + "/e/x")
    call("create sequential", a.create, root + "/s-", sequence=True)
    call("create ephemeral sequential", a.create, root + "/s-", b"x", ephemeral=True, sequence=True)
    call("create with stat", a.create, root + "/stat", b"12345", include_data=True)
    call("create sequential with stat", a.create, root + "/stat-", b"12345", sequence=True, include_data=True)
    call("create with acl", a.create, root + "/acl", acl=READ_ACL_UNSAFE)
    call("create below what is locked", a.create, root + "/acl/x")
    call("create with an invalid acl", a.create, root + "/bad", acl=[make_acl("digest", "nothing", all=True)])
    call("create, creator's, unknown", a.create, root + "/bad", acl=CREATOR_ALL_ACL)
    call("create the root", a.create, "/")
    call("create the reserved", a.create, "/zookeeper")
    call("ensure_path", a.ensure_path, root + "/a/b/c/d")
    call("ensure_path again", a.ensure_path, root + "/a/b/c/d")
    for path in ("/x", "/e", "/s-0000000003", "/s-0000000004", "/none"):
        call("exists " + path, a.exists, root + path)
    call("get", b.get, root + "/x")
    call("get missing", b.get, root + "/none")
    call("set", a.set, root + "/x", b"new")
    call("set 1", a.set, root + "/x", b"newer", version=1)
    call("set 1 again", a.set, root + "/x", b"newer", version=1)
    call("set missing", a.set, root + "/none", b"")
    call("get", b.get, root + "/x")
    call("set empty", a.set, root + "/x", b"")
    call("get", b.get, root + "/x")
    call("get_children", lambda: sorted(a.get_children(root)))
    call("get_children with stat", lambda: [sorted(part) if isinstance(part, list) else part for part in a.get_children(root, include_data=True)])
    call("get_children missing", a.get_children, root + "/none")
    call("delete with children", a.delete, root + "/a")
    call("delete bad version", a.delete, root + "/x", version=9)
    call("delete missing", a.delete, root + "/none")
    call("delete", a.delete, root + "/x", version=3)
    call("delete recursively", a.delete, root + "/a", recursive=True)
    call("delete the reserved", a.delete, "/zookeeper/quota")
    call("delete the root", a.delete, "/")
    call("sync", a.sync, root)
    call("sync missing", a.sync, root + "/none")
    call("parent", a.exists, root)
    call("large", lambda: a.set(root, b"x" * ((1 << 20) - 1024)).dataLength)
    call("read large", lambda: len(b.get(root)[0]))
    call("unicode", a.create, root + "/\u65e5\u672c\u8a9e", "\u65e5\u672c".encode())
    call("unicode read", lambda: a.get(root + "/\u65e5\u672c\u8a9e")[0].decode())


def asynchronous(a):
    root = section("many at once", a, "/async")
    results = []
    for i in range(20):
        results.append(a.create_async(root + "/n-", b"%d" % i, sequence=True, ephemeral=True))
        results.append(a.set_async(root, b"%d" % i))
        results.append(a.get_async(root))
        results.append(a.get_children_async(root + "/none"))
        results.append(a.exists_async(root + "/n-%010d" % i))
    for result in results:
        call("answer", result.get, timeout=20)


def acls(a):
    root = section("acls", a, "/acls")
    call("get_acls", a.get_acls, root)
    call("get_acls missing", a.get_acls, root + "/none")
    call("set_acls", a.set_acls, root, [make_digest_acl("user", "secret", all=True), make_acl("world", "anyone", read=True, admin=True)])
    call("set_acls bad version", a.set_acls, root, OPEN_ACL_UNSAFE, version=9)
    call("set_acls invalid", a.set_acls, root, [make_acl("ip", "not an ip", all=True)])
    call("set_acls empty", a.set_acls, root, [])
    call("set_acls no admin any more", a.set_acls, root, [make_digest_acl("user", "secret", all=True), make_acl("world", "anyone", read=True)])
    call("get_acls masked", a.get_acls, root)
    call("set", a.set, root, b"")
    call("create", a.create, root + "/x")
    call("set_acls", a.set_acls, root, OPEN_ACL_UNSAFE)
    c = connect()
    call("add_auth", c.add_auth, "digest", "user:secret")
    call("get_acls open", c.get_acls, root)
    call("set", c.set, root, b"x")
    call("create, creator's", c.create, root + "/mine", acl=CREATOR_ALL_ACL)
    call("  its acl", c.get_acls, root + "/mine")
    call("get by another", a.get, root + "/mine")
    call("exists by another", a.exists, root + "/mine")
    call("super", c.add_auth, "digest", "super:secret")
    call("delete the creator's", c.delete, root + "/mine")
    c.stop()
    c.close()
    d = connect(timeout=1, auth_data=[("digest", "user:secret"), ("digest", "more:x")])
    d.create(root + "/of-d", ephemeral=True)
    call("known from the start", d.create, root + "/auth", acl=[ACL(3, Id("auth", ""))])
    call("  its acl", lambda: sorted(show(acl) for acl in d.get_acls(root + "/auth")[0]))
    call("an unknown scheme", d.add_auth, "nothing", "x")
    d.stop()
    d.close()
    # A client that was refused does not close its session: it expires.
    until("its session's end", lambda: a.exists(root + "/of-d") is None)


def watches(a, b):
    root = section("watches", a, "/watches")
    events = Events(a)
    call("exists missing", a.exists, root + "/x", watch=events.watch("exists"))
    call("get_children", a.get_children, root, watch=events.watch("children"))
    call("get missing", a.get, root + "/x", watch=events.watch("data"))
    b.create(root + "/x")
    events.show()
    call("get", a.get, root + "/x", watch=events.watch("data"))
    call("get again", a.get, root + "/x", watch=events.watch("data, another"))
    call("exists", a.exists, root + "/x", watch=events.watch("exists"))
    call("get_children of it", a.get_children, root + "/x", watch=events.watch("children"))
    b.set(root + "/x", b"1")
    b.set(root + "/x", b"2")
    events.show()
    b.create(root + "/x/y")
    events.show()
    a.get(root + "/x", watch=events.watch("data"))
    a.get_children(root + "/x", watch=events.watch("children"))
    a.get_children(root, watch=events.watch("parent"))
    a.get(root + "/x/y", watch=events.watch("below"))
    b.delete(root + "/x", recursive=True)
    events.show()
    call("own", a.exists, root + "/own", watch=events.watch("own"))
    a.create(root + "/own")
    events.show()
    a.get(root + "/own", watch=events.watch("in a transaction"))
    t = b.transaction()
    t.set_data(root + "/own", b"t")
    t.delete(root + "/own")
    call("transaction", t.commit)
    events.show()


def transactions(a):
    root = section("transactions", a, "/multi")

    def everything(t):
        t.create(root + "/a", b"a")
        t.create(root + "/a/e", b"", ephemeral=True)
        t.create(root + "/a/s-", sequence=True)
        t.check(root + "/a", 0)
        t.set_data(root + "/a", b"b", 0)
        t.delete(root + "/a/e", 0)
        t.check(root + "/a", 1)

    for place in range(8):
        t = a.transaction()
        everything(t)
        operation = list(t.operations)
        t.operations = operation[:place]
        t.delete(root + "/missing")
        t.operations += operation[place:]
        call("failing at %d" % place, t.commit)
    t = a.transaction()
    everything(t)
    call("all", t.commit)
    call("stat", a.exists, root + "/a")
    call("nothing", a.transaction().commit)

    def commit_by_with():
        with a.transaction() as t:
            t.check(root, 9)

    call("with", commit_by_with)


def server(a):
    section("the server")
    call("server_version", lambda: len(a.server_version()) >= 3)
    call("ruok", a.command, b"ruok")
    call("isro", a.command, b"isro")
    call("mode", lambda: [x for x in a.command(b"stat").split("\n") if x.startswith("Mode")])
    call("nothing", a.command, b"nope")
    # No reconfig: this kazoo does not know the error RECONFIGDISABLED and its connection's thread dies of it.
    call("config", a.get, "/zookeeper/config")


def lives(a):
    root = section("sessions", a, "/lives")
    states = []
    way = Way()
    c = KazooClient(hosts=way.address(), timeout=5)
    c.add_listener(lambda state: states.append(str(state)))
    c.start(timeout=20)
    line("timeout %s" % c._session_timeout)
    identity = c.client_id
    c.create(root + "/e", ephemeral=True)
    call("password", lambda: len(identity[1]))
    way.cut()
    until("suspension", lambda: "SUSPENDED" in states)
    way.mend()
    until("reconnection", lambda: states[-1] == "CONNECTED")
    call("same session", lambda: (c.client_id == identity, c.get(root + "/e")))
    way.cut()
    until("suspension", lambda: states.count("SUSPENDED") == 2)
    d = connect(timeout=3, client_id=identity)
    line("taken over: %s" % (d.client_id == identity))
    call("its node", d.exists, root + "/e")
    d.stop()
    d.close()
    call("its node after closing", a.exists, root + "/e")
    way.mend()
    until("the first one's new session", lambda: states[-1] == "CONNECTED")
    call("states", lambda: states)
    call("another session", lambda: c.client_id[0] != identity[0])
    c.stop()
    c.close()
    e = connect(client_id=(0x1234, b"\0" * 16))
    call("an unknown one gets a new one", lambda: e.client_id[0] != 0x1234)
    e.restart()
    call("restarted", lambda: e.exists(root) is not None)
    e.stop()
    e.close()
    r = connect(read_only=True)
    call("may be read only", r.create, root + "/written")
    r.stop()
    r.close()
    f = KazooClient(hosts=ADDRESS + root)
    f.start(timeout=20)
    call("chroot", f.create, "/below", ephemeral=True)
    call("chroot children", lambda: sorted(f.get_children("/")))
    f.stop()
    f.close()
    call("after closing", a.exists, root + "/below")


def locks(a, b):
    root = section("recipes: locks", a, "/locks")
    one, two = a.Lock(root + "/lock", "one"), b.Lock(root + "/lock", "two")
    call("acquire", one.acquire, timeout=20)
    call("not twice", two.acquire, blocking=False)
    call("within 0.2 s", two.acquire, timeout=0.2)
    call("contenders", one.contenders)
    waiter = b.handler.spawn(lambda: two.acquire(timeout=20))
    until("the waiter", lambda: one.contenders() == ["one", "two"])
    call("contenders", one.contenders)
    call("release", one.release)
    waiter.join(20)
    call("now held by", lambda: [two.is_acquired, one.contenders()])
    call("release", two.release)
    reader, reader2, writer = a.ReadLock(root + "/rw", "r"), b.ReadLock(root + "/rw", "r2"), b.WriteLock(root + "/rw", "w")
    call("read", reader.acquire, timeout=20)
    call("read too", reader2.acquire, timeout=20)
    call("not write", writer.acquire, blocking=False)
    call("release", lambda: [reader.release(), reader2.release()])
    call("write", writer.acquire, timeout=20)
    call("not read", reader.acquire, blocking=False)
    call("release", writer.release)
    s1, s2, s3 = (c.Semaphore(root + "/sem", n, max_leases=2) for c, n in ((a, "1"), (b, "2"), (a, "3")))
    call("first", s1.acquire, timeout=20)
    call("second", s2.acquire, timeout=20)
    call("third", s3.acquire, blocking=False)
    call("holders", lambda: sorted(s1.lease_holders()))
    call("release", s1.release)
    call("third", s3.acquire, timeout=20)
    call("release", lambda: [s2.release(), s3.release()])
    lease = a.NonBlockingLease(root + "/lease", __import__("datetime").timedelta(seconds=60), identifier="me")
    call("lease", bool, lease)
    call("lease of another", bool, b.NonBlockingLease(root + "/lease", __import__("datetime").timedelta(seconds=60), identifier="you"))
    election = a.Election(root + "/election", "a")
    call("election", election.run, lambda: line("  leading among %s" % election.contenders()))


def meetings(a, b):
    root = section("recipes: barriers, counters, queues", a, "/meetings")
    barrier = Barrier(a, root + "/barrier")
    call("create", barrier.create)
    call("closed", Barrier(b, root + "/barrier").wait, timeout=0.2)
    call("remove", barrier.remove)
    call("open", Barrier(b, root + "/barrier").wait, timeout=20)
    first, second = DoubleBarrier(a, root + "/double", 2, "1"), DoubleBarrier(b, root + "/double", 2, "2")
    entering = [client.handler.spawn(d.enter) for client, d in ((a, first), (b, second))]
    [thread.join(20) for thread in entering]
    call("both are in", lambda: [first.participating, second.participating])
    leaving = [client.handler.spawn(d.leave) for client, d in ((a, first), (b, second))]
    [thread.join(20) for thread in leaving]
    call("both are out", lambda: sorted(a.get_children(root + "/double")))
    counter = a.Counter(root + "/counter", default=10)
    counter += 5
    counter -= 1
    call("counter", lambda: b.Counter(root + "/counter").value)
    queue = a.Queue(root + "/queue")
    [queue.put(value, priority) for value, priority in ((b"late", 200), (b"first", 100), (b"second", 100))]
    call("queue", lambda: [len(queue)] + [b.Queue(root + "/queue").get() for _ in range(4)])
    locking = a.LockingQueue(root + "/lockingqueue")
    locking.put_all([b"1", b"2"])
    locking.put(b"0", priority=10)
    for _ in range(3):
        call("get", locking.get, timeout=20)
        call("holds", locking.holds_lock)
        call("consume", locking.consume)
    call("get nothing", locking.get, timeout=0.2)
    party, shallow = a.Party(root + "/party", "a"), b.ShallowParty(root + "/shallow", "b")
    call("join", lambda: [party.join(), shallow.join()])
    call("party", lambda: [len(party), list(party), len(shallow), list(shallow)])
    call("leave", lambda: [party.leave(), shallow.leave()])
    call("party", lambda: [len(party), len(shallow)])
    parts = a.SetPartitioner(root + "/parts", set=("p1", "p2", "p3"), time_boundary=0.3)
    until("partition", lambda: parts.state == PartitionState.ACQUIRED or parts.wait_for_acquire(1))
    call("partition", lambda: sorted(list(parts)))
    parts.finish()


def mirrors(a, b):
    root = section("recipes: watching", a, "/mirrors")
    data, children = [], []
    a.DataWatch(root, lambda value, stat: data.append((value, stat.version if stat else None)))
    a.ChildrenWatch(root, lambda names: children.append(sorted(names)))
    for i in range(3):
        b.set(root, b"%d" % i)
        until("data", lambda: data and data[-1][0] == b"%d" % i)
        b.create(root + "/c%d" % i)
        until("children", lambda: children and len(children[-1]) == i + 1)
    call("data", lambda: data)
    call("children", lambda: children)
    cache = TreeCache(a, root)
    told = []
    ready = threading.Event()
    cache.listen(lambda event: ready.set() if event.event_type == TreeEvent.INITIALIZED else told.append((event.event_type, event.event_data.path if event.event_data else None)))
    cache.start()
    if not ready.wait(20):
        raise RuntimeError("the cache was not filled within 20 s")
    b.create(root + "/c0/deep", b"deep")
    until("created", lambda: cache.get_data(root + "/c0/deep") is not None)
    b.set(root + "/c0/deep", b"deeper")
    until("changed", lambda: cache.get_data(root + "/c0/deep").data == b"deeper")
    b.delete(root + "/c1")
    until("deleted", lambda: cache.get_data(root + "/c1") is None)
    call("cache", lambda: [sorted(cache.get_children(root)), cache.get_data(root + "/c0/deep").data])
    until("all told", lambda: len(told) >= 7)
    call("told", lambda: sorted(told))
    cache.close()
    b.delete(root, recursive=True)
    until("deletion", lambda: data[-1][0] is None)
    call("data", lambda: data[-1])


def main():
    a, b = connect(), connect()
    line("sessions %s %s" % (session(a.client_id[0]), session(b.client_id[0])))
    nodes(a, b)
    asynchronous(a)
    acls(a)
    watches(a, b)
    transactions(a)
    server(a)
    lives(a)
    locks(a, b)
    meetings(a, b)
    mirrors(a, b)
    for client in (a, b):
        client.stop()
        client.close()


main()
