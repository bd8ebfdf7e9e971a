package history

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/anishathalye/porcupine"
)

// pictureSteps bounds the search for the orders that a picture shows.
const pictureSteps = 200_000

// draw draws operations that have no order, if that is wanted.
func (s *search[S, I, O]) draw(ops []Operation[I, O]) error {
	if s.opts.Picture == "" {
		return nil
	}
	steps := 0
	_, info := porcupine.CheckOperationsVerbose(s.porcupine(func() bool { steps++; return steps > pictureSteps }), translate(ops), 0)
	file, err := os.Create(s.opts.Picture)
	if err != nil {
		return fmt.Errorf("history: draw: %w", err)
	}
	err = porcupine.Visualize(s.porcupine(func() bool { return false }), info, file)
	return errors.Join(err, file.Close())
}

// pair is an operation in porcupine's form, as input. There is no output.
type pair[I, O any] struct {
	in  I
	out *O
}

// porcupine is the model in porcupine's form. Once it is enough nothing is possible any more, which ends the search.
func (s *search[S, I, O]) porcupine(enough func() bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return s.model.Init() },
		Step: func(state, input, _ any) (bool, any) {
			if enough() {
				return false, state
			}
			p := input.(pair[I, O])
			next, ok := s.model.Step(state.(S), p.in, p.out)
			if p.out == nil && !ok { // it has not taken effect
				return true, state
			}
			return ok, next
		},
		Equal:             func(a, b any) bool { return s.model.Equal(a.(S), b.(S)) },
		DescribeOperation: func(input, _ any) string { p := input.(pair[I, O]); return s.model.Describe(p.in, p.out) },
	}
}

// translate gives operations porcupine's form, in which all return.
func translate[I, O any](ops []Operation[I, O]) []porcupine.Operation {
	clients := make(map[string]int)
	out := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		id, ok := clients[op.Client]
		if !ok {
			id = len(clients)
			clients[op.Client] = id
		}
		end := op.Return
		if op.Output == nil {
			end = math.MaxInt64
		}
		out[i] = porcupine.Operation{ClientId: id, Input: pair[I, O]{op.Input, op.Output}, Call: op.Call, Return: end}
	}
	return out
}
