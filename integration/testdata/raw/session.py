"""The client protocol byte by byte, well formed and not, and the four-letter words; the argument is the server's host:port.

Prints one line an exchange, in a form that is equal whenever servers behave equally: zxids count from the section's base,
times and session ids are words.
"""

import re
import socket
import struct
import sys
import time

HOST, PORT = sys.argv[1].rsplit(":", 1)
OPEN = [(31, b"world", b"anyone")]
base = 0
blind = False  # a section whose zxids are not compared


def line(text):
    print(text, flush=True)


def i32(n):
    return struct.pack(">i", n)


def i64(n):
    return struct.pack(">q", n)


def data(b):
    return i32(-1) if b is None else i32(len(b)) + b


def acl(entries):
    return i32(-1) if entries is None else i32(len(entries)) + b"".join(i32(p) + data(s) + data(n) for p, s, n in entries)


def vector(items):
    return i32(-1) if items is None else i32(len(items)) + b"".join(data(x) for x in items)


def create(path, value=b"", entries=OPEN, flags=0):
    return data(path) + data(value) + acl(entries) + i32(flags)


class Closed(Exception):
    pass


def zxid(n):
    return str(n) if n in (0, -1) else "z" if blind else "z%+d" % (n - base)


def moment(n):
    return "0" if n == 0 else "now" if abs(time.time() * 1000 - n) < 300000 else "another time"


def stat(b):
    czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, length, children, pzxid = struct.unpack(">qqqqiiiqiiq", b)
    return "[czxid %s mzxid %s pzxid %s ctime %s mtime %s version %d cversion %d aversion %d owner %s length %d children %d]" % (
        zxid(czxid), zxid(mzxid), zxid(pzxid), moment(ctime), moment(mtime), version, cversion, aversion,
        "a session" if owner else "0", length, children)


class Connection:
    def __init__(self, greet=True, **kwargs):
        self.socket = socket.create_connection((HOST, int(PORT)), timeout=20)
        self.xid = 0
        if greet:
            self.greeting = self.hello(**kwargs)

    def send(self, frame):
        try:
            self.socket.sendall(data(frame))
        except OSError:
            pass  # the server has closed: receiving will tell

    def exactly(self, n):
        b = b""
        while len(b) < n:
            try:
                more = self.socket.recv(n - len(b))
            except ConnectionError:
                raise Closed()
            if not more:
                raise Closed()
            b += more
        return b

    def receive(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def hello(self, timeout=5000, session=0, password=b"\0" * 16, seen=0, read_only=b"\0", version=0, more=b""):
        self.send(i32(version) + i64(seen) + i32(timeout) + i64(session) + data(password) + read_only + more)
        b = self.receive()
        version, self.timeout, self.session, length = struct.unpack(">iiqi", b[:20])
        self.password = b[20:20 + length]
        return "version %d timeout %d session %s password of %d%s, then %s" % (
            version, self.timeout, "new" if self.session not in (0, session) else "same" if self.session else "0", length,
            "" if any(self.password) else " zeros", b[20 + length:].hex() or "nothing")

    def request(self, op, body=b"", xid=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send(i32(xid) + i32(op) + body)

    def reply(self, ends_with_stat=False):
        b = self.receive()
        xid, z, err = struct.unpack(">iqi", b[:16])
        body = b[16:]
        if xid == -1:
            kind, state, _ = struct.unpack(">iii", body[:12])
            return "event %d %d %s at %s, " % (kind, state, body[12:].decode(), zxid(z)) + self.reply(ends_with_stat)
        self.seen = z
        text = "xid %s zxid %s err %d" % ("own" if xid == self.xid else xid, zxid(z), err)
        if len(body) >= 12 and ends_with_stat in ("names", "names and stat"):
            return text + " " + names(body) + (" " + stat(body[-68:]) if ends_with_stat == "names and stat" else "")
        if ends_with_stat == "multi" and len(body) >= 77:
            return text + " " + shown(body[:-77]) + " " + stat(body[-77:-9]) + " " + shown(body[-9:])
        if ends_with_stat and len(body) >= 68:
            return text + " " + shown(body[:-68]) + " " + stat(body[-68:])
        return text + " " + shown(body)

    def ask(self, what, op, body=b"", xid=None, ends_with_stat=False):
        self.request(op, body, xid)
        try:
            answer = self.reply(ends_with_stat)
        except Closed:
            answer = "closed"
        line("%s -> %s" % (what, answer))
        return answer != "closed"

    def show_end(self):
        """Prints whether the server closes the connection."""
        self.socket.settimeout(2)
        try:
            self.receive()
            line("  then -> more")
        except TimeoutError:
            line("  then -> open")
        except Closed:
            line("  then -> closed")

    def bury(self):
        """Ends the session, whatever has become of the connection, so that no expiry comes in between later."""
        self.socket.close()
        c = Connection(session=self.session, password=self.password)
        if c.session:
            c.request(-11)
            try:
                c.receive()
            except Closed:
                pass
        c.socket.close()


def names(b):
    """A vector of names, sorted: a server answers in no particular order."""
    count, at, all = struct.unpack(">i", b[:4])[0], 4, []
    for _ in range(count):
        n = struct.unpack(">i", b[at:at + 4])[0]
        all.append(b[at + 4:at + 4 + n].decode())
        at += 4 + n
    return str(sorted(all))


def shown(b):
    return (b[:60].hex() + ("... of %d" % len(b) if len(b) > 60 else "")) or "-"


def section(name, compare_zxids=True):
    """Begins a section; zxids count from that of a session opened and closed here."""
    global base, blind
    blind = not compare_zxids
    c = Connection()
    c.request(11)
    base = struct.unpack(">q", c.receive()[4:12])[0]
    c.bury()
    line("## " + name)


def handshakes():
    section("handshakes")
    cases = [
        ("ordinary", {}), ("without the byte for read only", {"read_only": b""}), ("may be read only", {"read_only": b"\1"}),
        ("strange byte for read only", {"read_only": b"\7"}), ("timeout 0", {"timeout": 0}), ("timeout -1", {"timeout": -1}),
        ("longest timeout", {"timeout": 2**31 - 1}), ("strange version", {"version": 77}), ("password of 3", {"password": b"abc"}),
        ("null password", {"password": None}), ("no password", {"password": b""}), ("more than asked", {"more": b"more"}),
        ("ahead of the server", {"seen": 1 << 40}), ("negative zxid", {"seen": -5}), ("unknown session", {"session": 0x1234}),
        ("unknown session, without the byte", {"session": 0x1234, "read_only": b""}),
        ("unknown session, ahead", {"session": 0x1234, "seen": 1 << 40}),
    ]
    for what, kwargs in cases:
        try:
            c = Connection(**kwargs)
        except Closed:
            line(what + " -> closed")
            continue
        line("%s -> %s" % (what, c.greeting))
        if c.session:
            c.ask("  ping", 11)
            c.bury()
        else:
            c.ask("  ping", 11)
    c = Connection()
    line("wrong password -> " + Connection(session=c.session).greeting)
    c.ask("  the session's own connection", 11)
    d = Connection(session=c.session, password=c.password, timeout=9000)
    line("right password -> " + d.greeting)
    e = Connection(session=d.session, password=d.password)
    d.ask("  its older connection", 11)
    e.ask("  its newer connection", 11)
    e.ask("  a second connect request", 0, i32(5000) + i64(0) + data(b"\0" * 16), xid=0)
    e.bury()
    for what, raw in (
        ("empty frame", data(b"")), ("eight bytes", data(b"12345678")), ("negative length", i32(-1)), ("too long by one", i32(1048576)),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n"), ("null session", data(i32(0) + i64(0) + i32(5000) + i64(0) + i32(-7))),
        ("huge password", data(i32(0) + i64(0) + i32(5000) + i64(0) + i32(1 << 30))),
        ("request before the handshake", data(i32(1) + i32(11))),
    ):
        c = Connection(greet=False)
        c.socket.sendall(raw)
        try:
            line("%s -> %s" % (what, shown(c.receive())))
        except Closed:
            line(what + " -> closed")
    c = Connection(greet=False)
    c.socket.sendall(data(i32(0) + i64(0) + i32(5000) + i64(0) + data(b"\0" * 16) + b"\0") + data(i32(1) + i32(11)) + data(i32(2) + i32(3) + data(b"/") + b"\0"))
    c.xid = 1
    greeting = c.receive()
    c.session, c.password = struct.unpack(">q", greeting[8:16])[0], greeting[20:36]
    line("everything in one segment -> %s | %s" % (c.reply(), c.reply(True)))
    c.bury()


def reads(c, path, name):
    for op, what in ((3, "exists"), (4, "getData"), (8, "getChildren"), (12, "getChildren2")):
        c.ask("%s of %s" % (what, name), op, path + b"\0", ends_with_stat={8: "names", 12: "names and stat"}.get(op, True))
    for op, what in ((6, "getACL"), (9, "sync"), (103, "getEphemerals"), (104, "getAllChildrenNumber")):
        c.ask("%s of %s" % (what, name), op, path, ends_with_stat=op == 6)


def writes(c, path, name):
    c.ask("create %s" % name, 1, path + data(b"x") + acl(OPEN) + i32(0))
    c.ask("create2 %s" % name, 15, path + data(b"x") + acl(OPEN) + i32(0), ends_with_stat=True)
    c.ask("create %s sequential" % name, 1, path + data(b"x") + acl(OPEN) + i32(2))
    c.ask("setData %s" % name, 5, path + data(b"x") + i32(-1), ends_with_stat=True)
    c.ask("setACL %s" % name, 7, path + acl(OPEN) + i32(-1), ends_with_stat=True)
    c.ask("check %s" % name, 14, multi((13, path + i32(-1))))
    c.ask("delete %s" % name, 2, path + i32(77))


def paths():
    section("paths")
    c = Connection()
    c.ask("a node", 1, create(b"/paths"))
    for name, path in (
        ("nothing", b""), ("/", b"/"), ("relative", b"paths"), ("ending in a slash", b"/paths/"), ("two slashes", b"//paths"),
        (". in it", b"/paths/./x"), (".. in it", b"/paths/.."), ("a zero in it", b"/paths/\0x"), ("not UTF-8", b"/paths/\xff"),
        ("a lone surrogate", b"/paths/\xed\xa0\x80"), ("a sheep", b"/paths/\xf0\x9f\x90\x91"), ("private use", b"/paths/\xee\x80\x80"),
        ("missing", b"/paths/none/x"),
    ):
        reads(c, data(path), name)
        writes(c, data(path), name)
    c.bury()


def truncated():
    # Whether a write that does not decode takes a zxid is not for a client to know.
    section("null paths", compare_zxids=False)
    c = Connection()
    reads(c, data(None), "null")
    writes(c, data(None), "null")
    c.bury()
    section("bodies that do not decode", compare_zxids=False)
    good = {
        1: create(b"/t"), 2: data(b"/t") + i32(-1), 3: data(b"/t") + b"\0", 4: data(b"/t") + b"\0", 5: data(b"/t") + data(b"") + i32(-1),
        6: data(b"/t"), 7: data(b"/t") + acl(OPEN) + i32(-1), 8: data(b"/t") + b"\0", 9: data(b"/t"), 12: data(b"/t") + b"\0",
        14: multi((2, data(b"/t") + i32(-1))), 15: create(b"/t"), 16: data(None) + data(None) + data(None) + i64(-1),
        17: data(b"/t") + i32(1), 18: data(b"/t") + i32(1), 19: create(b"/t", flags=4), 21: create(b"/t", flags=5) + i64(1),
        22: multi((4, data(b"/t") + b"\0")), 101: i64(0) + vector([]) * 3, 103: data(b"/t"), 104: data(b"/t"),
        105: i64(0) + vector([]) * 5, 106: data(b"/t") + i32(0),
    }
    c = Connection()
    for op, body in good.items():
        for what, bad in (("no body", b""), ("one byte short", body[:-1]), ("huge length", i32(0x7fffffff) + body[4:]), ("length -2", i32(-2) + body[4:])):
            if not c.ask("op %d, %s" % (op, what), op, bad):
                c.bury()
                c = Connection()
        if op not in (9,):
            c.ask("op %d, more than asked" % op, op, body + b"more", ends_with_stat=op in (15, 19, 21))
        c.ask("  and a delete", 2, data(b"/t") + i32(-1))
    c.ask("acl of -1", 1, create(b"/t", entries=None))
    c.ask("acl of -2", 1, data(b"/t") + data(b"") + i32(-2) + i32(0))
    c.ask("acl of too many", 1, data(b"/t") + data(b"") + i32(1 << 28) + i32(0))
    c.ask("acl with a null scheme", 1, create(b"/t", entries=[(31, None, b"anyone")]))
    c.ask("acl with a null auth", 1, create(b"/t", entries=[(31, b"auth", None)]))
    c.ask("data of -2", 1, data(b"/t") + i32(-2) + acl(OPEN) + i32(0))
    c.ask("what is left", 3, data(b"/t") + b"\0", ends_with_stat=True)
    for what, frame in (("half a header", i32(1)), ("nothing", b"")):
        d = Connection()
        d.send(frame)
        d.xid = 7
        if not d.ask(what, 11):
            d.bury()
    c.bury()


def multi(*ops):
    return b"".join(i32(op) + b"\0" + i32(-1) + body for op, body in ops) + i32(-1) + b"\1" + i32(-1)


def operations():
    section("op codes nobody knows")
    for op in (0, 10, 13, 23, 99, 108, -1, -2, 1000, -100):
        d = Connection()
        if d.ask("op %d" % op, op, data(b"/o") + i32(-1)):
            d.show_end()
        d.bury()
    section("operations")
    c = Connection()
    c.ask("create", 1, create(b"/o"))
    for flags in (-1, 4, 5, 6, 7, 100):
        for op in (1, 15, 19):
            c.ask("op %d flags %d" % (op, flags), op, create(b"/o/%d-%d" % (op, flags), flags=flags), ends_with_stat=True)
    for flags in (0, 1, 2, 3, 4, 5, 6, 7):
        for ttl in (0, 1000, 1 << 40):
            c.ask("ttl %d flags %d" % (ttl, flags), 21, create(b"/o/ttl%d-%d" % (flags, ttl), flags=flags) + i64(ttl), ends_with_stat=True)
    c.ask("container with flags 2", 19, create(b"/o/c-", flags=2), ends_with_stat=True)
    c.ask("container with flags 0", 19, create(b"/o/c0", flags=0), ends_with_stat=True)
    c.ask("container with flags 1", 19, create(b"/o/c1", flags=1), ends_with_stat=True)
    c.ask("addWatch of mode 7", 106, data(b"/o") + i32(7))
    c.ask("addWatch of mode -1", 106, data(b"/o") + i32(-1))
    for op in (17, 18):
        for kind in (0, 1, 2, 3, 4, 5, 6, 9, -1):
            c.ask("op %d type %d" % (op, kind), op, data(b"/o") + i32(kind))
    c.ask("persistent", 106, data(b"/o") + i32(0))
    c.ask("recursive", 106, data(b"/o") + i32(1))
    c.ask("data", 4, data(b"/o") + b"\7", ends_with_stat=True)
    for kind in (1, 2, 3, 4, 5):
        c.ask("checkWatches type %d" % kind, 17, data(b"/o") + i32(kind))
    for kind in (1, 5, 4, 2, 3):
        c.ask("removeWatches type %d" % kind, 18, data(b"/o") + i32(kind))
    c.ask("ping with a number of its own", 11, xid=55)
    c.ask("exists with number -2", 3, data(b"/o") + b"\0", xid=-2, ends_with_stat=True)
    c.ask("exists with number -8", 3, data(b"/o") + b"\0", xid=-8, ends_with_stat=True)
    c.ask("whoAmI", 107)
    c.ask("whoAmI with a body", 107, b"body")
    c.ask("getEphemerals of null", 103, data(None))
    c.ask("reconfig", 16, data(b"server.2=h:1:2") + data(b"") + data(None) + i64(-1))
    c.ask("sasl", 102, data(b"token"))
    c.ask("sasl, null", 102, data(None))
    c.bury()


def multis():
    section("multi", compare_zxids=False)
    c = Connection()
    c.ask("root", 1, create(b"/m"))
    c.ask("empty", 14, multi())
    c.ask("no terminator", 14, b"")
    c.ask("unknown type", 14, multi((99, b"")))
    c.ask("a read", 14, multi((4, data(b"/m") + b"\0")))
    c.ask("a write and a read", 14, multi((13, data(b"/m") + i32(-1)), (4, data(b"/m") + b"\0")))
    c.ask("nested", 14, multi((14, multi())))
    c.ask("setACL", 14, multi((7, data(b"/m") + acl(OPEN) + i32(-1))))
    c.ask("truncated", 14, multi((13, data(b"/m") + i32(-1)))[:-5])
    c.ask("null path", 14, multi((13, data(None) + i32(-1))))
    c.ask("null acl", 14, multi((1, create(b"/m/x", entries=None))))
    c.ask("flags 9", 14, multi((1, create(b"/m/x", flags=9))))
    for op in (1, 15, 19):
        for flags in (0, 1, 2, 4, 5):
            made = multi((op, create(b"/m/%d-%d" % (op, flags), flags=flags)))
            c.ask("op %d flags %d" % (op, flags), 14, made, ends_with_stat="multi" if op != 1 or flags == 4 else False)
    c.ask("ttl with flags 5", 14, multi((21, create(b"/m/t", flags=5) + i64(1000))), ends_with_stat="multi")
    c.ask("ttl of 0", 14, multi((21, create(b"/m/t", flags=5) + i64(0))))
    c.ask("ttl with flags 0", 14, multi((21, create(b"/m/t0", flags=0) + i64(1000))), ends_with_stat="multi")
    c.ask("deleteContainer", 14, multi((20, data(b"/m"))))
    c.ask("closeSession", 14, multi((-11, b"")))
    c.ask("an error", 14, multi((-1, i32(-5))))
    c.ask("multiRead empty", 22, multi())
    c.ask("multiRead of a write", 22, multi((2, data(b"/m") + i32(-1))))
    c.ask("multiRead, both", 22, multi((4, data(b"/none") + b"\1"), (8, data(b"/none") + b"\1"), (8, data(b"/m/1-0") + b"\1")))
    c.ask("multiRead of exists", 22, multi((3, data(b"/m") + b"\0")))
    c.ask("multiRead truncated", 22, multi((4, data(b"/m") + b"\0"))[:-1])
    c.bury()


def auths():
    section("auth")
    c = Connection()
    c.ask("digest", 100, i32(0) + data(b"digest") + data(b"u:p"), xid=-4)
    c.ask("digest with a number of its own", 100, i32(0) + data(b"digest") + data(b"v:p"))
    c.ask("strange type", 100, i32(9) + data(b"digest") + data(b"w:p"), xid=-4)
    c.ask("ip", 100, i32(0) + data(b"ip") + data(b""), xid=-4)
    for what, secret in (("no colon", b"user"), ("nothing", b""), ("colon only", b":"), ("no user", b":p"), ("no password", b"u:"), ("not UTF-8", b"\xff:\xfe")):
        c.ask("digest, " + what, 100, i32(0) + data(b"digest") + data(secret), xid=-4)
    c.ask("then", 11)
    c.bury()
    for what, body in (("null scheme", i32(0) + data(None) + data(b"x")), ("null auth", i32(0) + data(b"digest") + data(None)), ("truncated", i32(0)),
                       ("nothing", b""), ("unknown scheme", i32(0) + data(b"none") + data(b"x")), ("huge", i32(0) + i32(1 << 30))):
        d = Connection()
        if d.ask(what, 100, body, xid=-4):
            d.show_end()
        d.bury()


def set_watches():
    section("setWatches")
    c, d = Connection(), Connection()
    for path in (b"/w", b"/w/a", b"/w/b", b"/w/c"):
        c.ask("create", 1, create(path))
    seen = c.seen
    c.ask("set", 5, data(b"/w/a") + data(b"x") + i32(-1), ends_with_stat=True)
    c.ask("create", 1, create(b"/w/b/x"))
    every = [b"/w/a", b"/w/b", b"/w/c", b"/w/none", b"", b"nonsense"]
    d.ask("setWatches", 101, i64(seen) + vector(every) + vector(every) + vector(every), xid=-8)
    d.ask("setWatches, own number", 101, i64(1 << 60) + vector([b"/w/a"]) + vector([b"/w/none"]) + vector([b"/w"]))
    d.ask("setWatches2", 105, i64(seen) + vector([]) + vector([]) + vector([]) + vector([b"/w/c", b"/w/c"]) + vector([b"/w"]))
    d.ask("null lists", 101, i64(seen) + vector(None) * 3)
    d.ask("null lists 2", 105, i64(seen) + vector(None) * 5)
    d.ask("a null path", 101, i64(seen) + vector([None]) + vector([]) * 2)
    for op, body in ((5, data(b"/w/c") + data(b"") + i32(-1)), (1, create(b"/w/c/y")), (1, create(b"/w/none")), (2, data(b"/w/a") + i32(-1))):
        c.request(op, body)
        c.receive()
        d.ask("told", 11)
    c.bury()
    d.bury()


def closings():
    section("closing")
    c = Connection()
    c.ask("create", 1, create(b"/e", flags=1))
    c.request(-11)
    c.request(3, data(b"/e") + b"\0")
    line("closeSession -> " + c.reply())
    try:
        line("what follows -> " + c.reply())
    except Closed:
        line("what follows -> closed")
    line("its session -> " + Connection(session=c.session, password=c.password).greeting)
    c = Connection()
    c.ask("its node", 3, data(b"/e") + b"\0")
    c.request(1, create(b"/p"))
    c.request(3, data(b"/p") + b"\1")
    c.request(5, data(b"/p") + data(b"x") + i32(0))
    c.request(4, data(b"/p") + b"\0")
    c.request(2, data(b"/p") + i32(-1))
    c.request(3, data(b"/p") + b"\0")
    for what, with_stat in (("create", False), ("exists", True), ("set", True), ("get", True), ("delete", False), ("exists", False)):
        c.xid = {"create": c.xid}.get(what, c.xid)
        line("pipelined %s -> %s" % (what, c.reply(with_stat)))
    c.bury()


def word(text, more=b""):
    s = socket.create_connection((HOST, int(PORT)), timeout=20)
    s.sendall(text + more)
    b = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                break
            b += part
    except ConnectionError:
        pass
    s.close()
    return b.decode()


def tidy(text):
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    text = re.sub(r"sid=0x[0-9a-f]+", "sid=SESSION", text)
    text = re.sub(r"0x[0-9a-f]{8,}", "SESSION", text)
    text = re.sub(r"(est|lresp|llat|minlat|avglat|maxlat)=\d+", r"\1=N", text)
    text = re.sub(r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d \S+ \d{4}", "DATE", text)
    text = re.sub(r"Latency min/avg/max: \d+/\d+\.\d+/\d+", "Latency min/avg/max: N/N.N/N", text)
    text = re.sub(r"(dataDir|dataLogDir)=/.*/", r"\1=DIR/", text)
    return re.sub(r"(clientPort|dataDirSize|dataLogSize|datadir_size|logdir_size)(=|: )\d+", r"\1\2N", text)


def servers_only():
    """Op codes of transactions that a server makes by itself."""
    section("what only a server may ask for", compare_zxids=False)
    c = Connection()
    c.ask("create", 1, create(b"/only"))
    c.ask("lock it", 7, data(b"/only") + acl([(1, b"world", b"anyone")]) + i32(-1), ends_with_stat=True)
    c.bury()
    for what, op, body in (("createSession", -10, i32(5000)), ("deleteContainer", 20, data(b"/only"))):
        d = Connection()
        d.request(op, body)
        try:
            reply = d.receive()  # to createSession Apache answers with the beginning of something else
            line("%s -> %s" % (what, "refused" if reply[12:16] == i32(-6) else "done"))
            d.show_end()
        except Closed:
            line(what + " -> closed")
        d.bury()
    c = Connection()
    c.ask("what is left", 3, data(b"/only") + b"\0", ends_with_stat=True)
    c.bury()


def words():
    c, d = Connection(), Connection()
    for who, op, body in (
        (c, 1, create(b"/e1", flags=1)), (c, 1, create(b"/e2", flags=1)), (c, 4, data(b"/e1") + b"\1"), (c, 4, data(b"/e2") + b"\1"),
        (d, 4, data(b"/e1") + b"\1"), (d, 8, data(b"/") + b"\1"), (d, 106, data(b"/e1") + i32(1)), (d, 3, data(b"/none") + b"\1"),
    ):
        who.request(op, body)
        who.receive()
    for text in (b"ruok", b"isro", b"gtmk", b"srvr", b"stat", b"conf", b"cons", b"wchs", b"wchc", b"wchp", b"dirs", b"dump"):
        line("## four-letter word " + text.decode())
        answer = re.sub(r"Zookeeper version: \S+, built on \d{4}-\d\d-\d\d \d\d:\d\d \w+", "Zookeeper version: VERSION, built on DATE", word(text))
        answer = re.sub(r"Zookeeper version: \S+, built on \d\d/\d\d/\d{4} \d\d:\d\d \w+", "Zookeeper version: VERSION, built on OLD DATE", answer)
        answer = re.sub(r"(Zxid|lzxid)([:=] ?)0x[0-9a-f]+", r"\1\2ZXID", answer)
        if text in (b"stat", b"srvr"):
            # How many requests came before is for the server to count: whether pings of its own clients are among them is not.
            answer = re.sub(r"(Received|Sent): \d+", r"\1: N", answer)
        if text == b"dump":
            # Which deadlines there are depends on the moment.
            answer = re.sub(r"\(\d+\)/\(\d+\)", "(N)/(N)", answer)
            answer = re.sub(r"(?m)^\d+ expire at .*\n", "", answer)
        lines = tidy(answer).split("\n")
        if text in (b"cons", b"stat", b"wchc", b"wchp", b"dump"):
            lines = ordered(lines)
        if text == b"dump":
            lines = list(dict.fromkeys(lines))  # a connection may still be listed when it has just been closed
        line("\n".join(lines).replace("\n\n", "\n(empty line)\n"))
    line("## four-letter word envi")
    line("\n".join(x.split("=")[0] for x in word(b"envi").split("\n")))
    line("## four-letter word mntr, the names")
    known = dict(x.split("\t") for x in word(b"mntr").strip().split("\n"))
    line(" ".join(sorted(known)))
    line("## four-letter word mntr, what is known of the values")
    for name in ("server_state", "num_alive_connections", "outstanding_requests", "znode_count", "watch_count", "ephemerals_count", "global_sessions", "local_sessions"):
        line("%s %s" % (name, known.get("zk_" + name)))
    line("## four-letter words that change")
    for text, more in ((b"stmk", i64(0x112)), (b"gtmk", b""), (b"crst", b""), (b"srst", b""), (b"ruok\n", b""), (b"ruok", b"ruok")):
        line("%s -> %r" % (text.decode().strip(), word(text, more)))
    line("## four-letter words that are not")
    for text in (b"nope", b"RUOK", b"kill", b"reqs", b"\xff\xf4\xff\xfd", b"req"):
        s = socket.create_connection((HOST, int(PORT)), timeout=20)
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        try:
            line("%r -> %r" % (text, s.recv(4096)))
        except ConnectionError:
            line("%r -> %r" % (text, b""))
        s.close()
    c.bury()
    d.bury()


def ordered(lines):
    """Blocks of a line and the indented ones below it, sorted inside and among themselves: their order is not defined."""
    blocks = []
    for x in lines:
        if x.startswith("\t") and blocks:
            blocks[-1].append(x)
        else:
            blocks.append([x])
    flat = [[b[0]] + sorted(b[1:]) for b in blocks]
    out, run = [], []
    for b in flat + [[None]]:
        if b[0] is not None and (b[0].startswith(" /") or (b[0] and len(b) > 1)):
            run.append(b)
            continue
        for r in sorted(run):
            out += r
        run = []
        if b[0] is not None:
            out += b
    return out


handshakes()
paths()
truncated()
operations()
multis()
auths()
set_watches()
closings()
words()
servers_only()
