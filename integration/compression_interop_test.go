//go:build interop

package integration

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/integration/process"
)

// What our Gzip codec writes Curator decompresses, and the other way round; what one refuses the other does, too.
func TestCompressionIsCurators(t *testing.T) {
	server := startPeer(t, process.Bellwether)
	c := mustConnect(t, server.Addr)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	noise := make([]byte, 20_000)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	peers := map[string]string{"5.9": "CURATOR_CP"}
	if full() {
		peers["5.4"] = "CURATOR38_CP"
	}
	for name, variable := range peers {
		t.Run("Curator "+name, func(t *testing.T) {
			curator := startCuratorContender(t, javaProgram(t, variable, "Compressor", "compression/*"), server.Addr, "")
			base := "/curator-" + name
			_, err := c.Create(t.Context(), base, nil, nil)
			require.NoError(t, err)
			d := typed.NewDirectory(c, base, &typed.Options[[]byte]{Codec: typed.Gzip(typed.Bytes(), 1<<20)})

			values := map[string]string{"empty": "", "byte": "x", "text": strings.Repeat("hello, world ", 1500), "noise": string(noise)}
			for what, value := range values {
				inHex := hex.EncodeToString([]byte(value))
				ours := d.Node("ours-" + what)
				require.NoError(t, ours.Create(t.Context(), []byte(value)))
				curator.mustAnswer(t, "get "+ours.Path(), "="+inHex)

				theirs := d.Node("theirs-" + what)
				curator.mustAnswer(t, "create "+theirs.Path()+" "+inHex, "done")
				got, stat, err := theirs.Get(t.Context())
				require.NoError(t, err)
				require.Equal(t, value, string(got))
				if what == "empty" {
					require.Equal(t, 20, stat.DataLength)
					_, stat, err = ours.Get(t.Context())
					require.NoError(t, err)
					require.Equal(t, 20, stat.DataLength)
				}

				curator.mustAnswer(t, "set "+ours.Path()+" "+inHex+"ff", "done")
				got, stat, err = ours.Get(t.Context())
				require.NoError(t, err)
				require.Equal(t, value+"\xff", string(got))
				_, err = ours.Set(t.Context(), []byte(value), stat.Version)
				require.NoError(t, err)
				curator.mustAnswer(t, "get "+ours.Path(), "="+inHex)
			}
			l, err := d.List(t.Context())
			require.NoError(t, err)
			require.Len(t, l.Nodes, 2*len(values))
			require.Empty(t, l.Bad)

			refuseTheSame(t, c, d, curator)
		})
	}
}

// refuseTheSame shows both what is not quite gzip.
func refuseTheSame(t *testing.T, c *bwclient.Client, d *typed.Directory[[]byte], curator *curatorContender) {
	t.Helper()
	member, err := typed.Gzip(typed.Bytes(), 0).Encode([]byte("hello"))
	require.NoError(t, err)
	good := string(member)
	for name, bad := range map[string]struct{ data, theirs string }{
		"nothing":           {"", "EOFException"},
		"plain":             {"hello, world", "ZipException"},
		"short":             {good[:len(good)-3], "ZipException"},
		"two members":       {good + good, "ZipException"},
		"a byte behind":     {good + "\x00", "ZipException"},
		"another checksum":  {good[:len(good)-8] + "\x00" + good[len(good)-7:], "ZipException"},
		"another length":    {good[:len(good)-4] + "\x04\x00\x00\x00", "ZipException"},
		"another algorithm": {good[:2] + "\x07" + good[3:], "ZipException"},
	} {
		n := d.Node("bad")
		_, err := c.Create(t.Context(), n.Path(), []byte(bad.data), nil)
		require.NoError(t, err)
		curator.mustAnswer(t, "get "+n.Path(), bad.theirs)
		_, stat, err := n.Get(t.Context())
		require.ErrorIs(t, err, typed.ErrDecode, name)
		require.NoError(t, n.Delete(t.Context(), stat.Version))
	}
}
