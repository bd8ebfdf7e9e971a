package zoocfg

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEntriesReadsWhatJavaReads compares with what java.util.Properties.load of JDK 17 made of the same texts. The
// texts are ISO 8859-1, one rune a byte.
func TestEntriesReadsWhatJavaReads(t *testing.T) {
	var cases []struct {
		Text      string
		Entries   [][2]string
		Malformed bool
	}
	recorded, err := os.ReadFile("testdata/java-properties.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(recorded, &cases))
	require.Greater(t, len(cases), 200)
	for _, c := range cases {
		entries, err := Entries(latin1(c.Text))
		if c.Malformed {
			require.Error(t, err, "%q", c.Text)
			continue
		}
		require.NoError(t, err, "%q", c.Text)
		var got [][2]string
		for _, e := range entries {
			got = append(got, [2]string{e.Key, e.Value})
		}
		if len(c.Entries) == 0 {
			require.Empty(t, got, "%q", c.Text)
			continue
		}
		require.Equal(t, c.Entries, got, "%q", c.Text)
	}
}

func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

func TestEntriesKnowTheirLines(t *testing.T) {
	entries, err := Entries([]byte("# head\r\n\r\na=1 \\\r\n  2\r\nb=3\nc=4\rd"))
	require.NoError(t, err)
	require.Equal(t, []Entry{{"a", "1 2", 3}, {"b", "3", 5}, {"c", "4", 6}, {"d", "", 7}}, entries)

	_, err = Entries([]byte("a=1\n\nb=\\u00g0\n"))
	require.Equal(t, &SyntaxError{Line: 3, Reason: `\u must be followed by four hexadecimal digits`}, err)
}

func TestJVMFlags(t *testing.T) {
	cases := []struct {
		flags  string
		props  []SystemProperty
		others []string
	}{
		{"", nil, nil},
		{" -Xmx1g\t-Dzookeeper.snapCount=10\n-Da", []SystemProperty{
			{"zookeeper.snapCount", "10", "SERVER_JVMFLAGS"}, {"a", "", "SERVER_JVMFLAGS"}}, []string{"-Xmx1g"}},
		// zkServer.sh expands the variable unquoted: quotes stay, and do not keep blanks together.
		{`-Da="b c"`, []SystemProperty{{"a", `"b`, "SERVER_JVMFLAGS"}}, []string{`c"`}},
		{"-Da=b=c -D -D=x", []SystemProperty{{"a", "b=c", "SERVER_JVMFLAGS"}}, []string{"-D", "-D=x"}},
	}
	for _, c := range cases {
		props, others := JVMFlags(c.flags)
		require.Equal(t, c.props, props, "%q", c.flags)
		require.Equal(t, c.others, others, "%q", c.flags)
	}
}
