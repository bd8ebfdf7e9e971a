package client_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
)

var ann = client.Auth{Scheme: "digest", Credential: []byte("ann:secret")}

// An identity holds in every session: the first, after a reconnect, and in those that follow.
func TestIdentitiesHold(t *testing.T) {
	for name, give := range map[string]func(*testing.T, *client.Client){
		"option": func(*testing.T, *client.Client) {},
		"added": func(t *testing.T, c *client.Client) {
			require.NoError(t, c.AddAuth(t.Context(), ann.Scheme, ann.Credential))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := startServer(t, nil)
				opts := &client.Options{}
				if name == "option" {
					opts.Auth = []client.Auth{ann}
				}
				c, l := connect(t, srv, opts)
				give(t, c)
				_, err := c.Create(t.Context(), "/mine", []byte("x"), &client.CreateOptions{ACL: client.AuthACL(client.PermAll)})
				require.NoError(t, err)
				acl, _, err := c.ACL(t.Context(), "/mine")
				require.NoError(t, err)
				require.Equal(t, client.DigestACL(client.PermAll, "ann", "secret"), acl)

				stranger, _ := connect(t, srv, nil)
				_, _, err = stranger.Get(t.Context(), "/mine")
				require.ErrorIs(t, err, client.ErrNoAuth)

				l.drop()
				_, _, err = c.Get(t.Context(), "/mine")
				require.NoError(t, err, "after a reconnect")
				l.cut()
				<-c.Session().Context().Done()
				l.plug()
				_, _, err = c.Get(t.Context(), "/mine")
				require.NoError(t, err, "in the next session")
			})
		})
	}
}

func TestRefusedCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t, nil)
		_, err := client.Connect(t.Context(), srv.ConnectString(), &client.Options{Dialer: srv.Dial, Auth: []client.Auth{{Scheme: "nonsense"}}})
		require.ErrorIs(t, err, client.ErrAuthFailed)
		require.ErrorContains(t, err, "nonsense")

		c, _ := connect(t, srv, nil)
		require.ErrorIs(t, c.AddAuth(t.Context(), "nonsense", nil), client.ErrAuthFailed)
		_, _, err = c.Get(t.Context(), "/")
		require.NoError(t, err, "and the client goes on without it")
	})
}

func TestDefaultACL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acl := client.WorldACL(client.PermRead | client.PermCreate)
		c, _ := connect(t, startServer(t, nil), &client.Options{ACL: acl})
		mustCreate(t, c, "/a/b", &client.CreateOptions{Parents: client.ContainerParents})
		for _, p := range []string{"/a", "/a/b"} {
			got, _, err := c.ACL(t.Context(), p)
			require.NoError(t, err)
			require.Equal(t, acl, got)
		}
	})
}
