package receive

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // named by clients, for comparison only
	"crypto/sha1" //nolint:gosec // named by clients, for comparison only
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// errDigestSyntax: a digest header that cannot be read. It counts as wrong: the
// client meant to have its bytes verified.
var errDigestSyntax = visit.Refuse(http.StatusBadRequest, "malformed digest header")

// algorithm is a hash that clients may name.
type algorithm struct {
	field string // in Repr-Digest and Content-Digest (RFC 9530) and, without case, Digest (RFC 3230)
	size  int
	new   func() hash.Hash
}

var (
	algorithmMD5    = algorithm{"md5", md5.Size, md5.New}
	algorithmSHA1   = algorithm{"sha", sha1.Size, sha1.New}
	algorithmSHA256 = algorithm{"sha-256", sha256.Size, sha256.New}
	algorithmSHA512 = algorithm{"sha-512", sha512.Size, sha512.New}

	algorithms = []algorithm{algorithmMD5, algorithmSHA1, algorithmSHA256, algorithmSHA512}

	checksumHeaders = []struct {
		name      string
		algorithm algorithm
	}{
		{"X-Checksum-Md5", algorithmMD5},
		{"X-Checksum-Sha1", algorithmSHA1},
		{"X-Checksum-Sha256", algorithmSHA256},
		{"X-Checksum-Sha512", algorithmSHA512},
	}

	// digestHeaders are all that are verified, as http.Header names them.
	digestHeaders = []string{
		"Content-Md5", "Digest", "Content-Digest", "Repr-Digest",
		"X-Checksum-Md5", "X-Checksum-Sha1", "X-Checksum-Sha256", "X-Checksum-Sha512",
	}
)

// digest is one value that a client sent.
type digest struct {
	algorithm algorithm
	value     []byte
}

// digests are what a client says its bytes are, at most one of each algorithm: body of the
// request body, stored of the stored file. The two differ for multipart bodies only.
type digests struct{ body, stored []digest }

// parseDigests reads every digest header of a PUT. Unknown algorithms are
// ignored; a value that cannot be read, or has the wrong length, is
// errDigestSyntax; two values of one algorithm that differ are ErrDigest, because
// both cannot be right.
func parseDigests(header http.Header) (digests, error) {
	var d digests
	for _, value := range header.Values("Content-MD5") {
		if err := add(&d.body, "Content-MD5", algorithmMD5, value, base64.StdEncoding.DecodeString); err != nil {
			return digests{}, err
		}
	}
	for _, checksum := range checksumHeaders {
		for _, value := range header.Values(checksum.name) {
			if err := add(&d.stored, checksum.name, checksum.algorithm, value, hex.DecodeString); err != nil {
				return digests{}, err
			}
		}
	}
	for _, value := range header.Values("Digest") {
		if err := d.addList(value); err != nil {
			return digests{}, err
		}
	}
	if err := addDictionary(&d.body, "Content-Digest", header); err != nil {
		return digests{}, err
	}
	return d, addDictionary(&d.stored, "Repr-Digest", header)
}

// together returns all digests of a body that is stored as sent.
func (d digests) together() (all []digest, err error) {
	all = slices.Clone(d.body)
	for _, one := range d.stored {
		if err := insert(&all, one); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// insert adds a digest to a list, unless the list has it: each is one more hash over
// all bytes.
func insert(to *[]digest, one digest) error {
	for _, other := range *to {
		if other.algorithm.field != one.algorithm.field {
			continue
		}
		if bytes.Equal(other.value, one.value) {
			return nil
		}
		return visit.Tell(store.ErrDigest, "%v: there are two different digests of the algorithm %s", store.ErrDigest, one.algorithm.field)
	}
	*to = append(*to, one)
	return nil
}

func malformed(header string) error {
	return visit.Tell(errDigestSyntax, "malformed %s header", header)
}

func add(to *[]digest, header string, algorithm algorithm, text string, decode func(string) ([]byte, error)) error {
	value, err := decode(strings.TrimSpace(text))
	if err != nil || len(value) != algorithm.size {
		return malformed(header)
	}
	return insert(to, digest{algorithm, value})
}

// addList reads one Digest line: algorithm=base64, separated by commas (RFC 3230
// section 4.3.2).
func (d *digests) addList(line string) error {
	for instance := range strings.SplitSeq(line, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(instance), "=")
		if !found {
			return malformed("Digest")
		}
		algorithm, known := findAlgorithm(strings.ToLower(name))
		if !known {
			continue
		}
		if err := add(&d.body, "Digest", algorithm, value, base64.StdEncoding.DecodeString); err != nil {
			return err
		}
	}
	return nil
}

// addDictionary reads Content-Digest or Repr-Digest: a dictionary of byte
// sequences (RFC 9530 section 2, RFC 9651 section 3.2).
func addDictionary(to *[]digest, name string, header http.Header) error {
	lines := header.Values(name)
	if len(lines) == 0 {
		return nil
	}
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return malformed(name)
	}
	for _, field := range dictionary.Names() {
		algorithm, known := findAlgorithm(field)
		if !known {
			continue
		}
		member, _ := dictionary.Get(field)
		item, ok := member.(httpsfv.Item)
		if !ok {
			return malformed(name)
		}
		value, ok := item.Value.([]byte)
		if !ok || len(value) != algorithm.size {
			return malformed(name)
		}
		if err := insert(to, digest{algorithm, value}); err != nil {
			return err
		}
	}
	return nil
}

func findAlgorithm(field string) (algorithm, bool) {
	for _, a := range algorithms {
		if a.field == field {
			return a, true
		}
	}
	return algorithm{}, false
}

// splitSHA256 takes the SHA-256 out of a list: the registry computes that one anyway.
func splitSHA256(list []digest) (sha *store.Digest, others []digest) {
	for _, d := range list {
		if d.algorithm.field != algorithmSHA256.field {
			others = append(others, d)
			continue
		}
		value := store.Digest(d.value)
		sha = &value
	}
	return sha, others
}

// Mismatch names the headers of which one has another digest than the bytes.
func Mismatch(header http.Header) error {
	var sent []string
	for _, name := range digestHeaders {
		if _, ok := header[name]; ok {
			sent = append(sent, name)
		}
	}
	return visit.Tell(store.ErrDigest, "%v: the bytes of the request do not have the digest in %s", store.ErrDigest, strings.Join(sent, ", "))
}

// verify returns a reader that fails with ErrDigest instead of io.EOF when what
// was read does not have every digest.
func verify(reader io.Reader, wanted []digest) io.Reader {
	if len(wanted) == 0 {
		return reader
	}
	v := &verifier{reader: reader, wanted: wanted}
	for _, d := range wanted {
		v.hashes = append(v.hashes, d.algorithm.new())
	}
	return v
}

type verifier struct {
	reader io.Reader
	wanted []digest
	hashes []hash.Hash
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.reader.Read(p)
	for _, h := range v.hashes {
		h.Write(p[:n])
	}
	if err != io.EOF {
		return n, err
	}
	for i, h := range v.hashes {
		if !bytes.Equal(h.Sum(nil), v.wanted[i].value) {
			return n, store.ErrDigest
		}
	}
	return n, io.EOF
}
