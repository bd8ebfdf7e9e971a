package client

import "time"

// Hooks are told of what a client does, for programs that count or log it in their own way. Each may be nil, and costs nothing then. They are
// called by whoever does it, by many goroutines at once except where it is said, must return soon, and must not use the client.
type Hooks struct {
	// State is told of each state of the connection, in order and none left out, by one goroutine. It may take its time; Close waits for
	// the last one, StateClosed.
	State func(StateChange)
	// Dialled is told of each try to reach a server, by one goroutine at a time: its address, how long it took, and why it failed. That a
	// server was reached does not mean that it takes the session. Of servers that Options.FollowConfig tries for the first time it
	// is not told.
	Dialled func(server string, took time.Duration, err error)
	// Retried is told when an operation failed in a way that allows another try, and will be tried again after a pause.
	Retried func(op, path string, pause time.Duration, err error)
	// Done is told of each operation when it has ended.
	Done func(OperationDone)
}

// OperationDone is an operation that has ended.
type OperationDone struct {
	Op    string // as in Error.Op
	Path  string // as the caller wrote it
	Took  time.Duration
	Tries int   // how often it was begun; 0 if it never was
	Err   error // an *Error, or nil
}
