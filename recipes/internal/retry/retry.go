// Package retry says which failures recipes meet with another try, and how soon.
//
// There are two reasons for one. The connection or the server was unwell, and the same again may work: [Transient], for what does no harm when it
// is done twice. Or the tree is not what it was when it was read, or may not be: [LookAgain], for what is decided anew by reading it again.
// Neither looks at contexts and sessions: whoever tries again without a wait that ends with them asks them first, since what failed because
// they are over may also be unknown.
package retry

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// Soon is how long to wait before the same is tried again.
const Soon = 10 * time.Millisecond

// Transient tells whether an operation failed, or may have failed, because of the connection or a server that has too much to do, and not
// because of what it is: the same again may work. It may also be done already.
func Transient(err error) bool {
	return errors.Is(err, client.ErrUnknown) || errors.Is(err, client.ErrConnectionLoss) || errors.Is(err, client.ErrThrottled)
}

// LostRace tells whether a write was refused because a node is there, is not there, or is not of the version that was expected: most likely
// somebody else was faster.
func LostRace(err error) bool {
	return errors.Is(err, client.ErrNodeExists) || errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrBadVersion)
}

// LookAgain tells whether a write has lost a race or may have been done: to read tells what is to be done now.
func LookAgain(err error) bool { return LostRace(err) || errors.Is(err, client.ErrUnknown) }

// Pause waits for so long, and tells whether ctx goes on.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
