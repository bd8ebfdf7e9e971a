package discovery

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// classField is the field by which Jackson tells the class of an object.
const classField = "@class"

// arrayClass is what Jackson has to be told of an array that nobody has told the class of.
const arrayClass = "java.util.ArrayList"

// payload returns the JSON of an instance's payload.
func (c curator[T]) payload(i *Instance[T]) (json.RawMessage, error) {
	class := c.class
	if i.read != nil && class == "" {
		class = i.read.class
	}
	switch p := any(&i.Payload).(type) {
	case *json.RawMessage:
		return *p, nil
	case *struct{}:
		if i.read != nil {
			return i.read.raw, nil
		}
		return nil, nil
	}
	w := &writer{}
	if w.value(i.Payload); w.err != nil {
		return nil, w.err
	}
	return typed(w.out.Bytes(), class), nil
}

// typed adds a class to a value, or the one it must have.
func typed(value json.RawMessage, class string) json.RawMessage {
	quoted := func() []byte {
		w := &writer{}
		w.value(class)
		return w.out.Bytes()
	}
	switch {
	case isNull(value):
		return value
	case value[0] == '[' && class == "":
		class = arrayClass
	case class == "":
		return value
	case value[0] == '{':
		start := slices.Concat([]byte(`{"`+classField+`":`), quoted())
		if string(value) != "{}" {
			start = append(start, ',')
		}
		return append(start, value[1:]...)
	}
	return slices.Concat([]byte("["), quoted(), []byte(","), value, []byte("]"))
}

// readPayload reads a payload, and notes in rec what it was.
func (c curator[T]) readPayload(rec *record, raw json.RawMessage) (payload T, err error) {
	switch p := any(&payload).(type) {
	case *json.RawMessage:
		*p = bytes.Clone(raw)
		return payload, nil
	case *struct{}:
		rec.raw = bytes.Clone(raw)
		return payload, nil
	}
	if raw == nil {
		return payload, nil
	}
	value, class := untyped(raw)
	rec.class = class
	return payload, json.Unmarshal(value, &payload)
}

// untyped takes the classes off a payload, and returns the outermost.
func untyped(raw json.RawMessage) (value json.RawMessage, class string) {
	if !bytes.Contains(raw, []byte(classField)) && !bytes.Contains(raw, []byte(`["`)) && raw[0] != '[' {
		return raw, ""
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return raw, "" // who reads it will say so
	}
	switch o := v.(type) {
	case map[string]any:
		class, _ = o[classField].(string)
	case []any:
		if c, inner, ok := pair(o); ok {
			class, v = c, inner
		}
	}
	w := &writer{}
	if w.value(strip(v)); w.err != nil {
		return raw, class
	}
	return w.out.Bytes(), class
}

// pair takes a class and its value apart.
func pair(a []any) (class string, value any, ok bool) {
	if len(a) != 2 {
		return "", nil, false
	}
	class, ok = a[0].(string)
	return class, a[1], ok && isClass(class)
}

// isClass tells whether a text could be the name of a Java class in a package, or of an array of such.
func isClass(s string) bool {
	if strings.HasPrefix(s, "[") {
		return true
	}
	dot := false
	for _, r := range s {
		switch {
		case r == '.':
			dot = true
		case r == '$' || r == '_' || r == '<' || r == '>' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127:
		default:
			return false
		}
	}
	return dot
}

// strip takes classes off what is inside a payload.
func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, classField)
		for name, value := range v {
			v[name] = strip(value)
		}
	case []any:
		if class, value, ok := pair(v); ok && strings.HasPrefix(class, "java.") {
			return strip(value)
		}
		for i, value := range v {
			v[i] = strip(value)
		}
	}
	return v
}
