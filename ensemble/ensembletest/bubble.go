package ensembletest

import (
	"testing"
	"time"
)

const (
	usedInside  = "ensembletest: this ensemble was started outside of the synctest bubble that uses it, and would wait in real time for a clock that does not move; start one in the bubble"
	usedOutside = "ensembletest: this ensemble was started in a synctest bubble and is used outside of it, where its clock does not move"
)

// bubbled reports whether the caller runs in a testing/synctest bubble: only there the time has no monotonic reading.
func bubbled() bool {
	now := time.Now()
	return now == now.Round(0) // not the same moment but the same value: Round strips the reading
}

// stranger says what is wrong with the caller's bubble, or nothing. Somebody in another bubble than that of a running ensemble is
// stopped by the runtime.
func (e *Ensemble) stranger() string {
	switch in := bubbled(); {
	case in == e.bubbled:
		return ""
	case in:
		return usedInside
	default:
		return usedOutside
	}
}

// mustBelong panics unless the caller is where the ensemble lives.
func (e *Ensemble) mustBelong() {
	if wrong := e.stranger(); wrong != "" {
		panic(wrong)
	}
}

// mustServe ends the test unless it is where the ensemble lives.
func (e *Ensemble) mustServe(t testing.TB) {
	t.Helper()
	if wrong := e.stranger(); wrong != "" {
		t.Fatal(wrong)
	}
}
