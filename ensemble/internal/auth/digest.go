package auth

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// digest is the scheme of users with passwords (class DigestAuthenticationProvider).
type digest struct {
	hash  func() hash.Hash
	super string // the name whose owner is super besides; "" for nobody
}

// algorithms are Java's names of message digests, in upper case and without the hyphen after SHA. MD2 alone is missing.
var algorithms = map[string]func() hash.Hash{
	"": sha1.New, "SHA": sha1.New, "SHA1": sha1.New, "MD5": md5.New,
	"SHA224": sha256.New224, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New,
	"SHA512/224": sha512.New512_224, "SHA512/256": sha512.New512_256,
	"SHA3-224": func() hash.Hash { return sha3.New224() }, "SHA3-256": func() hash.Hash { return sha3.New256() },
	"SHA3-384": func() hash.Hash { return sha3.New384() }, "SHA3-512": func() hash.Hash { return sha3.New512() },
}

func newDigest(alg, super string) (*digest, error) {
	name := strings.ToUpper(alg)
	if rest, ok := strings.CutPrefix(name, "SHA-"); ok {
		name = "SHA" + rest
	}
	h := algorithms[name]
	if h == nil {
		return nil, fmt.Errorf("auth: unknown digest algorithm %q (DigestAuthenticationProvider.digestAlg)", alg)
	}
	return &digest{hash: h, super: super}, nil
}

func (p *digest) authenticate(data []byte, _ netip.Addr) ([]znode.ID, znode.Code) {
	if data == nil {
		return nil, znode.CodeAuthFailed
	}
	name := p.name(javaText(data))
	ids := make([]znode.ID, 0, 2)
	if p.super != "" && subtle.ConstantTimeCompare([]byte(name), []byte(p.super)) == 1 {
		ids = append(ids, znode.ID{Scheme: schemeSuper})
	}
	return append(ids, znode.ID{Scheme: schemeDigest, Name: name}), znode.CodeOK
}

// name is what somebody is called who sends user:password: the user is what stands before the first colon, the whole is hashed.
func (p *digest) name(login string) string {
	h := p.hash()
	h.Write([]byte(login))
	user, _, _ := strings.Cut(login, ":")
	return user + ":" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// valid asks for two parts as Java's String.split counts them: empty parts at the end are none. "a:b" and ":b" are valid, and
// "a:b:", but not "a", "a:", "a::b".
func (p *digest) valid(name string) bool {
	trimmed := strings.TrimRight(name, ":")
	return trimmed != "" && strings.Count(trimmed, ":") == 1
}

func (p *digest) matches(name, acl string) bool { return name == acl }
func (p *digest) proven() bool                  { return true }

func (p *digest) user(name string) string {
	user, _, _ := strings.Cut(name, ":")
	return user
}

func maskDigest(name string) string {
	user, _, found := strings.Cut(name, ":")
	if !found {
		return name
	}
	return user + ":x"
}

// javaText is what a Java server makes of bytes: where they are not UTF-8 it reads U+FFFD, once for each longest beginning of a
// character and once for an encoded surrogate. The digest of a password depends on it.
func javaText(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	b := make([]byte, 0, len(data)+8)
	for len(data) > 0 {
		_, n := utf8.DecodeRune(data)
		if n > 1 || data[0] < utf8.RuneSelf {
			b = append(b, data[:n]...)
		} else {
			n = malformed(data)
			b = utf8.AppendRune(b, utf8.RuneError)
		}
		data = data[n:]
	}
	return string(b)
}

// malformed is how many bytes a Java decoder skips at the beginning of data, which is no character.
func malformed(data []byte) int {
	lo, hi, most := byte(0x80), byte(0xbf), 1 // bounds of the second byte, and how many bytes may belong together
	switch c := data[0]; {
	case c == 0xe0:
		lo, most = 0xa0, 2
	case c > 0xe0 && c <= 0xef:
		most = 2
		if c == 0xed && len(data) > 2 && data[1] >= 0xa0 && data[1] <= 0xbf && data[2]&0xc0 == 0x80 {
			return 3 // a surrogate
		}
	case c == 0xf0:
		lo, most = 0x90, 3
	case c > 0xf0 && c < 0xf4:
		most = 3
	case c == 0xf4:
		hi, most = 0x8f, 3
	}
	n := 1
	for n < most && n < len(data) && data[n] >= lo && data[n] <= hi {
		lo, hi = 0x80, 0xbf
		n++
	}
	return n
}
