package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-zookeeper/zk"
)

// Code is an answer of the server that is not success: one of ZooKeeper's own error codes (KeeperException.Code in Java). A
// Code is a kind of failure and is meant for [errors.Is]:
//
//	if errors.Is(err, client.ErrNoNode) { … }
//
// A server newer than this package may answer with a code that has no name here; it prints as its number and is found with
// errors.AsType[client.Code].
type Code int32

// The codes a client meets, with ZooKeeper's numbers.
const (
	ErrSystem               Code = -1   // the server failed inside
	ErrRuntimeInconsistency Code = -2   // this part of a multi was not tried, because an earlier or later part failed
	ErrDataInconsistency    Code = -3   // the server found its data inconsistent
	ErrConnectionLoss       Code = -4   // the connection ended before an answer came
	ErrMarshalling          Code = -5   // the server could not read the request
	ErrUnimplemented        Code = -6   // the server does not know, or has switched off, this operation
	ErrOperationTimeout     Code = -7   // the server gave up waiting
	ErrBadArguments         Code = -8   // the server does not accept these arguments
	ErrNewConfigNoQuorum    Code = -13  // no majority of the new configuration's participants is there and has caught up
	ErrReconfigInProgress   Code = -14  // another reconfiguration is under way
	ErrAPI                  Code = -100 // a general refusal
	ErrNoNode               Code = -101 // there is no node at this path
	ErrNoAuth               Code = -102 // the node's ACL does not allow it
	ErrBadVersion           Code = -103 // the node's version is not the expected one
	ErrNoChildrenEphemeral  Code = -108 // the parent is ephemeral and cannot have children
	ErrNodeExists           Code = -110 // there is already a node at this path
	ErrNotEmpty             Code = -111 // the node has children
	ErrSessionExpired       Code = -112 // the session is over
	ErrInvalidACL           Code = -114 // the ACL is empty or malformed
	ErrAuthFailed           Code = -115 // the server did not accept the credentials
	ErrClosing              Code = -116 // the server is closing the session
	ErrSessionMoved         Code = -118 // the session was taken to another server meanwhile
	ErrNotReadOnly          Code = -119 // a write reached a server that only reads at present
	ErrReconfigDisabled     Code = -123 // reconfiguration is switched off
	ErrQuotaExceeded        Code = -125 // the write would break a hard quota
	ErrThrottled            Code = -127 // the server is overloaded and refused the request
)

var codeTexts = map[Code]string{
	ErrSystem:               "system error of the server",
	ErrRuntimeInconsistency: "not tried, another part of the multi failed",
	ErrDataInconsistency:    "data inconsistency on the server",
	ErrConnectionLoss:       "connection lost",
	ErrMarshalling:          "server could not decode the request",
	ErrUnimplemented:        "not implemented by the server",
	ErrOperationTimeout:     "operation timed out on the server",
	ErrBadArguments:         "bad arguments",
	ErrNewConfigNoQuorum:    "no quorum of the new configuration is connected and synced",
	ErrReconfigInProgress:   "another reconfiguration is in progress",
	ErrAPI:                  "refused by the server",
	ErrNoNode:               "node does not exist",
	ErrNoAuth:               "not authorised",
	ErrBadVersion:           "version does not match",
	ErrNoChildrenEphemeral:  "an ephemeral node has no children",
	ErrNodeExists:           "node already exists",
	ErrNotEmpty:             "node has children",
	ErrSessionExpired:       "session expired",
	ErrInvalidACL:           "invalid ACL",
	ErrAuthFailed:           "authentication failed",
	ErrClosing:              "session is closing",
	ErrSessionMoved:         "session moved to another server",
	ErrNotReadOnly:          "server is read-only",
	ErrReconfigDisabled:     "reconfiguration is disabled",
	ErrQuotaExceeded:        "quota exceeded",
	ErrThrottled:            "throttled by the server",
}

// Error returns the code's meaning in words, or its number when it has none here.
func (c Code) Error() string {
	if text, ok := codeTexts[c]; ok {
		return text
	}
	return "zookeeper error code " + strconv.Itoa(int(c))
}

// Failures that are found on this side of the connection.
var (
	// ErrUnknown tells that a change may or may not have happened: it was handed to the connection, and no answer came back. It is
	// always found together with the reason (ErrConnectionLoss, the context's cause, …). A write that fails without ErrUnknown has
	// not happened and will not happen.
	ErrUnknown = errors.New("outcome unknown")
	// ErrClosed tells that the client was closed, by its user.
	ErrClosed = errors.New("client closed")
	// ErrInvalidPath tells that a path is not one: not absolute, empty or relative elements, a slash at the end, control characters.
	// Nothing was sent.
	ErrInvalidPath = errors.New("invalid path")
	// ErrTooLarge tells that a request does not fit into Options.MaxFrame, and was not sent; or that its answer does not, such as
	// the names of very many children. What a write has done whose answer does not fit is told with ErrUnknown.
	ErrTooLarge = errors.New("too large")
)

// Error is a failed operation: which one, on which path, and why. Every error of a Client's operation is one of these; Err is a
// [Code], one of this package's sentinels, a context's cause, or a chain of them.
type Error struct {
	Op   string // the operation, as the method is named: "create", "get", "multi", …
	Path string // as the caller wrote it, or of a parent that was to be made for it; empty when the operation has no path
	Err  error
}

// Error returns "op path: reason".
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Path + ": " + e.Err.Error()
}

// Unwrap returns the reason, for errors.Is and errors.AsType.
func (e *Error) Unwrap() error { return e.Err }

// unknown marks a reason as one that leaves the outcome open.
func unknown(reason error) error {
	if errors.Is(reason, ErrUnknown) {
		return reason
	}
	return fmt.Errorf("%w: %w", ErrUnknown, reason)
}

// errNeverSent is the library's promise that a request left its queue without having been written to a connection.
var errNeverSent = fmt.Errorf("%w before the request was sent", ErrConnectionLoss)

// libraryErrors is searched from the front, only after a failure.
var libraryErrors = []struct{ theirs, ours error }{
	{zk.ErrConnectionClosed, ErrConnectionLoss},
	{zk.ErrClosing, ErrConnectionLoss},
	{zk.ErrNoServer, errNeverSent},
	{zk.ErrAPIError, ErrAPI},
	{zk.ErrNoNode, ErrNoNode},
	{zk.ErrNoAuth, ErrNoAuth},
	{zk.ErrBadVersion, ErrBadVersion},
	{zk.ErrNoChildrenForEphemerals, ErrNoChildrenEphemeral},
	{zk.ErrNodeExists, ErrNodeExists},
	{zk.ErrNotEmpty, ErrNotEmpty},
	{zk.ErrSessionExpired, ErrSessionExpired},
	{zk.ErrInvalidACL, ErrInvalidACL},
	{zk.ErrAuthFailed, ErrAuthFailed},
	{zk.ErrSessionMoved, ErrSessionMoved},
	{zk.ErrReconfigDisabled, ErrReconfigDisabled},
	{zk.ErrBadArguments, ErrBadArguments},
	{zk.ErrInvalidPath, ErrInvalidPath},
}

// translate turns an error of go-zookeeper/zk into ours. What it does not know is a trouble of the connection or of a reply that
// did not decode, and becomes ErrConnectionLoss with the original beside it.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, e := range libraryErrors {
		if errors.Is(err, e.theirs) {
			return e.ours
		}
	}
	// A code the library has no name for reaches us as text only, number at its end: the one place where there is nothing else
	// to read it from. The library knows no Unimplemented, and containers must fall back on it.
	if number, ok := strings.CutPrefix(err.Error(), "unknown error: "); ok {
		if n, convErr := strconv.ParseInt(number, 10, 32); convErr == nil {
			if Code(n) == answerTooLarge {
				return fmt.Errorf("answer %w", ErrTooLarge)
			}
			return Code(n)
		}
	}
	return fmt.Errorf("%w: %w", ErrConnectionLoss, err)
}

// outcome adds to a translated failure of a write what it says about the write: a refusal by the server means it did not happen; the
// end of the connection, or a failure inside the server, leaves it open.
func outcome(err error) error {
	switch {
	case err == nil, errors.Is(err, errNeverSent):
		return err
	case errors.Is(err, ErrConnectionLoss), errors.Is(err, ErrSystem), errors.Is(err, ErrOperationTimeout),
		errors.Is(err, ErrTooLarge), // of an answer, here
		errors.Is(err, ErrAPI):      // the library's word, too, for the answer to a multi it cannot read
		return unknown(err)
	}
	return err
}
