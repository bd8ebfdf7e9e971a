package zoocfg

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// value is one text on its way into a Config.
type value struct {
	text string
	kind Kind
	cfg  *Config
	key  string
}

// note records that the value counts otherwise than it is written.
func (v *value) note(format string, args ...any) {
	v.cfg.notes = append(v.cfg.notes, fmt.Sprintf("%s=%s: ", v.key, v.text)+fmt.Sprintf(format, args...))
}

// A parser stores a value in its Config, or says what is wrong with it in words that follow "key=value: ".
type parser func(v *value) error

var (
	errNotNumber  = errors.New("is not a whole number")
	errNotBoolean = errors.New("must be true or false")
)

// integer reads a number the way the key's kind demands: decimal in the file, as Java's Integer.decode in a property.
func (v *value) integer(bits int) (int64, error) {
	text, base, sign := v.text, 10, ""
	if v.kind != File {
		if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
			sign, text = text[:1], text[1:]
		}
		lower := strings.ToLower(text)
		switch {
		case strings.HasPrefix(lower, "0x"):
			base, text = 16, text[2:]
		case strings.HasPrefix(text, "#"):
			base, text = 16, text[1:]
		case len(text) > 1 && text[0] == '0':
			base, text = 8, text[1:]
		}
		if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
			return 0, errNotNumber
		}
	}
	n, err := strconv.ParseInt(sign+text, base, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("does not fit %d bits", bits)
	case err != nil:
		return 0, errNotNumber
	}
	return n, nil
}

// bounded is integer with a least value. A least of -1 stands for any negative number: switched off.
func (v *value) bounded(bits int, least int64) (int64, error) {
	n, err := v.integer(bits)
	if err == nil && n < least && least >= 0 {
		err = fmt.Errorf("must be at least %d", least)
	}
	return n, err
}

func number(least int64, field func(*Config) *int) parser {
	return func(v *value) error {
		n, err := v.bounded(32, least)
		if err == nil {
			*field(v.cfg) = int(n)
		}
		return err
	}
}

// size reads a count of units of unit bytes each. Negative values are kept as -1.
func size(unit, least int64, field func(*Config) *int64) parser {
	return func(v *value) error {
		n, err := v.bounded(64, least)
		switch {
		case err != nil:
			return err
		case n > (1<<62)/unit:
			return errors.New("is too large")
		case n < 0:
			*field(v.cfg) = -1
		default:
			*field(v.cfg) = n * unit
		}
		return nil
	}
}

// span reads a count of units of time. Negative values are kept as -1 unit.
func span(unit time.Duration, least int64, field func(*Config) *time.Duration) parser {
	return func(v *value) error {
		n, err := v.bounded(32, least)
		if err == nil {
			*field(v.cfg) = time.Duration(max(n, -1)) * unit
		}
		return err
	}
}

func fraction(field func(*Config) *float64) parser {
	return func(v *value) error {
		f, err := strconv.ParseFloat(v.text, 64)
		if err != nil || f < 0 || f > 1 || f != f {
			return errors.New("must be a number between 0 and 1")
		}
		*field(v.cfg) = f
		return nil
	}
}

// boolean reads true and false in any case. Anything else is an error in the file; in a property it is false, as
// Boolean.parseBoolean has it, and noted.
func (v *value) boolean() (bool, error) {
	switch {
	case strings.EqualFold(v.text, "true"):
		return true, nil
	case strings.EqualFold(v.text, "false"):
		return false, nil
	case v.kind == File:
		return false, errNotBoolean
	}
	v.note("neither true nor false; it counts as false, as in Apache")
	return false, nil
}

func boolean(field func(*Config) *bool) parser {
	return func(v *value) error {
		b, err := v.boolean()
		if err == nil {
			*field(v.cfg) = b
		}
		return err
	}
}

// yesno reads the few properties that are on when they say exactly yes.
func yesno(field func(*Config) *bool) parser {
	return func(v *value) error {
		if v.text != "yes" && v.text != "no" {
			v.note("neither yes nor no; it counts as no, as in Apache")
		}
		*field(v.cfg) = v.text == "yes"
		return nil
	}
}

func text(field func(*Config) *string) parser {
	return func(v *value) error {
		*field(v.cfg) = v.text
		return nil
	}
}

// oneOf reads a word out of a closed set.
func oneOf(field func(*Config) *string, words ...string) parser {
	return func(v *value) error {
		for _, w := range words {
			if v.text == w {
				*field(v.cfg) = w
				return nil
			}
		}
		return fmt.Errorf("must be one of %q", words)
	}
}

// frameBytes reads a length that fits the four bytes in front of a frame.
func frameBytes(v *value) error {
	n, err := v.bounded(32, 1)
	v.cfg.Limits.FrameBytes = n
	return err
}

// fourLetterWords drops what no client could send.
func fourLetterWords(v *value) error {
	v.cfg.FourLetterWords = nil
	for _, w := range splitWords(v.text) {
		if w != "*" && len(w) != 4 {
			v.note("%s has not four letters", w)
			continue
		}
		v.cfg.FourLetterWords = append(v.cfg.FourLetterWords, w)
	}
	return nil
}

// words reads a comma-separated list, blanks around its members dropped.
func words(field func(*Config) *[]string) parser {
	return func(v *value) error {
		*field(v.cfg) = splitWords(v.text)
		return nil
	}
}

func splitWords(s string) []string {
	var list []string
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			list = append(list, w)
		}
	}
	return list
}

// The parsers below only look: they serve keys whose value is not used, but whose malformed value Apache would refuse
// to start with.

func anyText(*value) error { return nil }

func anyNumber(v *value) error {
	_, err := v.integer(64)
	return err
}

func anyBoolean(v *value) error {
	_, err := v.boolean()
	return err
}

// purgeInterval is a number of hours (3.9), or a number with one of the suffixes ms, s, m, h, d (later versions).
func purgeInterval(v *value) error {
	digits := strings.TrimRight(v.text, "smhd")
	unit, ok := map[string]time.Duration{
		"": time.Hour, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}[v.text[len(digits):]]
	if !ok {
		return errors.New("must be a number of hours, or a number followed by ms, s, m, h or d")
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return errNotNumber
	}
	if n > int64(maxPurgeInterval/unit) {
		return errors.New("is too long")
	}
	v.cfg.Storage.PurgeInterval = time.Duration(max(n, 0)) * unit
	return nil
}

const maxPurgeInterval = 100 * 365 * 24 * time.Hour

// purgeRetain raises what is below Apache's minimum of 3 instead of failing, as QuorumPeerConfig does.
func purgeRetain(v *value) error {
	n, err := v.integer(32)
	if err == nil && n < minRetained {
		v.note("at least %d snapshots are kept", minRetained)
		n = minRetained
	}
	v.cfg.Storage.PurgeRetain = int(n)
	return err
}

const minRetained = 3

// snapCount raises what is below Apache's minimum of 2 (SyncRequestProcessor).
func snapCount(v *value) error {
	n, err := v.integer(32)
	if err == nil && n < 2 {
		v.note("a snapshot is taken every 2 transactions at most")
		n = 2
	}
	v.cfg.Storage.SnapCount = int(n)
	return err
}

// digestAlgorithm is a name of java.security.MessageDigest; MD2 alone is missing. Identities depend on it, so an unknown
// one is no matter for a default.
func digestAlgorithm(v *value) error {
	switch strings.Replace(strings.ToUpper(v.text), "SHA-", "SHA", 1) {
	case "SHA", "SHA1", "MD5", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512/224", "SHA512/256",
		"SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512":
		v.cfg.Auth.DigestAlgorithm = v.text
		return nil
	}
	return errors.New("is not a known message digest")
}

func electionAlgorithm(v *value) error {
	if v.text != "3" {
		return errors.New("only 3 is supported")
	}
	return nil
}

func peerType(v *value) error {
	switch strings.ToLower(v.text) {
	case "participant", "observer":
		v.cfg.Membership.Observer = strings.EqualFold(v.text, "observer")
		return nil
	}
	return errors.New("must be participant or observer")
}

func port(v *value) error {
	n, err := v.bounded(32, 0)
	if err == nil && n > 65535 {
		err = errors.New("is not a port")
	}
	return err
}
