package receive

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const digestContent = "hello world\n"

func sums() (m, s1, s256, s512 []byte) {
	a, b := md5.Sum([]byte(digestContent)), sha1.Sum([]byte(digestContent))
	c, d := sha256.Sum256([]byte(digestContent)), sha512.Sum512([]byte(digestContent))
	return a[:], b[:], c[:], d[:]
}

func TestDigestHeaders(t *testing.T) {
	m, s1, s256, s512 := sums()
	b64, hx := base64.StdEncoding.EncodeToString, hex.EncodeToString
	wrong := make([]byte, 32)
	for _, test := range []struct {
		name, header, value string
		want                error
	}{
		{"Content-MD5", "Content-MD5", b64(m), nil},
		{"Content-MD5 wrong", "Content-MD5", b64(wrong[:16]), store.ErrDigest},
		{"Content-MD5 in hex", "Content-MD5", hx(m), errDigestSyntax},
		{"Content-MD5 empty", "Content-MD5", "", errDigestSyntax},
		{"X-Checksum-Md5", "X-Checksum-Md5", hx(m), nil},
		{"X-Checksum-Sha1", "X-Checksum-Sha1", hx(s1), nil},
		{"X-Checksum-Sha256", "X-Checksum-Sha256", hx(s256), nil},
		{"X-Checksum-Sha256 in upper case", "X-Checksum-Sha256", strings.ToUpper(hx(s256)), nil},
		{"X-Checksum-Sha512", "X-Checksum-Sha512", hx(s512), nil},
		{"X-Checksum-Sha256 wrong", "X-Checksum-Sha256", hx(wrong), store.ErrDigest},
		{"X-Checksum-Sha256 of another length", "X-Checksum-Sha256", hx(s1), errDigestSyntax},
		{"X-Checksum-Sha1 no hex", "X-Checksum-Sha1", "zz", errDigestSyntax},
		{"Repr-Digest", "Repr-Digest", "sha-256=:" + b64(s256) + ":", nil},
		{"Repr-Digest of several", "Repr-Digest", "sha-256=:" + b64(s256) + ":, sha-512=:" + b64(s512) + ":, md5=:" + b64(m) + ":, sha=:" + b64(s1) + ":", nil},
		{"Repr-Digest, one of several wrong", "Repr-Digest", "sha-256=:" + b64(s256) + ":, sha=:" + b64(wrong[:20]) + ":", store.ErrDigest},
		{"Repr-Digest of an unknown algorithm", "Repr-Digest", "crc32c=:AAAA:", nil},
		{"Repr-Digest that is no dictionary", "Repr-Digest", "sha-256=" + b64(s256), errDigestSyntax},
		{"Repr-Digest with a string", "Repr-Digest", `sha-256="x"`, errDigestSyntax},
		{"Repr-Digest with a list", "Repr-Digest", "sha-256=(:AAAA:)", errDigestSyntax},
		{"Repr-Digest of another length", "Repr-Digest", "sha-256=:AAAA:", errDigestSyntax},
		{"Content-Digest", "Content-Digest", "sha-512=:" + b64(s512) + ":", nil},
		{"Content-Digest wrong", "Content-Digest", "sha-256=:" + b64(wrong) + ":", store.ErrDigest},
		{"Digest", "Digest", "SHA-256=" + b64(s256) + ",md5=" + b64(m), nil},
		{"Digest wrong", "Digest", "sha=" + b64(wrong[:20]), store.ErrDigest},
		{"Digest of an unknown algorithm", "Digest", "UNIXsum=30637", nil},
		{"Digest without a value", "Digest", "sha-256", errDigestSyntax},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{http.CanonicalHeaderKey(test.header): {test.value}}
			if err := publishWith(header); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
		})
	}
}

// publishWith verifies the content as a publish does: SHA-256 where it is computed
// anyway, all others by the reader.
func publishWith(header http.Header) error {
	wanted, err := parseDigests(header)
	if err != nil {
		return err
	}
	all, err := wanted.together()
	if err != nil {
		return err
	}
	sha, others := splitSHA256(all)
	content, err := io.ReadAll(verify(iotest.OneByteReader(strings.NewReader(digestContent)), others))
	if err != nil {
		return err
	}
	if sha != nil && store.Digest(sha256.Sum256(content)) != *sha {
		return store.ErrDigest
	}
	return nil
}

func TestTwoValuesMustBothMatch(t *testing.T) {
	_, _, s256, _ := sums()
	right := hex.EncodeToString(s256)
	wrong := strings.Repeat("0", len(right))
	for _, values := range [][]string{{right, wrong}, {wrong, right}, {wrong, wrong}} {
		if err := publishWith(http.Header{"X-Checksum-Sha256": values}); !errors.Is(err, store.ErrDigest) {
			t.Errorf("%v: error is %v", values, err)
		}
	}
	if err := publishWith(http.Header{"X-Checksum-Sha256": {right, right}}); err != nil {
		t.Error(err)
	}
}

// TestEachAlgorithmIsComputedOnce: a header may name one digest hundreds of times.
func TestEachAlgorithmIsComputedOnce(t *testing.T) {
	m, s1, s256, s512 := sums()
	b64 := base64.StdEncoding.EncodeToString
	many := strings.Repeat("md5="+b64(m)+",", 600) + "md5=" + b64(m)
	header := http.Header{
		"Digest": {many, "sha=" + b64(s1)}, "Content-Md5": {b64(m), b64(m)}, "Repr-Digest": {"md5=:" + b64(m) + ":, sha=:" + b64(s1) + ":"},
		"Content-Digest": {"sha-512=:" + b64(s512) + ":"}, "X-Checksum-Sha1": {hex.EncodeToString(s1)}, "X-Checksum-Sha256": {hex.EncodeToString(s256)},
	}
	wanted, err := parseDigests(header)
	if err != nil {
		t.Fatal(err)
	}
	all, err := wanted.together()
	if err != nil || len(all) != 4 {
		t.Errorf("%d digests and error %v, want one of each of 4 algorithms", len(all), err)
	}
	header.Set("X-Checksum-Md5", strings.Repeat("0", 32))
	if err := publishWith(header); !errors.Is(err, store.ErrDigest) {
		t.Errorf("a different value in another header: error is %v, want ErrDigest", err)
	}
	header = http.Header{"Digest": {many + ",md5=" + b64(make([]byte, 16))}}
	if _, err := parseDigests(header); !errors.Is(err, store.ErrDigest) {
		t.Errorf("a different value in one header: error is %v, want ErrDigest before the body", err)
	}
}

// FuzzDigestHeaders: whatever is accepted is empty or has the length of its
// algorithm, and nothing panics.
func FuzzDigestHeaders(f *testing.F) {
	for _, seed := range []string{"", "sha-256=:AAAA:", "md5=::", "sha-256=(:AAAA:);x=1", "SHA-256=AAAA,", "Zm9v", "sha-512=?1", "00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{"Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "X-Checksum-Sha1"} {
			wanted, err := parseDigests(http.Header{name: {value}})
			if err != nil {
				continue
			}
			for _, d := range append(wanted.body, wanted.stored...) {
				if len(d.value) != d.algorithm.size {
					t.Fatalf("%s: %q has %d bytes", name, value, len(d.value))
				}
			}
		}
	})
}
