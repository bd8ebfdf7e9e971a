package typed

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

type limits struct {
	Users int      `json:"users"`
	Hosts []string `json:"hosts,omitempty"`
}

func TestJSON(t *testing.T) {
	codec := JSON[limits]()
	for _, c := range []struct {
		data string
		want limits
		ok   bool
	}{
		{`{"users":7}`, limits{Users: 7}, true},
		{` {"hosts":["a","b"]} `, limits{Hosts: []string{"a", "b"}}, true},
		{`{"users":7,"newer":{"x":1}}`, limits{Users: 7}, true},
		{`null`, limits{}, true},
		{``, limits{}, false},
		{`{"users":7}{}`, limits{}, false},
		{`{"users":"many"}`, limits{}, false},
		{"\x00", limits{}, false},
	} {
		got, err := codec.Decode([]byte(c.data))
		require.Equal(t, c.ok, err == nil, "%s: %v", c.data, err)
		if c.ok {
			require.Equal(t, c.want, got, c.data)
		}
	}
	data, err := codec.Encode(limits{Users: 1})
	require.NoError(t, err)
	require.Equal(t, `{"users":1}`, string(data))
	_, err = JSON[chan int]().Encode(nil)
	require.Error(t, err)
}

// The way to keep what one does not know.
func TestJSONKeepsWhatTheTypeKeeps(t *testing.T) {
	codec := JSON[map[string]json.RawMessage]()
	v, err := codec.Decode([]byte(`{"newer":{"x": 1},"users":7}`))
	require.NoError(t, err)
	v["users"] = json.RawMessage("8")
	data, err := codec.Encode(v)
	require.NoError(t, err)
	require.JSONEq(t, `{"newer":{"x":1},"users":8}`, string(data))
}

func TestTextAndBytesAreTheData(t *testing.T) {
	for _, data := range []string{"", "hello", "\xff\x00"} {
		text, err := Text().Decode([]byte(data))
		require.NoError(t, err)
		require.Equal(t, data, text)
		back, err := Text().Encode(text)
		require.NoError(t, err)
		require.Equal(t, []byte(data), back)
		raw, err := Bytes().Decode([]byte(data))
		require.NoError(t, err)
		back, err = Bytes().Encode(raw)
		require.NoError(t, err)
		require.Equal(t, []byte(data), back)
	}
}
