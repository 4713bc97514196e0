package s3

import (
	"math"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
)

const words = "endpoint, insecure, bucket, prefix, region, key, secret, path_style, part_size, upload_memory, grace, timeout or redirect"

// UnmarshalCaddyfile sets up the backend from Caddyfile tokens:
//
//	s3 {
//		endpoint      <url>
//		insecure
//		bucket        <name>
//		prefix        <path>
//		region        <name>
//		key           <key>
//		secret        <secret>
//		path_style
//		part_size     <size>
//		upload_memory <size>
//		grace         <duration>|off
//		timeout       <duration>
//		redirect      <duration> {
//			public_endpoint <url>
//		}
//	}
func (b *Backend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("unexpected %q after s3: settings go into a block", d.Val())
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if seen[word] {
			return d.Errf("%s is written twice: keep one", word)
		}
		seen[word] = true
		if err := b.unmarshal(d, word); err != nil {
			return err
		}
	}
	for _, needed := range []string{"endpoint", "bucket"} {
		if !seen[needed] {
			return d.Errf("s3 has no %s: write endpoint and bucket", needed)
		}
	}
	if seen["key"] != seen["secret"] {
		return d.Err("key and secret of s3 belong together: write both, or none for the environment's")
	}
	return b.checkWritten(d)
}

func (b *Backend) unmarshal(d *caddyfile.Dispenser, word string) error {
	texts := map[string]*string{
		"endpoint": &b.Endpoint, "bucket": &b.Bucket, "prefix": &b.Prefix, "region": &b.Region, "key": &b.Key, "secret": &b.Secret,
	}
	flags := map[string]*bool{"insecure": &b.Insecure, "path_style": &b.PathStyle}
	sizes := map[string]*int64{"part_size": &b.PartSize, "upload_memory": &b.UploadMemory}
	durations := map[string]*caddy.Duration{"grace": &b.Grace, "timeout": &b.Timeout}
	switch {
	case texts[word] != nil:
		return readValue(d, word, texts[word])
	case flags[word] != nil:
		*flags[word] = true
		if d.NextArg() {
			return d.Errf("unexpected %q: %s has no value", d.Val(), word)
		}
		return nil
	case sizes[word] != nil:
		return readSize(d, word, sizes[word])
	case word == "grace" && d.CountRemainingArgs() == 1 && isOff(d):
		b.Grace = graceOff
		return nil
	case durations[word] != nil:
		return readDuration(d, word, durations[word])
	case word == "redirect":
		b.Redirect = new(Redirect)
		if err := readDuration(d, word, &b.Redirect.Age); err != nil {
			return err
		}
		return b.Redirect.unmarshal(d)
	}
	return d.Errf("unknown setting %q of s3: write %s", word, words)
}

// unmarshal reads the block of redirect.
func (r *Redirect) unmarshal(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "public_endpoint" {
			return d.Errf("unknown setting %q of redirect: write public_endpoint", d.Val())
		}
		if r.PublicEndpoint != "" {
			return d.Err("public_endpoint is written twice: keep one")
		}
		if err := readValue(d, "public_endpoint", &r.PublicEndpoint); err != nil {
			return err
		}
	}
	return nil
}

// checkWritten judges what does not depend on placeholders, so that the error has the line.
func (b *Backend) checkWritten(d *caddyfile.Dispenser) error {
	written := *b
	if b.Redirect != nil {
		redirect := *b.Redirect
		written.Redirect = &redirect
	}
	for _, text := range []string{b.Endpoint, b.Bucket, b.Prefix} {
		if strings.Contains(text, "{") {
			return nil
		}
	}
	if b.Redirect != nil && strings.Contains(b.Redirect.PublicEndpoint, "{") {
		return nil
	}
	written.key, written.secret = b.Key, b.Secret
	written.fillDefaults()
	if err := written.validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// isOff tells whether the next value is off, and takes it then.
func isOff(d *caddyfile.Dispenser) bool {
	at := *d
	if at.NextArg() && at.Val() == "off" {
		return d.NextArg()
	}
	return false
}

func readValue(d *caddyfile.Dispenser, word string, value *string) error {
	if !d.Args(value) || *value == "" || d.NextArg() {
		return d.Errf("write %s with one value", word)
	}
	return nil
}

func readSize(d *caddyfile.Dispenser, word string, value *int64) error {
	var text string
	if err := readValue(d, word, &text); err != nil {
		return err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return d.Errf("%s %q is not a size: write one such as 16MiB", word, text)
	}
	*value = int64(size)
	return nil
}

func readDuration(d *caddyfile.Dispenser, word string, value *caddy.Duration) error {
	var text string
	if err := readValue(d, word, &text); err != nil {
		return err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration <= 0 {
		return d.Errf("%s %q is not a duration: write one such as 10m", word, text)
	}
	*value = caddy.Duration(duration)
	return nil
}

var (
	_ caddy.Provisioner     = (*Backend)(nil)
	_ caddyfile.Unmarshaler = (*Backend)(nil)
	_ store.BlobBackend     = (*Backend)(nil)
	_ store.BlobAdjuster    = (*Backend)(nil)
	_ remote.Unscrubbed     = (*Backend)(nil)
	_ remote.Elsewhere      = (*Backend)(nil)
)
