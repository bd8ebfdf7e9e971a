package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// An Instance is what one process does that an example starts. It is given what Start was. ctx ends, with ErrAsked, when it is asked to end.
type Instance func(ctx context.Context, args []string) error

// ErrAsked is the cause in the context of an instance that was asked to end.
var ErrAsked = errors.New("asked to end")

// mark is the first argument of a process that is an instance.
const mark = "instance"

// IsInstance tells whether this process was started by Start. Where examples are tested the program is the test, whose TestMain asks.
func IsInstance() bool { return len(os.Args) > 1 && os.Args[1] == mark }

// runInstance runs an instance until it returns. It is asked to end by the end of its standard input, as that comes with the end of the
// process that started it, too, however that ends; a program that is started by others has signals for that.
func runInstance(instance Instance) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel(ErrAsked)
	}()
	if err := instance(ctx, os.Args[2:]); !errors.Is(err, ErrAsked) {
		return err
	}
	return nil
}

// A Process is an instance that was started, in a process of its own.
type Process struct {
	command *exec.Cmd
	input   io.Closer
	Output  io.Reader // what it prints
}

// Start starts this program once more, to be an instance. It is killed when ctx ends.
func Start(ctx context.Context, args ...string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, program, append([]string{mark}, args...)...)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %v: %w", args, err)
	}
	return &Process{command, input, output}, nil
}

// Kill ends the process at once, as kill -9 does: it says goodbye to nobody. It may have ended before.
func (p *Process) Kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait() // which says that it was killed
}

// End asks the process to end, waits until it has, and returns what went wrong.
func (p *Process) End() error {
	_ = p.ask()
	return p.command.Wait()
}

func (p *Process) ask() error { return p.input.Close() }
