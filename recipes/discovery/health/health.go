// Package health has checks that decide whether an instance of a service is listed, for discovery's RegisterOptions.Check:
//
//	discovery.RegisterOptions{Check: health.HTTP("http://localhost:8080/healthz", nil)}
//
// A check is a function that returns nil if all is well, and otherwise why it is not. It returns soon after its context has ended, and
// many goroutines may call it at once. Of several checks [All] makes one.
package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// Options say how a check over HTTP asks and what it accepts. The zero value works, and nil means the zero value.
type Options struct {
	// Method is what the check asks with. Default: GET.
	Method string
	// Header is sent with each request; Host in it is the host that is asked for.
	Header http.Header
	// Client makes the requests. Its Transport keeps connections, as the caller likes. Default: one that follows no redirect, and makes a
	// connection for each check, so that a server which takes no more of them is found out.
	Client *http.Client
	// Accept decides about an answer, of which it may read the body. Default: a status of 200 to 299.
	Accept func(*http.Response) error
}

// HTTP makes a check that asks a URL.
func HTTP(url string, opts *Options) func(context.Context) error {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	o.Method = cmp.Or(o.Method, http.MethodGet)
	if o.Client == nil {
		o.Client = &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if o.Accept == nil {
		o.Accept = success
	}
	return func(ctx context.Context) error { return o.ask(ctx, url) }
}

func (o *Options) ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, o.Method, url, nil)
	if err != nil {
		return err
	}
	if o.Header != nil {
		req.Header = o.Header.Clone()
		req.Host = o.Header.Get("Host")
	}
	resp, err := o.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := o.Accept(resp); err != nil {
		return fmt.Errorf("%s %s: %w", o.Method, url, err)
	}
	_, err = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s %s: %w", o.Method, url, err)
	}
	return nil
}

func success(resp *http.Response) error {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return errors.New(resp.Status)
	}
	return nil
}

// TCP makes a check that connects to an address, host:port, and hangs up.
func TCP(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// All makes one check of several, which are done at the same time and must all succeed.
func All(checks ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		errs := make([]error, len(checks))
		var all sync.WaitGroup
		for i, check := range checks {
			all.Go(func() { errs[i] = check(ctx) }) // ends soon after ctx
		}
		all.Wait()
		return errors.Join(errs...)
	}
}
