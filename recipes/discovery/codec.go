package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// Codec is how instances stand in their nodes. It is used by many goroutines at once.
type Codec[T any] interface {
	// Encode returns the data of an instance's node. Instances that are equal have equal data.
	Encode(i *Instance[T]) ([]byte, error)
	// Decode reads what is in a node, of which it keeps nothing.
	Decode(data []byte) (*Instance[T], error)
}

// Curator is the JSON that Curator's x-discovery writes and reads (JsonInstanceSerializer), and what this package adds to it, which
// Curator does not read. class is the Java class that Java reads payloads as, such as "com.example.Details" (inner classes with $).
//
// The payload is what encoding/json makes of it, in the form Curator's Jackson asks for: with a class, an object begins with "@class", and
// everything else stands behind the class in an array, ["java.lang.Long",5]. Without one an object is plain, which Java reads as a Map, and an
// array is a "java.util.ArrayList", since Java could not read it otherwise; texts, booleans and numbers are what they are. An instance
// that was read with a class keeps it. The other way, classes are taken off the payload, at every depth; those that are arrays with a
// single class and value, inside of the payload, only if the class is one of Java's own, as such arrays could be just that. A
// json.RawMessage is the payload as it stands, either way.
//
// Fields that nobody knows are kept, so that an instance that was read, changed and written has lost nothing of what others have put there.
func Curator[T any](class string) Codec[T] { return curator[T]{class} }

type curator[T any] struct{ class string }

// extras is the field that has what is more than Curator's.
const extras = "bellwether"

var errNotJSON = errors.New("not a JSON object")

func errNotObject(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errNotJSON, err)
	}
	return errNotJSON
}

// Encode is Codec's.
func (c curator[T]) Encode(i *Instance[T]) ([]byte, error) {
	payload, err := c.payload(i)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	w := &writer{}
	w.field("name", i.Name)
	w.field("id", i.ID)
	w.field("address", orNull(i.Address))
	w.field("port", orNull(i.Port))
	w.field("sslPort", orNull(i.TLSPort))
	w.field("payload", payload)
	w.field("registrationTimeUTC", millis(i.Registered))
	w.field("serviceType", i.kind())
	w.field("uriSpec", i.URISpec.json())
	if !i.Available() {
		w.field("enabled", false)
	}
	if more := i.extras(); more != nil {
		w.field(extras, more)
	}
	if i.read != nil {
		for _, m := range i.read.fields {
			w.field(m.name, m.value)
		}
	}
	return w.object()
}

// extras returns what is more than Curator's, nil if nothing is.
func (i *Instance[T]) extras() json.RawMessage {
	w := &writer{}
	if !i.Available() && i.Status != Down {
		w.field("status", i.Status)
	}
	if i.Weight > 1 {
		w.field("weight", i.Weight)
	}
	if i.Zone != "" {
		w.field("zone", i.Zone)
	}
	if i.Version != "" {
		w.field("version", i.Version)
	}
	if len(i.Tags) > 0 {
		w.field("tags", i.Tags)
	}
	if i.read != nil {
		for _, m := range i.read.extras {
			w.field(m.name, m.value)
		}
	}
	if w.out.Len() == 0 {
		return nil
	}
	o, _ := w.object() // of what was made here, or read from JSON
	return o
}

func (i *Instance[T]) kind() Type {
	if i.Type == "" {
		return Dynamic
	}
	return i.Type
}

// orNull returns nil for what is not there.
func orNull[V comparable](v V) any {
	var zero V
	if v == zero {
		return nil
	}
	return v
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// writer writes an object, field by field.
type writer struct {
	out bytes.Buffer
	err error
}

func (w *writer) field(name string, value any) {
	switch {
	case w.err != nil:
		return
	case w.out.Len() == 0:
		w.out.WriteByte('{')
	default:
		w.out.WriteByte(',')
	}
	w.value(name)
	w.out.WriteByte(':')
	w.value(value)
}

// value writes as Jackson does, which does not think of HTML.
func (w *writer) value(v any) {
	e := json.NewEncoder(&w.out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		w.err = err
		return
	}
	w.out.Truncate(w.out.Len() - 1) // the line's end
}

func (w *writer) object() (json.RawMessage, error) {
	w.out.WriteByte('}')
	return w.out.Bytes(), w.err
}

// Decode is Codec's.
func (c curator[T]) Decode(data []byte) (*Instance[T], error) {
	fields, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	i := &Instance[T]{read: &record{}}
	r := &reader{fields: fields}
	i.Name = read(r, "name", readText)
	i.ID = read(r, "id", readText)
	i.Address = read(r, "address", readText)
	i.Port = int(read(r, "port", readInt))
	i.TLSPort = int(read(r, "sslPort", readInt))
	i.Payload = read(r, "payload", func(raw json.RawMessage) (T, error) { return c.readPayload(i.read, raw) })
	if ms := read(r, "registrationTimeUTC", readInt); ms != 0 {
		i.Registered = time.UnixMilli(ms)
	}
	i.Type = read(r, "serviceType", readType)
	i.URISpec = read(r, "uriSpec", readURISpec)
	enabled := read(r, "enabled", readBool)
	more := &reader{fields: read(r, extras, readObject)}
	i.Status = Status(read(more, "status", readText))
	i.Weight = int(read(more, "weight", readInt))
	i.Zone = read(more, "zone", readText)
	i.Version = read(more, "version", readText)
	i.Tags = read(more, "tags", readTags)
	if i.Status == "" {
		i.Status = Up
	}
	if i.Available() && !enabled { // somebody who does not know the status has said so
		i.Status = Down
	}
	i.read.fields, i.read.extras = r.fields, more.fields
	return i, errors.Join(r.err, more.err)
}

// reader takes fields from an object, until one of them is bad.
type reader struct {
	fields object
	err    error
}

func read[V any](r *reader, name string, parse func(json.RawMessage) (V, error)) V {
	v, err := parse(r.fields.take(name))
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", name, err)
	}
	return v
}

// The readers of values are given nil for what is missing, or null. They take what Java takes.

// readText reads a text, or the text of something else that is no object or array.
func readText(raw json.RawMessage) (s string, err error) {
	switch {
	case raw == nil:
		return "", nil
	case raw[0] != '"' && raw[0] != '{' && raw[0] != '[':
		return string(raw), nil
	}
	err = json.Unmarshal(raw, &s)
	return s, err
}

// readInt reads a number, of which it takes the whole part, or a text that is one.
func readInt(raw json.RawMessage) (int64, error) {
	if raw == nil {
		return 0, nil
	}
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, err
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(f) >= 1<<62 || math.IsNaN(f) {
		return 0, fmt.Errorf("not a number: %.20s", raw)
	}
	return int64(f), nil
}

// readBool is true for what is missing, as it is in Curator for the only one there is.
func readBool(raw json.RawMessage) (bool, error) {
	if raw == nil {
		return true, nil
	}
	text, err := readText(raw)
	if err != nil {
		return false, err
	}
	return strconv.ParseBool(text)
}

func readType(raw json.RawMessage) (Type, error) {
	s, err := readText(raw)
	switch t := Type(s); {
	case err != nil || s == "":
		return Dynamic, err
	case t == Dynamic || t == DynamicSequential || t == Static || t == Permanent:
		return t, nil
	default:
		return "", fmt.Errorf("not a type: %.20q", s)
	}
}

func readTags(raw json.RawMessage) (tags []string, err error) {
	if raw != nil {
		err = json.Unmarshal(raw, &tags)
	}
	return tags, err
}

func readObject(raw json.RawMessage) (object, error) {
	if raw == nil {
		return nil, nil
	}
	return parseObject(raw)
}
