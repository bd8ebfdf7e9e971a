package telemetry

import (
	"context"
	"maps"
	"sync"

	"go.opentelemetry.io/otel/metric"
)

// Observe has read called whenever somebody collects, on a goroutine of theirs, until stop is called: it tells what there is, and each sum as a
// whole. Several that tell the same are added up, and what was counted stays counted when they stop. read must not wait,
// nor call Observe or stop.
func (k *Kit) Observe(read func(tell func(r Reading, of Labels, value float64))) (stop func()) {
	if k == nil || k.questions == nil {
		return func() {}
	}
	return k.questions.add(read)
}

type reader = func(tell func(r Reading, of Labels, value float64))

// observer asks all who have something to tell. It is registered while there is one, so that a client that is closed is forgotten.
type observer struct {
	kit         *Kit
	meter       metric.Meter
	integers    [readings]metric.Int64Observable // of sum and now
	floats      [readings]metric.Float64Observable
	instruments []metric.Observable

	turn         sync.Mutex          // of who registers; collecting goes on meanwhile
	registration metric.Registration // nil: there is none

	mu      sync.Mutex // held while readers are asked
	readers map[*reader]bool
	counted answers // by those who have stopped
}

// answers is what was told, by whom it is about.
type answers map[answer]float64

type answer struct {
	reading Reading
	of      Labels
}

func (a answers) add(r reader) {
	r(func(reading Reading, of Labels, value float64) {
		key := answer{reading, of}
		if questions[reading].kind == worst {
			a[key] = max(a[key], value)
			return
		}
		a[key] += value
	})
}

// newObserver makes the instruments; nil if a provider does not make one.
func newObserver(k *Kit, m maker) *observer {
	o := &observer{kit: k, meter: m.Meter, readers: make(map[*reader]bool), counted: make(answers)}
	for i, q := range questions {
		unit, description := metric.WithUnit(q.unit), metric.WithDescription(q.description)
		var err error
		switch q.kind {
		case sum:
			o.integers[i], err = m.Int64ObservableCounter(q.name, unit, description)
		case now:
			o.integers[i], err = m.Int64ObservableUpDownCounter(q.name, unit, description)
		case worst:
			o.floats[i], err = m.Float64ObservableGauge(q.name, unit, description)
		}
		if err != nil {
			return nil
		}
		if o.integers[i] != nil {
			o.instruments = append(o.instruments, o.integers[i])
		} else {
			o.instruments = append(o.instruments, o.floats[i])
		}
	}
	return o
}

func (o *observer) add(r reader) (stop func()) {
	o.turn.Lock()
	defer o.turn.Unlock()
	o.mu.Lock()
	o.readers[&r] = true
	o.mu.Unlock()
	if o.registration == nil {
		o.registration, _ = o.meter.RegisterCallback(o.collect, o.instruments...) // without it nothing is told
	}
	return sync.OnceFunc(func() { o.remove(&r) })
}

func (o *observer) remove(r *reader) {
	o.turn.Lock()
	defer o.turn.Unlock()
	o.mu.Lock()
	delete(o.readers, r)
	last := make(answers)
	last.add(*r)
	for key, value := range last {
		if questions[key.reading].kind == sum {
			o.counted[key] += value
		}
	}
	idle := len(o.readers) == 0
	o.mu.Unlock()
	if idle && o.registration != nil {
		_ = o.registration.Unregister() // not with mu: it waits for who collects
		o.registration = nil
	}
}

// collect is what is called when somebody collects.
func (o *observer) collect(_ context.Context, to metric.Observer) error {
	o.mu.Lock() // all the time, so that what is counted is never less than before
	all := maps.Clone(o.counted)
	for r := range o.readers {
		all.add(*r)
	}
	o.mu.Unlock()
	for key, value := range all {
		with := o.kit.options(attributes{Labels: key.of}).observe
		if f := o.floats[key.reading]; f != nil {
			to.ObserveFloat64(f, value, with...)
		} else {
			to.ObserveInt64(o.integers[key.reading], int64(value), with...)
		}
	}
	return nil
}
