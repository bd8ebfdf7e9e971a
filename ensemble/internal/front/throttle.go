package front

import (
	"math/rand/v2"
	"time"
)

// Throttle limits how fast sessions are begun: a bucket of tokens that fills with time, and above it, if FreezeTime is not
// negative, a probability of turning connections away that grows while the bucket is empty and shrinks while it is full
// enough (class BlueThrottle; the connection_throttle_ options). The zero value lets everybody in.
type Throttle struct {
	Tokens     int           // size of the bucket; 0: no throttle
	FillTime   time.Duration // how often FillCount tokens are added; default 1 ms
	FillCount  int           // default 1
	FreezeTime time.Duration // least time between two changes of the probability; negative: it stays 0

	DropIncrease  float64 // added while the bucket is empty
	DropDecrease  float64 // taken off while the bucket holds more than DecreaseRatio of its size
	DecreaseRatio float64

	// What a connection costs: one token, or if Weighted, NewWeight for a new session and RenewWeight for an old one.
	Weighted               bool
	NewWeight, RenewWeight int
}

// A throttle is the state of a Throttle. Time is an argument.
type throttle struct {
	Throttle
	tokens  int
	filled  time.Duration // when tokens were last added
	frozen  time.Duration // when drop last changed
	drop    float64       // 0 ≤ drop ≤ 1
	uniform func() float64
}

func (t *throttle) init(o Throttle) {
	if o.FillTime <= 0 {
		o.FillTime = time.Millisecond
	}
	if o.FillCount <= 0 {
		o.FillCount = 1
	}
	t.Throttle, t.tokens, t.uniform = o, o.Tokens, rand.Float64
}

// admit takes the tokens a handshake costs; false turns it away.
func (t *throttle) admit(now time.Duration, renew bool) bool {
	if t.Tokens <= 0 {
		return true
	}
	if fills := (now - t.filled) / t.FillTime; fills > 0 {
		t.tokens = int(min(int64(t.tokens)+int64(fills)*int64(t.FillCount), int64(t.Tokens)))
		t.filled += fills * t.FillTime
	}
	if t.FreezeTime >= 0 && !t.lucky(now) {
		return false
	}
	cost := t.cost(renew)
	if t.tokens < cost {
		return false
	}
	t.tokens -= cost
	return true
}

// lucky adjusts the drop probability and draws.
func (t *throttle) lucky(now time.Duration) bool {
	if now-t.frozen >= t.FreezeTime {
		switch {
		case t.tokens == 0:
			t.drop = min(1, t.drop+t.DropIncrease)
			t.frozen = now
		case float64(t.tokens) > float64(t.Tokens)*t.DecreaseRatio && t.drop > 0:
			t.drop = max(0, t.drop-t.DropDecrease)
			t.frozen = now
		}
	}
	return t.drop == 0 || t.uniform() >= t.drop
}

func (t *throttle) cost(renew bool) int {
	switch {
	case !t.Weighted:
		return 1
	case renew:
		return t.RenewWeight
	}
	return t.NewWeight
}
