package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// The exit codes. 0 to 3 mean what they mean for Apache's server (class ExitCode).
const (
	exitOK         = 0
	exitUnexpected = 1  // anything without a code of its own
	exitInvalid    = 2  // the command line or the configuration is wrong
	exitDataDir    = 3  // the data directory cannot be used, or what is in it is damaged
	exitListen     = 5  // the client address cannot be listened on
	exitStorage    = 6  // a running server ended itself because a write or sync to its log failed
	exitAnswer     = 20 // the server answered with an error that has no code of its own
	exitNoNode     = 21 // the server answered: no node
	exitNodeExists = 22 // the server answered: node exists
	exitBadVersion = 23 // the server answered: bad version
	exitNoAuth     = 24 // the server answered: not authorised
	exitUnreached  = 30 // no server could be reached, or the connection broke
	exitTimeout    = 31 // time ran out before the answer, or before the events asked for
)

const exitCodesHelp = `Exit codes:
   0  done
   1  anything not listed here
   2  the command line or the configuration is wrong
server:
   3  the data directory cannot be used, or what is in it is damaged
   5  the client address cannot be listened on
   6  a write or sync of the log failed; nothing was acknowledged after it
client:
  20  the server answered with another error than these:
  21  no node
  22  node exists
  23  bad version
  24  not authorised
  30  no server could be reached, or the connection broke; a change may have happened
  31  time ran out before the answer, or before the events asked for`

// usageError is a command line that cannot be followed.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// exitError is an error whose exit code is known where it arises.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitCode says how the program ends after err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if known, ok := errors.AsType[*exitError](err); ok {
		return known.code
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitInvalid
	}
	if code, ok := errors.AsType[znode.Code](err); ok {
		return exitCodeOf(code)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return exitTimeout
	}
	return exitUnexpected
}

func exitCodeOf(code znode.Code) int {
	switch code {
	case znode.CodeNoNode:
		return exitNoNode
	case znode.CodeNodeExists:
		return exitNodeExists
	case znode.CodeBadVersion:
		return exitBadVersion
	case znode.CodeNoAuth:
		return exitNoAuth
	}
	return exitAnswer
}
