/*
 * ZooKeeper's C client doing everything it offers; the argument is the server's host:port.
 *
 * Prints one line a call, in a form that is equal whenever servers behave equally: zxids count from the section's base,
 * times are only "0" or "now", session ids are names, unordered lists are sorted.
 */
#define THREADED
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

static const char *address;
static int64_t base;
static int64_t sessions[32];
static int session_count;

/* Everything below is guarded by lock; changed is signalled on each change. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char told[256][256];
static int told_count;
static int synced;

struct client {
    const char *name;
    zhandle_t *zh;
    int state; /* the last session event's */
};

static void die(const char *what) {
    printf("gave up: %s\n", what);
    exit(1);
}

static void wait_changed(const char *what) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    if (pthread_cond_timedwait(&changed, &lock, &end) != 0) die(what);
}

static const char *event_name(int type) {
    if (type == ZOO_CREATED_EVENT) return "created";
    if (type == ZOO_DELETED_EVENT) return "deleted";
    if (type == ZOO_CHANGED_EVENT) return "changed";
    if (type == ZOO_CHILD_EVENT) return "child";
    if (type == ZOO_NOTWATCHING_EVENT) return "not watching";
    return "another";
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context) {
    struct client *c = (struct client *)zoo_get_context(zh);
    (void)path;
    (void)context;
    if (type != ZOO_SESSION_EVENT || c == NULL) return;
    pthread_mutex_lock(&lock);
    c->state = state;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *label) {
    (void)zh;
    if (type == ZOO_SESSION_EVENT) return;
    pthread_mutex_lock(&lock);
    if (told_count < 256) snprintf(told[told_count++], 256, "  %s: %s %d %s", (const char *)label, event_name(type), state, path);
    pthread_mutex_unlock(&lock);
}

static void on_sync(int rc, const char *value, const void *data) {
    (void)rc;
    (void)value;
    (void)data;
    pthread_mutex_lock(&lock);
    synced = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int by_text(const void *a, const void *b) { return strcmp((const char *)a, (const char *)b); }

/* Waits until all that the server sent before now has been delivered, and prints it. */
static void events(struct client *c) {
    int i, from;
    synced = 0;
    if (zoo_async(c->zh, "/", on_sync, NULL) != ZOK) die("sync");
    pthread_mutex_lock(&lock);
    while (!synced) wait_changed("sync's answer");
    /* One event goes to several watchers in no particular order. */
    for (from = 0, i = 1; i <= told_count; i++) {
        if (i == told_count || strcmp(strchr(told[i], ':'), strchr(told[from], ':')) != 0) {
            qsort(told[from], i - from, sizeof told[0], by_text);
            from = i;
        }
    }
    for (i = 0; i < told_count; i++) puts(told[i]);
    if (told_count == 0) puts("  no event");
    told_count = 0;
    pthread_mutex_unlock(&lock);
}

static const char *session(int64_t id) {
    static char names[4][16];
    static int next;
    int i;
    if (id == 0) return "0";
    for (i = 0; i < session_count && sessions[i] != id; i++) {
    }
    if (i == session_count && session_count < 32) sessions[session_count++] = id;
    next = (next + 1) % 4;
    snprintf(names[next], sizeof names[next], "s%d", i + 1);
    return names[next];
}

static const char *zxid(int64_t z) {
    static char texts[8][32];
    static int next;
    next = (next + 1) % 8;
    if (z == 0) return "0";
    snprintf(texts[next], sizeof texts[next], "z%+lld", (long long)(z - base));
    return texts[next];
}

static const char *moment(int64_t millis) {
    int64_t away = (int64_t)time(NULL) * 1000 - millis;
    if (millis == 0) return "0";
    return away > -300000 && away < 300000 ? "now" : "another time";
}

static void show_stat(const struct Stat *s) {
    printf(" [czxid %s mzxid %s pzxid %s ctime %s mtime %s version %d cversion %d aversion %d owner %s length %d children %d]",
           zxid(s->czxid), zxid(s->mzxid), zxid(s->pzxid), moment(s->ctime), moment(s->mtime), s->version, s->cversion, s->aversion,
           session(s->ephemeralOwner), s->dataLength, s->numChildren);
}

/* Prints the beginning of a call's line; true if it succeeded. */
static int result(const char *what, int rc) {
    printf("%s -> ", what);
    if (rc != ZOK) printf("error %d %s\n", rc, zerror(rc));
    return rc == ZOK;
}

static void simple(const char *what, int rc) {
    if (result(what, rc)) printf("done\n");
}

static void create(struct client *c, const char *what, const char *path, const char *value, int length, const struct ACL_vector *acl,
                   int mode, int64_t ttl) {
    char made[256] = "";
    struct Stat stat;
    if (result(what, zoo_create2_ttl(c->zh, path, value, length, acl, mode, ttl, made, sizeof made, &stat))) {
        printf("%s", made);
        show_stat(&stat);
        printf("\n");
    }
}

static void get(struct client *c, const char *what, const char *path) {
    static char buffer[2 << 20];
    int length = sizeof buffer;
    struct Stat stat;
    if (result(what, zoo_get(c->zh, path, 0, buffer, &length, &stat))) {
        if (length > 200) printf("%d bytes", length);
        else if (length < 0) printf("null");
        else printf("'%.*s'", length, buffer);
        show_stat(&stat);
        printf("\n");
    }
}

static void exists(struct client *c, const char *what, const char *path) {
    struct Stat stat;
    if (result(what, zoo_exists(c->zh, path, 0, &stat))) {
        show_stat(&stat);
        printf("\n");
    }
}

static void set(struct client *c, const char *what, const char *path, const char *value, int length, int version) {
    struct Stat stat;
    if (result(what, zoo_set2(c->zh, path, value, length, version, &stat))) {
        show_stat(&stat);
        printf("\n");
    }
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void children(struct client *c, const char *what, const char *path) {
    struct String_vector names;
    struct Stat stat;
    int i;
    if (result(what, zoo_get_children2(c->zh, path, 0, &names, &stat))) {
        qsort(names.data, names.count, sizeof names.data[0], by_name);
        for (i = 0; i < names.count; i++) printf("%s ", names.data[i]);
        show_stat(&stat);
        printf("\n");
        deallocate_String_vector(&names);
    }
}

static void get_acl(struct client *c, const char *what, const char *path) {
    struct ACL_vector acl;
    struct Stat stat;
    int i;
    if (result(what, zoo_get_acl(c->zh, path, &acl, &stat))) {
        for (i = 0; i < acl.count; i++) printf("%s:%s:%d ", acl.data[i].id.scheme, acl.data[i].id.id, acl.data[i].perms);
        show_stat(&stat);
        printf("\n");
        deallocate_ACL_vector(&acl);
    }
}

/* Begins a section with a node of its own, whose czxid is what the section counts zxids from. */
static void section(struct client *c, const char *title, const char *path) {
    struct Stat stat;
    int rc = zoo_create2(c->zh, path, NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0, &stat);
    printf("## %s\n", title);
    if (rc != ZOK) die("the section's node");
    base = stat.czxid;
}

static struct client *opening(const char *name, const char *where, int timeout, const clientid_t *id, int flags) {
    struct client *c = calloc(1, sizeof *c);
    c->name = name;
    c->zh = zookeeper_init(where, on_session, timeout, id, c, flags);
    if (c->zh == NULL) die("zookeeper_init");
    return c;
}

static void await_state(struct client *c, int state) {
    pthread_mutex_lock(&lock);
    while (c->state != state) wait_changed("a session's state");
    pthread_mutex_unlock(&lock);
}

static struct client *connected(const char *name, const char *where, int timeout, const clientid_t *id, int flags) {
    struct client *c = opening(name, where, timeout, id, flags);
    await_state(c, ZOO_CONNECTED_STATE);
    return c;
}

static void closing(struct client *c) {
    simple("close", zookeeper_close(c->zh));
}

static void nodes(struct client *a, struct client *b) {
    static char large[2 << 20];
    int i;
    char path[64];
    struct ACL bad_entry = {31, {"digest", "nothing"}};
    struct ACL_vector bad = {1, &bad_entry}, none = {0, NULL};
    section(a, "nodes", "/nodes");
    for (i = 0; i <= 6; i++) {
        snprintf(path, sizeof path, "/nodes/mode%d-", i);
        create(a, "create", path, "v", 1, &ZOO_OPEN_ACL_UNSAFE, i, i >= 5 ? 60000 : -1);
    }
    create(a, "mode 7", "/nodes/x", "v", 1, &ZOO_OPEN_ACL_UNSAFE, 7, -1);
    simple("create without stat", zoo_create(a->zh, "/nodes/plain", "v", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, path, sizeof path));
    simple("container without stat", zoo_create(a->zh, "/nodes/container", "v", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, path, sizeof path));
    simple("ttl without stat", zoo_create_ttl(a->zh, "/nodes/ttl", "v", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 60000, path, sizeof path));
    create(a, "ttl 0", "/nodes/x", "v", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 0);
    create(a, "ttl too long", "/nodes/x", "v", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 1LL << 40);
    create(a, "exists", "/nodes", "v", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "no parent", "/nodes/x/y", "v", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "below an ephemeral", "/nodes/mode1-/x", "v", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "below a container", "/nodes/container/x", "v", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "invalid acl", "/nodes/x", "v", 1, &bad, 0, -1);
    create(a, "empty acl", "/nodes/x", "v", 1, &none, 0, -1);
    create(a, "creator's, unknown", "/nodes/x", "v", 1, &ZOO_CREATOR_ALL_ACL, 0, -1);
    create(a, "null", "/nodes/null", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "empty", "/nodes/empty", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "not normal", "/nodes//x", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "dots", "/nodes/../x", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "slash at the end", "/nodes/x/", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "control character", "/nodes/\x01", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "not utf-8", "/nodes/\xff\xfe", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "outside the plane", "/nodes/\xf0\x9f\x90\x91", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    create(a, "utf-8", "/nodes/\xe6\x97\xa5", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    children(a, "children", "/nodes");
    children(a, "children missing", "/nodes/none");
    get(b, "get", "/nodes/plain");
    get(b, "get null", "/nodes/null");
    get(b, "get empty", "/nodes/empty");
    get(b, "get missing", "/nodes/none");
    exists(b, "exists", "/nodes/mode1-");
    exists(b, "exists missing", "/nodes/none");
    set(a, "set", "/nodes/plain", "new", 3, 0);
    set(a, "set bad version", "/nodes/plain", "new", 3, 0);
    set(a, "set null", "/nodes/plain", NULL, -1, -1);
    set(a, "set missing", "/nodes/none", "new", 3, -1);
    simple("set without stat", zoo_set(a->zh, "/nodes/plain", "x", 1, -1));
    get(b, "get", "/nodes/plain");
    set(a, "set large", "/nodes/plain", large, (1 << 20) - 1024, -1);
    get(b, "get large", "/nodes/plain");
    simple("delete bad version", zoo_delete(a->zh, "/nodes/plain", 9));
    simple("delete not empty", zoo_delete(a->zh, "/nodes", -1));
    simple("delete missing", zoo_delete(a->zh, "/nodes/none", -1));
    simple("delete", zoo_delete(a->zh, "/nodes/plain", -1));
    simple("delete the root", zoo_delete(a->zh, "/", -1));
    simple("delete the reserved", zoo_delete(a->zh, "/zookeeper", -1));
    exists(a, "parent", "/nodes");
}

static void acls(struct client *a) {
    struct ACL mine[2] = {{31, {"digest", "user:5w9W4eL3797Y4Wq8AcKUPPk8ha4="}}, {1, {"world", "anyone"}}};
    struct ACL_vector list = {2, mine};
    struct client *c;
    section(a, "acls", "/acls");
    get_acl(a, "get_acl", "/acls");
    get_acl(a, "get_acl missing", "/acls/none");
    simple("set_acl bad version", zoo_set_acl(a->zh, "/acls", 7, &list));
    simple("set_acl", zoo_set_acl(a->zh, "/acls", 0, &list));
    get_acl(a, "get_acl masked", "/acls");
    simple("set_acl, no more admin", zoo_set_acl(a->zh, "/acls", -1, &ZOO_OPEN_ACL_UNSAFE));
    set(a, "set", "/acls", "x", 1, -1);
    create(a, "create", "/acls/x", "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    simple("add_auth", zoo_add_auth(a->zh, "digest", "user:secret", 11, NULL, NULL));
    get_acl(a, "get_acl open", "/acls");
    set(a, "set", "/acls", "x", 1, -1);
    create(a, "creator's", "/acls/x", "x", 1, &ZOO_CREATOR_ALL_ACL, 0, -1);
    get_acl(a, "its acl", "/acls/x");
    c = connected("c", address, 1000, NULL, 0);
    create(c, "its node", "/nodes/of-c", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, -1);
    get(c, "by another", "/acls/x");
    simple("add_auth of no scheme", zoo_add_auth(c->zh, "nothing", "x", 1, NULL, NULL));
    await_state(c, ZOO_AUTH_FAILED_STATE);
    exists(c, "after it", "/");
    closing(c);
    /* A client that was refused does not close its session: it expires. */
    while (zoo_exists(a->zh, "/nodes/of-c", 0, NULL) == ZOK) usleep(20000);
}

static void watch(struct client *a, const char *path) {
    struct Stat stat;
    struct String_vector names;
    char buffer[64];
    int length = sizeof buffer;
    printf("watch %s: exists %d", path, zoo_wexists(a->zh, path, on_event, "exists", &stat));
    printf(" get %d", zoo_wget(a->zh, path, on_event, "data", buffer, &length, &stat));
    length = zoo_wget_children(a->zh, path, on_event, "children", &names);
    if (length == ZOK) deallocate_String_vector(&names);
    printf(" children %d\n", length);
}

static void watches(struct client *a, struct client *b) {
    struct String_vector names;
    struct Stat stat;
    char buffer[64];
    int length = sizeof buffer;
    section(a, "watches", "/watches");
    watch(a, "/watches/x");
    watch(a, "/watches");
    create(b, "create", "/watches/x", "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    events(a);
    watch(a, "/watches/x");
    set(b, "set", "/watches/x", "y", 1, -1);
    set(b, "set", "/watches/x", "z", 1, -1);
    create(b, "create", "/watches/x/y", "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    events(a);
    watch(a, "/watches/x");
    simple("delete below", zoo_delete(b->zh, "/watches/x/y", -1));
    events(a);
    watch(a, "/watches/x");
    simple("delete", zoo_delete(b->zh, "/watches/x", -1));
    events(a);
    create(a, "create", "/watches/x", "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    events(a);
    watch(a, "/watches/x");
    simple("remove data", zoo_remove_watches(a->zh, "/watches/x", ZWATCHTYPE_DATA, on_event, "data", 0));
    simple("remove data again", zoo_remove_watches(a->zh, "/watches/x", ZWATCHTYPE_DATA, on_event, "data", 0));
    simple("remove children", zoo_remove_watches(a->zh, "/watches/x", ZWATCHTYPE_CHILD, on_event, "children", 0));
    events(a);
    set(b, "set", "/watches/x", "z", 1, -1);
    events(a);
    watch(a, "/watches/x");
    simple("remove all", zoo_remove_all_watches(a->zh, "/watches/x", ZWATCHTYPE_ANY, 0));
    simple("remove all again", zoo_remove_all_watches(a->zh, "/watches/x", ZWATCHTYPE_ANY, 0));
    events(a);
    set(b, "set", "/watches/x", "z", 1, -1);
    events(a);
    if (zoo_wget_children2(a->zh, "/watches", on_event, "children2", &names, &stat) == ZOK) deallocate_String_vector(&names);
    simple("config", zoo_wgetconfig(a->zh, on_event, "config", buffer, &length, &stat));
    create(b, "create", "/watches/z", "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    events(a);
}

static void multis(struct client *a) {
    enum { N = 8 };
    int place, i;
    section(a, "multi", "/multi");
    for (place = 0; place <= N; place++) {
        zoo_op_t ops[N];
        zoo_op_result_t results[N];
        char made[3][64];
        struct Stat stat;
        int k = 0, rc;
        memset(results, 0, sizeof results);
        memset(&stat, 0, sizeof stat);
        memset(made, 0, sizeof made);
        zoo_create_op_init(&ops[k++], "/multi/a", "a", 1, &ZOO_OPEN_ACL_UNSAFE, 0, made[0], 64);
        zoo_create_op_init(&ops[k++], "/multi/a/e", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, made[1], 64);
        zoo_create_op_init(&ops[k++], "/multi/a/s-", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, made[2], 64);
        zoo_check_op_init(&ops[k++], "/multi/a", 0);
        zoo_set_op_init(&ops[k++], "/multi/a", "b", 1, 0, &stat);
        zoo_delete_op_init(&ops[k++], "/multi/a/e", 0);
        zoo_check_op_init(&ops[k++], "/multi/a", 1);
        zoo_delete_op_init(&ops[k++], "/multi/a/s-0000000001", -1);
        if (place < N) zoo_delete_op_init(&ops[place], "/multi/missing", -1);
        rc = zoo_multi(a->zh, N, ops, results);
        printf("failing at %d -> %d:", place, rc);
        for (i = 0; i < N; i++) printf(" %d", results[i].err);
        if (rc == ZOK) {
            printf(" %s %s %s", made[0], made[1], made[2]);
            show_stat(&stat);
        }
        printf("\n");
    }
    exists(a, "a", "/multi/a");
    exists(a, "root", "/multi");
}

static void lives(struct client *a) {
    struct client *c, *d;
    clientid_t id, wrong;
    int flags = ZOO_READONLY;
    char rooted[128];
    section(a, "sessions", "/lives");
    c = connected("c", address, 3000, NULL, 0);
    printf("timeout %d, state connected %d\n", zoo_recv_timeout(c->zh), zoo_state(c->zh) == ZOO_CONNECTED_STATE);
    create(c, "its node", "/lives/e", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, -1);
    id = *zoo_client_id(c->zh);
    wrong = id;
    wrong.passwd[0] ^= 1;
    d = opening("d", address, 3000, &wrong, 0);
    await_state(d, ZOO_EXPIRED_SESSION_STATE);
    printf("wrong password: expired\n");
    exists(d, "after it", "/lives");
    closing(d);
    wrong.client_id = 0x1234;
    d = opening("d", address, 3000, &wrong, 0);
    await_state(d, ZOO_EXPIRED_SESSION_STATE);
    printf("unknown session: expired\n");
    closing(d);
    /* The server drops the connection of a session that somebody else asks for, whatever the password. */
    while (zoo_exists(c->zh, "/lives/e", 0, NULL) != ZOK) usleep(20000);
    exists(a, "its node lives", "/lives/e");
    closing(c);
    exists(a, "its node after closing", "/lives/e");
    d = opening("d", address, 3000, &id, 0);
    await_state(d, ZOO_EXPIRED_SESSION_STATE);
    printf("closed session: expired\n");
    closing(d);
    d = connected("d", address, 100000, NULL, flags);
    printf("may be read only: timeout %d\n", zoo_recv_timeout(d->zh));
    create(d, "writes", "/lives/written", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    closing(d);
    snprintf(rooted, sizeof rooted, "%s/lives", address);
    d = connected("d", rooted, 3000, NULL, 0);
    create(d, "with a root", "/rooted", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, -1);
    children(d, "its root", "/");
    closing(d);
    exists(a, "where it is", "/lives/rooted");
}

static void reconfig(struct client *a) {
    char buffer[256];
    int length = sizeof buffer;
    struct Stat stat;
    printf("## config\n");
    base = 0;
    if (result("getconfig", zoo_getconfig(a->zh, 0, buffer, &length, &stat))) {
        printf("%d bytes", length);
        show_stat(&stat);
        printf("\n");
    }
    length = sizeof buffer;
    simple("reconfig", zoo_reconfig(a->zh, "server.2=127.0.0.1:1:2:participant;3", NULL, NULL, -1, buffer, &length, &stat));
    length = sizeof buffer;
    simple("reconfig whole", zoo_reconfig(a->zh, NULL, NULL, "server.2=127.0.0.1:1:2:participant;3", -1, buffer, &length, &stat));
}

int main(int argc, char **argv) {
    struct client *a, *b;
    if (argc != 2) return 2;
    address = argv[1];
    setvbuf(stdout, NULL, _IOLBF, 0);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    a = connected("a", address, 6000, NULL, 0);
    b = connected("b", address, 6000, NULL, 0);
    printf("sessions %s", session(zoo_client_id(a->zh)->client_id));
    printf(" %s\n", session(zoo_client_id(b->zh)->client_id));
    nodes(a, b);
    acls(a);
    watches(a, b);
    multis(a);
    lives(a);
    reconfig(a);
    closing(a);
    closing(b);
    return 0;
}
