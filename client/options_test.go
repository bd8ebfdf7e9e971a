package client

import (
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"
)

func TestOptionsZeroValueWorks(t *testing.T) {
	for _, o := range []*Options{nil, {}} {
		got, err := o.withDefaults()
		require.NoError(t, err)
		require.Equal(t, 15*time.Second, got.SessionTimeout)
		require.Equal(t, 5*time.Second, got.ConnectTimeout)
		require.Equal(t, 1<<20, got.MaxFrame)
		require.Equal(t, WorldACL(PermAll), got.ACL)
		require.NotNil(t, got.Dialer)
		require.NotNil(t, got.Logger)
	}
}

func TestOptionsReportAllProblemsAtOnce(t *testing.T) {
	_, err := (&Options{SessionTimeout: -1, ConnectTimeout: -1, MaxFrame: 3, Auth: []Auth{{}}}).withDefaults()
	require.ErrorContains(t, err, "SessionTimeout")
	require.ErrorContains(t, err, "ConnectTimeout")
	require.ErrorContains(t, err, "MaxFrame")
	require.ErrorContains(t, err, "Auth[0]")
}

// The library's own default stops after fifteen minutes, which would leave a client without a connection for good.
func TestPausesNeverStop(t *testing.T) {
	o, err := (*Options)(nil).withDefaults()
	require.NoError(t, err)
	for _, policy := range []backoff.BackOff{o.Reconnect(), o.Retry()} {
		policy.Reset()
		longest := time.Duration(0)
		for range 1000 {
			d := policy.NextBackOff()
			require.Positive(t, d)
			longest = max(longest, d)
		}
		require.LessOrEqual(t, longest, 7500*time.Millisecond+1)
	}
	p := newPacer(backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2))
	for range 5 {
		require.Equal(t, time.Second, p.next(), "a policy that stops is continued with its last pause")
	}
}

func TestParseServers(t *testing.T) {
	for _, c := range []struct {
		in      string
		servers []string
		chroot  string
	}{
		{"zk1", []string{"zk1:2181"}, ""},
		{"zk1:2182, zk2 ,,zk3:7", []string{"zk1:2182", "zk2:2181", "zk3:7"}, ""},
		{"zk1,zk2/app", []string{"zk1:2181", "zk2:2181"}, "/app"},
		{"zk1:1/app/search", []string{"zk1:1"}, "/app/search"},
		{"zk1:1/", []string{"zk1:1"}, ""},
		{"[::1]:2181,[::1]", []string{"[::1]:2181", "[::1]:2181"}, ""},
	} {
		servers, chroot, err := parseServers(c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, c.servers, servers, c.in)
		require.Equal(t, c.chroot, chroot, c.in)
	}
	for _, in := range []string{"", "/app", ",", "zk1/app/", "zk1//app", "zk1/../app", ":2181", "a:b:c", "zk1:"} {
		_, _, err := parseServers(in)
		require.Error(t, err, "%q", in)
	}
}

func TestCheckPath(t *testing.T) {
	for _, ok := range []string{"/", "/a", "/a/b.c", "/.a", "/a/..b", "/ä/ö"} {
		require.NoError(t, checkPath(ok, false), ok)
	}
	for _, bad := range []string{"", "a", "/a/", "//a", "/a//b", "/a/.", "/a/..", "/./a", "/a\x00b"} {
		require.ErrorIs(t, checkPath(bad, false), ErrInvalidPath, "%q", bad)
	}
	require.NoError(t, checkPath("/a/", true), "the number makes the name")
	require.ErrorIs(t, checkPath("/a//", true), ErrInvalidPath)
}

func TestChroot(t *testing.T) {
	plain, rooted := &Client{}, &Client{base: "/app"}
	for _, p := range []string{"/", "/a", "/a/b"} {
		require.Equal(t, p, plain.absolute(p))
		require.Equal(t, p, plain.relative(plain.absolute(p)))
		require.Equal(t, p, rooted.relative(rooted.absolute(p)))
	}
	require.Equal(t, "/app", rooted.absolute("/"))
	require.Equal(t, "/app/a", rooted.absolute("/a"))
	require.Equal(t, "/", parentOf("/a"))
	require.Equal(t, "/a", parentOf("/a/b"))
}

func TestRoundsVisitEveryServer(t *testing.T) {
	over, first := false, ""
	r := newRounds(newRoster([]string{"a", "b", "c"}), func() bool { return over }, func() string { return first })
	for range 4 {
		seen := map[string]bool{}
		for range 3 {
			s, last := r.Next()
			require.False(t, last, "the library would pause a second")
			seen[s] = true
		}
		require.Len(t, seen, 3)
	}
	first = "d"
	s, last := r.Next()
	require.False(t, last)
	require.Equal(t, "d", s)
	over = true
	s, last = r.Next()
	require.True(t, last, "the library looks for its end only at the end of a round")
	require.NotEqual(t, "d", s, "that is for the next session")
}

func FuzzServers(f *testing.F) {
	for _, s := range []string{"a", "a:1,b:2/app", "[::1],[fe80::1%eth0]:99/", " ,x", "h:/", "[a]b:1", "a/b//c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		servers, chroot, err := parseServers(s)
		if err != nil {
			return
		}
		again, root, err := parseServers(strings.Join(servers, ",") + chroot)
		require.NoError(t, err)
		require.Equal(t, servers, again)
		require.Equal(t, chroot, root)
	})
}
