package fence_test

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/recipes/lock/fence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A database understands the few statements that the tests and the package make, and one transaction at a time.
type database struct {
	mu     sync.Mutex // held by a transaction, or a statement outside of one
	tables map[string]map[string]row
	asked  []string
	broken error
}

type row map[string]int64

func open(t *testing.T) (*sql.DB, *database) {
	d := &database{tables: make(map[string]map[string]row)}
	db := sql.OpenDB(d)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db, d
}

func openExample() (*sql.DB, map[string]map[string]row) {
	d := &database{tables: make(map[string]map[string]row)}
	return sql.OpenDB(d), d.tables
}

func (d *database) Connect(context.Context) (driver.Conn, error) { return &conn{database: d}, nil }
func (d *database) Driver() driver.Driver                        { return nil }

type conn struct {
	*database
	before map[string]map[string]row // what a rollback restores; nil: there is no transaction
}

func (c *conn) Close() error                        { return nil }
func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (c *conn) Begin() (driver.Tx, error) {
	c.mu.Lock()
	c.before = make(map[string]map[string]row)
	for name, table := range c.tables {
		c.before[name] = make(map[string]row)
		for key, r := range table {
			c.before[name][key] = maps.Clone(r)
		}
	}
	return c, nil
}

func (c *conn) Commit() error { return c.end() }

func (c *conn) Rollback() error {
	c.tables = c.before
	return c.end()
}

func (c *conn) end() error {
	c.before = nil
	c.mu.Unlock()
	return nil
}

var (
	create = regexp.MustCompile(`^CREATE TABLE IF NOT EXISTS (\w+) `)
	insert = regexp.MustCompile(`^INSERT INTO (\w+) \(resource, token, uses\) VALUES \(\?, \?, 1\)$`)
	update = regexp.MustCompile(`^UPDATE (\w+) SET token = \?, uses = uses \+ 1 WHERE resource = \? AND token <= \?$`)
	write  = regexp.MustCompile(`^UPDATE (\w+) SET balance = \?, token = \? WHERE id = \? AND token <= \?$`)
	find   = regexp.MustCompile(`^SELECT 1 FROM (\w+) WHERE resource = \?$`)
	number = regexp.MustCompile(`\$\d+`)
)

func (c *conn) statement(query string) (string, error) {
	c.asked = append(c.asked, query)
	return number.ReplaceAllString(query, "?"), c.broken
}

func (c *conn) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.before == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
	}
	query, err := c.statement(query)
	if err != nil {
		return nil, err
	}
	text := func(i int) string { return args[i].Value.(string) }
	num := func(i int) int64 { return args[i].Value.(int64) }
	if m := create.FindStringSubmatch(query); m != nil {
		if c.tables[m[1]] == nil {
			c.tables[m[1]] = make(map[string]row)
		}
		return driver.RowsAffected(0), nil
	}
	if m := insert.FindStringSubmatch(query); m != nil {
		if c.tables[m[1]][text(0)] != nil {
			return nil, errors.New("duplicate key")
		}
		c.tables[m[1]][text(0)] = row{"token": num(1), "uses": 1}
		return driver.RowsAffected(1), nil
	}
	if m := update.FindStringSubmatch(query); m != nil {
		r := c.tables[m[1]][text(1)]
		if r == nil || r["token"] > num(2) {
			return driver.RowsAffected(0), nil
		}
		r["token"] = num(0)
		r["uses"]++
		return driver.RowsAffected(1), nil
	}
	if m := write.FindStringSubmatch(query); m != nil {
		r := c.tables[m[1]][text(2)]
		if r == nil || r["token"] > num(3) {
			return driver.RowsAffected(0), nil
		}
		r["balance"], r["token"] = num(0), num(1)
		return driver.RowsAffected(1), nil
	}
	return nil, fmt.Errorf("syntax error: %s", query)
}

func (c *conn) QueryContext(_ context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	query, err := c.statement(query)
	m := find.FindStringSubmatch(query)
	if m == nil {
		err = cmp.Or(err, fmt.Errorf("syntax error: %s", query))
	}
	if err != nil {
		return nil, err
	}
	if c.tables[m[1]][args[0].Value.(string)] == nil {
		return &result{}, nil
	}
	return &result{left: 1}, nil
}

type result struct{ left int }

func (r *result) Columns() []string { return []string{"1"} }
func (r *result) Close() error      { return nil }
func (r *result) Next(dest []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	dest[0] = int64(1)
	return nil
}

func TestExec(t *testing.T) {
	db, d := open(t)
	d.tables["account"] = map[string]row{"zoe": {"balance": 1, "token": 7}}
	set := func(id string, balance, token int64) error {
		return fence.Exec(t.Context(), db, "UPDATE account SET balance = ?, token = ? WHERE id = ? AND token <= ?", balance, token, id, token)
	}
	require.NoError(t, set("zoe", 2, 7))
	require.NoError(t, set("zoe", 3, 9))
	require.ErrorIs(t, set("zoe", 4, 8), fence.ErrStale)
	require.ErrorIs(t, set("adam", 4, 10), fence.ErrStale, "there is no such row")
	require.Equal(t, row{"balance": 3, "token": 9}, d.tables["account"]["zoe"])
	d.broken = errors.New("out of order")
	require.ErrorIs(t, set("zoe", 5, 10), d.broken)
}

func TestTable(t *testing.T) {
	for _, table := range []fence.Table{{}, {Name: "fences", Numbered: true}} {
		db, d := open(t)
		ctx, name := t.Context(), cmp.Or(table.Name, "fencing_tokens")
		require.NoError(t, table.Create(ctx, db))
		require.NoError(t, table.Create(ctx, db))
		check := func(resource string, token int64) error {
			tx, err := db.BeginTx(ctx, nil)
			require.NoError(t, err)
			if err := table.Check(ctx, tx, resource, token); err != nil {
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		}
		for _, step := range []struct {
			resource string
			token    int64
			want     error
		}{{"a", 5, nil}, {"a", 5, nil}, {"a", 4, fence.ErrStale}, {"b", 4, nil}, {"a", 9, nil}, {"a", 5, fence.ErrStale}, {"a", 9, nil}} {
			require.ErrorIs(t, check(step.resource, step.token), step.want, "%v", step)
		}
		require.Equal(t, map[string]row{"a": {"token": 9, "uses": 4}, "b": {"token": 4, "uses": 1}}, d.tables[name])
		for _, query := range d.asked {
			if !strings.HasPrefix(query, "CREATE") {
				require.Equal(t, table.Numbered, strings.Contains(query, "$1"), query)
				require.Equal(t, !table.Numbered, strings.Contains(query, "?"), query)
			}
		}
		d.broken = errors.New("out of order")
		require.ErrorIs(t, check("a", 10), d.broken)
	}
}

// Whatever order they come in, work under an older token never follows work under a newer one.
func TestTableKeepsTheOrder(t *testing.T) {
	db, _ := open(t)
	var table fence.Table
	require.NoError(t, table.Create(t.Context(), db))
	var (
		done []int64 // guarded by the transaction
		all  sync.WaitGroup
	)
	for token := range int64(20) {
		all.Go(func() {
			for {
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				err = table.Check(t.Context(), tx, "a", token)
				if err != nil {
					_ = tx.Rollback()
					if !errors.Is(err, fence.ErrStale) {
						t.Error(err)
					}
					return
				}
				done = append(done, token)
				enough := len(done) > 100
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
				if enough {
					return
				}
			}
		})
	}
	all.Wait()
	require.True(t, slices.IsSorted(done), "%v", done)
}

// holder holds until it is ended.
type holder struct {
	token int64
	ctx   context.Context
}

func (h holder) Token() int64             { return h.token }
func (h holder) Context() context.Context { return h.ctx }

func TestTransport(t *testing.T) {
	var got []string
	base := roundTrip(func(r *http.Request) (*http.Response, error) {
		got = append(got, r.Header.Get(fence.Header))
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	transport := &fence.Transport{Holder: holder{7, ctx}, Base: base}
	r := httptest.NewRequest(http.MethodPut, "http://crane/hook", strings.NewReader("up"))
	_, err := transport.RoundTrip(r)
	require.NoError(t, err)
	require.Equal(t, []string{"7"}, got)
	require.Empty(t, r.Header.Get(fence.Header), "the caller's request is left alone")
	lost := errors.New("lost")
	cancel(lost)
	_, err = transport.RoundTrip(r)
	require.ErrorIs(t, err, lost)
	require.Len(t, got, 1)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func request(h http.Handler, method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set(fence.Header, token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	db, d := open(t)
	var table fence.Table
	require.NoError(t, table.Create(t.Context(), db))
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for name, h := range map[string]http.Handler{
		"in memory":  fence.NewHandler(next, nil, nil),
		"in a table": fence.NewHandler(next, nil, table.In(db)),
	} {
		for _, step := range []struct {
			method, path, token string
			want                int
		}{
			{"GET", "/a", "", 204}, {"PUT", "/a", "", 428}, {"PUT", "/a", "seven", 400},
			{"PUT", "/a", "7", 204}, {"POST", "/a", "7", 204}, {"DELETE", "/a", "6", 412}, {"GET", "/a", "6", 204},
			{"PUT", "/b", "6", 204}, {"PUT", "/a", "9", 204}, {"PUT", "/a", "7", 412},
		} {
			w := request(h, step.method, step.path, step.token)
			require.Equal(t, step.want, w.Code, "%s: %v", name, step)
		}
		require.Equal(t, "9", request(h, "PUT", "/a", "7").Header().Get(fence.Header))
	}
	again := fence.NewHandler(next, nil, table.In(db))
	require.Equal(t, http.StatusPreconditionFailed, request(again, "PUT", "/a", "8").Code, "the table remembers")
	d.broken = errors.New("out of order")
	require.Equal(t, http.StatusServiceUnavailable, request(again, "PUT", "/a", "9").Code)
	d.broken = nil
	one := fence.NewHandler(next, func(*http.Request) string { return "all" }, nil)
	require.Equal(t, http.StatusNoContent, request(one, "PUT", "/a", "7").Code)
	require.Equal(t, http.StatusPreconditionFailed, request(one, "PUT", "/b", "6").Code)
}

// A newer request waits until the older ones that are in have been served, and none comes in any more.
func TestHandlerKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu     sync.Mutex
			events []string
			all    sync.WaitGroup
		)
		log := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, text)
		}
		h := fence.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			log(r.Header.Get(fence.Header) + " begins")
			time.Sleep(time.Minute)
			log(r.Header.Get(fence.Header) + " ends")
		}), nil, nil)
		send := func(ctx context.Context, token int) {
			r := httptest.NewRequestWithContext(ctx, http.MethodPut, "/a", nil)
			r.Header.Set(fence.Header, strconv.Itoa(token))
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					log(fmt.Sprint(token, " ", w.Code))
				}
			})
			synctest.Wait()
		}
		send(t.Context(), 1)
		send(t.Context(), 1)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		send(impatient, 2) // gives up, and is the greatest all the same
		send(t.Context(), 3)
		send(t.Context(), 1)
		send(t.Context(), 2)
		time.Sleep(2 * time.Second)
		send(t.Context(), 4)
		send(t.Context(), 3)
		all.Wait()
		require.Equal(t, []string{
			"1 begins", "1 begins", "1 412", "2 412", "2 503", "3 412", "1 ends", "1 ends", "3 begins", "3 ends", "4 begins", "4 ends",
		}, events)
	})
}
