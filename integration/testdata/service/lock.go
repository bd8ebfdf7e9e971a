//go:build lock

package main

import (
	"context"
	"errors"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

func init() {
	alone := work
	work = func(ctx context.Context, servers string) (err error) {
		c, err := client.Connect(ctx, servers, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		hold, err := lock.NewMutex(c, "/locks/service", nil).Lock(ctx)
		if err != nil {
			return err
		}
		err = alone(hold.Context(), servers)
		return errors.Join(err, hold.Release(context.WithoutCancel(ctx)))
	}
}
