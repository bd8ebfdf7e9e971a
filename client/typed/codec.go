package typed

import "encoding/json"

// A Codec turns values into the data of nodes and back. Its methods may be called by many goroutines at once.
type Codec[T any] interface {
	// Encode returns the data for a value. The caller may keep the data, and does not change them.
	Encode(v T) ([]byte, error)
	// Decode returns the value that data stand for. The codec may keep the data. Anybody may have written them: it fails on
	// what it cannot read, and does not panic.
	Decode(data []byte) (T, error)
}

// JSON is a codec that writes values as encoding/json does. Fields that T does not have are ignored; data that are empty, or have
// anything behind the value, are an error.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(v T) ([]byte, error) { return json.Marshal(v) }

func (jsonCodec[T]) Decode(data []byte) (v T, err error) {
	err = json.Unmarshal(data, &v)
	return v, err
}

// Text is a codec for strings, byte for byte. It accepts everything, UTF-8 or not.
func Text() Codec[string] { return textCodec{} }

type textCodec struct{}

func (textCodec) Encode(v string) ([]byte, error)    { return []byte(v), nil }
func (textCodec) Decode(data []byte) (string, error) { return string(data), nil }

// Bytes is a codec that takes data as they are. Nothing is copied: a value that was given to Set must not be changed while Set runs.
func Bytes() Codec[[]byte] { return bytesCodec{} }

type bytesCodec struct{}

func (bytesCodec) Encode(v []byte) ([]byte, error)    { return v, nil }
func (bytesCodec) Decode(data []byte) ([]byte, error) { return data, nil }
