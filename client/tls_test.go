package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// terminate speaks TLS on a port and hands on what it hears to a server, until the test ends.
func terminate(t *testing.T, cert tls.Certificate, srv *ensemble.Server) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	require.NoError(t, err)
	var busy sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		busy.Wait()
	})
	busy.Go(func() { // ends with the listener
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := srv.Dial(context.Background(), "tcp", srv.ConnectString())
			if err != nil {
				near.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				busy.Go(func() { // ends with either connection
					_, _ = io.Copy(way[0], way[1])
					near.Close()
					far.Close()
				})
			}
		}
	})
	return l.Addr().String()
}

// TLS is the dialer's business: a certificate is checked against the name in the connect string, and who is not trusted is not spoken to.
func TestTLSByDialer(t *testing.T) {
	https := httptest.NewTLSServer(nil) // has a certificate for example.com, and a pool that trusts it
	defer https.Close()
	srv, err := ensemble.Start(t.Context(), nil)
	require.NoError(t, err)
	defer srv.Close()
	addr := terminate(t, https.TLS.Certificates[0], srv)
	trusted := x509.NewCertPool()
	trusted.AddCert(https.Certificate())
	dialer := func(roots *x509.CertPool) func(context.Context, string, string) (net.Conn, error) {
		d := tls.Dialer{Config: &tls.Config{RootCAs: roots}}
		return d.DialContext
	}

	c, err := client.Connect(t.Context(), addr, &client.Options{Dialer: dialer(trusted)})
	require.NoError(t, err)
	mustCreate(t, c, "/secret", nil)
	require.NoError(t, c.Close())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	suspicious, tries := dialer(x509.NewCertPool()), 0
	_, err = client.Connect(ctx, addr, &client.Options{Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if tries++; tries == 2 { // why the first has failed is known
			cancel()
		}
		return suspicious(ctx, network, addr)
	}})
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, err, &unknown, "and it says why")
}
