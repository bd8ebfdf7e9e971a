package discovery_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

const tail = `"registrationTimeUTC":1700000000123,"serviceType":"DYNAMIC","uriSpec":null`

// What Curator 5.9 writes, byte for byte, for the same instances.
func TestCuratorsBytes(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	same(t, discovery.Curator[any](""), &discovery.Instance[any]{Name: "mail", ID: "none", Address: "10.0.0.1", Port: 25, Registered: at},
		`{"name":"mail","id":"none","address":"10.0.0.1","port":25,"sslPort":null,"payload":null,`+tail+`}`)
	same(t, discovery.Curator[struct{}](""), &discovery.Instance[struct{}]{
		Name: "mail", ID: "b", Port: 80, TLSPort: 443, Type: discovery.Permanent, URISpec: "{scheme}://{address}:{ssl-port}", Registered: at,
	}, `{"name":"mail","id":"b","address":null,"port":80,"sslPort":443,"payload":null,"registrationTimeUTC":1700000000123,`+
		`"serviceType":"PERMANENT","uriSpec":{"parts":[{"value":"scheme","variable":true},{"value":"://","variable":false},`+
		`{"value":"address","variable":true},{"value":":","variable":false},{"value":"ssl-port","variable":true}]}}`)
	same(t, discovery.Curator[string](""), &discovery.Instance[string]{Name: "mail", ID: "b", Payload: `a "text" <&> é`, Registered: at},
		`{"name":"mail","id":"b","address":null,"port":null,"sslPort":null,"payload":"a \"text\" <&> é",`+tail+`}`)
	same(t, discovery.Curator[struct{}](""), &discovery.Instance[struct{}]{Name: "a", ID: "b", Status: discovery.Down, Registered: at},
		`{"name":"a","id":"b","address":null,"port":null,"sslPort":null,"payload":null,`+tail+`,"enabled":false}`)
}

func same[T any](t *testing.T, c discovery.Codec[T], i *discovery.Instance[T], want string) {
	t.Helper()
	data, err := c.Encode(i)
	require.NoError(t, err)
	require.Equal(t, want, string(data))
	back, err := c.Decode(data)
	require.NoError(t, err)
	again, err := c.Encode(back)
	require.NoError(t, err)
	require.Equal(t, want, string(again))
}

type address struct {
	Street string `json:"street"`
}

type details struct {
	Protocol string         `json:"protocol"`
	Limit    int            `json:"limit"`
	Names    []string       `json:"names"`
	Home     *address       `json:"home,omitempty"`
	More     map[string]any `json:"more,omitempty"`
}

// A payload in each form in which Java writes it and asks for it.
func TestPayloads(t *testing.T) {
	payload(t, "", int64(5), `5`, `["java.lang.Long",5]`)
	payload(t, "java.lang.Long", int64(5), `["java.lang.Long",5]`, `5`)
	payload(t, "", 2.5, `2.5`)
	payload(t, "", true, `true`)
	payload(t, "", "text", `"text"`, `["java.lang.String","text"]`)
	payload(t, "", []any{"a", true}, `["java.util.ArrayList",["a",true]]`, `["[Ljava.lang.Object;",["a",true]]`, `["a",true]`)
	payload(t, "", []string{"com.example", "b"}, `["java.util.ArrayList",["com.example","b"]]`)
	payload(t, "", []int64{5, 6}, `["java.util.ArrayList",[5,6]]`, `["java.util.ArrayList",[["java.lang.Long",5],6]]`)
	payload(t, "com.example.Details", details{Protocol: "smtp", Limit: 7, Names: []string{"a", "b"}, Home: &address{"x"}},
		`{"@class":"com.example.Details","protocol":"smtp","limit":7,"names":["a","b"],"home":{"street":"x"}}`,
		`{"protocol":"smtp","limit":7,"names":["java.util.ArrayList",["a","b"]],"home":{"@class":"com.example.Details$Address","street":"x"},"@class":"com.example.Details"}`,
		`{"@class":"com.example.Details","protocol":"smtp","limit":["java.lang.Integer",7],"names":["a","b"],"home":{"street":"x"},"unknown":1}`)
	payload(t, "java.util.HashMap", map[string]any{}, `{"@class":"java.util.HashMap"}`)
	payload(t, "", map[string]string{"zone": "eu"}, `{"zone":"eu"}`, `{"zone":"eu"} `)
	payload(t, "com.example.Colour", "RED", `["com.example.Colour","RED"]`)
	payload(t, "com.example.Details", (*details)(nil), `null`)
	payload[any](t, "", nil, `null`)
	payload(t, "", json.RawMessage(`{"@class":"a.B","b":["java.lang.Long",5],"a":1}`), `{"@class":"a.B","b":["java.lang.Long",5],"a":1}`)
}

// payload shows that a payload is written in the first form, and read from all; and that it keeps a class it was read with.
func payload[T any](t *testing.T, class string, p T, forms ...string) {
	t.Helper()
	c := discovery.Curator[T](class)
	data, err := c.Encode(&discovery.Instance[T]{Name: "a", ID: "b", Payload: p})
	require.NoError(t, err)
	require.Contains(t, string(data), `"payload":`+forms[0]+`,"registrationTimeUTC"`)
	for _, form := range forms {
		i, err := c.Decode([]byte(`{"name":"a","id":"b","payload":` + form + `}`))
		require.NoError(t, err, form)
		require.Equal(t, p, i.Payload, form)
		again, err := c.Encode(i)
		require.NoError(t, err)
		back, err := c.Decode(again)
		require.NoError(t, err)
		require.Equal(t, p, back.Payload, string(again))
	}
}

// A class that somebody else has put there stays, and is not needed to read.
func TestClassIsKept(t *testing.T) {
	c := discovery.Curator[map[string]any]("")
	i, err := c.Decode([]byte(`{"name":"a","id":"b","payload":{"@class":"com.example.X","n":1}}`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"n": 1.0}, i.Payload)
	i.Payload["n"] = 2
	data, err := c.Encode(i)
	require.NoError(t, err)
	require.Contains(t, string(data), `"payload":{"@class":"com.example.X","n":2}`)
}

// All that an instance has is there again, and what nobody here knows is not lost.
func TestNothingIsLost(t *testing.T) {
	c := discovery.Curator[details]("com.example.Details")
	full := discovery.Instance[details]{
		Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25, TLSPort: 465, URISpec: "{[}{scheme}{]}://{address}",
		Payload: details{Protocol: "smtp", Names: []string{}}, Type: discovery.Static, Registered: time.UnixMilli(1),
		Status: discovery.Draining, Weight: 7, Zone: "eu", Version: "1.2", Tags: []string{"a", "b"},
	}
	data, err := c.Encode(&full)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(data), `,"enabled":false,"bellwether":{"status":"draining","weight":7,"zone":"eu","version":"1.2","tags":["a","b"]}}`), string(data))
	back, err := c.Decode(data)
	require.NoError(t, err)
	require.Equal(t, "{http}://10.0.0.7", strings.Replace(back.URI(nil), "https", "http", 1))
	again, err := c.Encode(back)
	require.NoError(t, err)
	require.Equal(t, string(data), string(again))

	foreign := strings.TrimSuffix(string(data), "}}") + `,"next":[1, 2]},"theirs":{"b":1,"a":2}, "theirs":{"b":3,"a":2},"other":null}`
	i, err := c.Decode([]byte(foreign))
	require.NoError(t, err)
	i.Status, i.Zone = discovery.Up, "us"
	data, err = c.Encode(i)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(data),
		`,"bellwether":{"weight":7,"zone":"us","version":"1.2","tags":["a","b"],"next":[1,2]},"theirs":{"b":3,"a":2},"other":null}`), string(data))

	none := discovery.Curator[struct{}]("")
	other, err := none.Decode([]byte(foreign))
	require.NoError(t, err)
	data, err = none.Encode(other)
	require.NoError(t, err)
	require.Contains(t, string(data), `"payload":{"@class":"com.example.Details","protocol":"smtp"`, "who asks for no payload leaves it alone")
}

// What others write: Curator with "enabled", dubbo-go, which leaves out what is null, and by hand.
func TestReadsWhatJavaReads(t *testing.T) {
	c := discovery.Curator[any]("")
	for text, want := range map[string]discovery.Instance[any]{
		`{"name":"a","id":"b","address":null,"port":null,"enabled":true}`:                                           {Status: discovery.Up},
		`{"name":"a","id":"b","enabled":false}`:                                                                     {Status: discovery.Down},
		`{"name":"a","id":"b","enabled":"false"}`:                                                                   {Status: discovery.Down},
		`{"name":"a","id":"b","enabled":false,"bellwether":{"status":"starting"}}`:                                  {Status: discovery.Starting},
		`{"name":"a","id":"b","bellwether":{"status":"draining"}}`:                                                  {Status: discovery.Draining},
		`{"name":"a","id":"b","enabled":false,"bellwether":{"status":"up","weight":2}}`:                             {Status: discovery.Down, Weight: 2},
		`{"name":"a","id":"b","enabled":false,"bellwether":{"status":"meditating"}}`:                                {Status: "meditating"},
		`{"name":"a","id":"b","port":"80","sslPort":443.0}`:                                                         {Status: discovery.Up, Port: 80, TLSPort: 443},
		`{"name":"a","id":"b","address":5,"Port":7,"serviceType":null} and so on`:                                   {Status: discovery.Up, Address: "5"},
		`{"name":"a","id":"b","uriSpec":"http://{address}","serviceType":"PERMANENT"}`:                              {Status: discovery.Up, URISpec: "http://{address}", Type: discovery.Permanent},
		`{"name":"a","id":"b","uriSpec":{"parts":[{"value":"a{b}","variable":false}]}}`:                             {Status: discovery.Up, URISpec: "a{[}b{]}"},
		`{"name":"a","id":"b","uriSpec":{"parts":[{"value":"[","variable":true}]}}`:                                 {Status: discovery.Up, URISpec: "{[}"},
		`{"name":"a","id":"b","uriSpec":{"parts":[{"value":"a","variable":false},{"value":"c}","variable":true}]}}`: {Status: discovery.Up, URISpec: "a"},
		` {"name":"x","id":"b","name":"a"}`:                                                                         {Status: discovery.Up},
	} {
		i, err := c.Decode([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, "a", i.Name, text)
		require.Equal(t, "b", i.ID, text)
		if want.Type == "" {
			want.Type = discovery.Dynamic
		}
		require.Equal(t, []any{want.Status, want.Port, want.TLSPort, want.Address, want.URISpec, want.Type, want.Weight},
			[]any{i.Status, i.Port, i.TLSPort, i.Address, i.URISpec, i.Type, i.Weight}, text)
	}
	for _, text := range []string{
		``, `[]`, `null`, `7`, `{`, `{"name"`, `{"name":}`, `{"name":"a"`, `{"name":{}}`, `{"name":"a","port":"many"}`, `{"name":"a","port":1e99}`,
		`{"name":"a","serviceType":"dynamic"}`, `{"name":"a","payload":{]}`, `{"name":"a","uriSpec":7}`, `{"name":"a","enabled":"perhaps"}`,
		`{"name":"a","bellwether":7}`, `{"name":"a","bellwether":{"tags":"x"}}`, "\xff",
	} {
		_, err := c.Decode([]byte(text))
		require.Error(t, err, text)
	}
	_, err := discovery.Curator[int]("").Decode([]byte(`{"name":"a","id":"b","payload":"five"}`))
	require.ErrorContains(t, err, "payload")
	_, err = discovery.Curator[chan int]("").Encode(&discovery.Instance[chan int]{Payload: make(chan int)})
	require.ErrorContains(t, err, "payload")
}

func TestURI(t *testing.T) {
	i := discovery.Instance[any]{
		Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25, Type: discovery.Static, Registered: time.UnixMilli(1234),
	}
	for spec, want := range map[discovery.URISpec]string{
		"": "", "plain": "plain", "{scheme}://{address}:{port}/{name}/{id}": "http://10.0.0.7:25/mail/one",
		"{ssl-port}{registration-time-utc} {service-type}": "1234 static", "{[}x{]}{nobody}{}": "{x}", "{mine}-{port}": "this-26", "open{port": "open{port",
	} {
		i.URISpec = spec
		var vars map[string]string
		if strings.Contains(string(spec), "mine") {
			vars = map[string]string{"mine": "this", "port": "26"}
		}
		require.Equal(t, want, i.URI(vars), string(spec))
	}
	i.URISpec, i.TLSPort = "{scheme}:{ssl-port}", 465
	require.Equal(t, "https:465", i.URI(nil))
	require.Equal(t, "10.0.0.7:25", i.HostPort())
	i.Port, i.Address = 0, "::1"
	require.Equal(t, "[::1]:465", i.HostPort())
}

// Whatever is read is written so that it is read again as the same, and nothing makes the reader fail in another way than by an error.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"name":"mail","id":"none","address":"10.0.0.1","port":25,"sslPort":null,"payload":null,` + tail + `}`,
		`{"name":"a","id":"b","payload":{"@class":"java.util.TreeMap","b":{"@class":"java.util.HashMap","c":["java.lang.Long",1]}},"x":[1]}`,
		`{"name":"a","id":"b","payload":["java.util.ArrayList",[1,["java.lang.Long",5]]],"enabled":false,"bellwether":{"tags":["a"],"weight":-1,"n":0}}`,
		`{"uriSpec":{"parts":[{"value":"a{b}","variable":false},{"value":"[","variable":true}]},"enabled":"false"} trailing`,
		`{"uriSpec":{"parts":[{"value":"a}","variable":true}]}}`, `{"uriSpec":"{a}}{"}`,
		`{"name":1,"id":true,"port":"80","sslPort":1e3,"registrationTimeUTC":-5}`, `{"a":1,"a":2}`, `[`, `{"payload":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		stable(t, discovery.Curator[any](""), data)
		stable(t, discovery.Curator[any]("com.example.X"), data)
		stable(t, discovery.Curator[struct{}](""), data)
		stable(t, discovery.Curator[json.RawMessage](""), data)
		stable(t, discovery.Curator[details]("com.example.Details"), data)
	})
}

func stable[T any](t *testing.T, c discovery.Codec[T], data []byte) {
	i, err := c.Decode(data)
	if err != nil {
		return
	}
	once, err := c.Encode(i)
	require.NoError(t, err)
	back, err := c.Decode(once)
	require.NoError(t, err, string(once))
	twice, err := c.Encode(back)
	require.NoError(t, err)
	require.Equal(t, string(once), string(twice))
	require.Equal(t, i.HostPort()+i.URI(nil)+string(i.Status)+i.Zone, back.HostPort()+back.URI(nil)+string(back.Status)+back.Zone)
}
