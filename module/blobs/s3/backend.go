package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func init() { caddy.RegisterModule(&Backend{}) }

const (
	defaultRegion       = "us-east-1"
	defaultPartSize     = 16 << 20
	defaultUploadMemory = 256 << 20
	defaultGrace        = 10 * time.Minute
	defaultTimeout      = 30 * time.Second

	// graceOff has bytes deleted at once.
	graceOff = -1

	// longestRedirect is for how long S3 takes a signature.
	longestRedirect = 7 * 24 * time.Hour
)

// Backend keeps bytes as objects of an S3 bucket: of AWS, or of a server that speaks its
// protocol. What clients call their files never reaches it.
type Backend struct {
	// The URL of the server, such as `https://s3.example.com`, without a path. Placeholders
	// are replaced when the config is loaded. Required.
	Endpoint string `json:"endpoint,omitempty"`

	// Whether the endpoint, or that of redirects, may be http: everybody on the way reads
	// what is published then. The default is false.
	Insecure bool `json:"insecure,omitempty"`

	// The name of the bucket, which must exist. Placeholders are replaced when the config is
	// loaded. Required.
	Bucket string `json:"bucket,omitempty"`

	// Where in the bucket the objects lie: a path without slashes around it, which belongs
	// to one registry alone. Placeholders are replaced when the config is loaded. The
	// default is `registry`.
	Prefix string `json:"prefix,omitempty"`

	// The region of the bucket. Placeholders are replaced when the config is loaded. The
	// default is `us-east-1`, which servers that have no regions take.
	Region string `json:"region,omitempty"`

	// The access key and its secret. Placeholders such as `{env.S3_SECRET}` and
	// `{file./run/secrets/s3}` are replaced when the config is loaded, and on a reload new
	// ones are used at once. Without both, the environment (`AWS_ACCESS_KEY_ID`), the file
	// `~/.aws/credentials` and the role of the instance are asked, in this order.
	Key    string `json:"key,omitempty"`
	Secret string `json:"secret,omitempty"`

	// Whether the bucket is always named in the path of requests. The default, false, names
	// it in the host where the endpoint is one of AWS, Google or Alibaba, and in the path of
	// all others.
	PathStyle bool `json:"path_style,omitempty"`

	// How many bytes a part of an upload has whose length is not known, from 5 MiB on. Zero
	// means the default, 16777216 (16 MiB). An upload has no more than 10,000 parts. It takes
	// effect on a reload, up to the upload_memory of the open store.
	PartSize int64 `json:"part_size,omitempty"`

	// How many bytes of memory the uploads have together whose length is not known, and
	// those in several requests. Whoever gets none waits, for a minute at most. Zero means
	// the default, 268435456 (256 MiB). It is no less than a part. It takes effect when the store
	// is opened.
	UploadMemory int64 `json:"upload_memory,omitempty"`

	// For how long bytes stay after their file was deleted: a download that was cut goes on,
	// and a link that was given out works. Zero means the default, 10 minutes; -1 is none. It
	// is no less than the age of redirects. It takes effect on a reload.
	Grace caddy.Duration `json:"grace,omitempty"`

	// For how long the server may make no progress before a request fails. Zero means the
	// default, 30 seconds. It takes effect on a reload.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Has downloads answered with a link to the object. The default, null, sends the bytes.
	// It takes effect on a reload.
	Redirect *Redirect `json:"redirect,omitempty"`

	at          bucket.Server
	key, secret string
}

// Redirect has clients fetch the bytes from the S3 server.
type Redirect struct {
	// For how long a link works, up to 7 days. It is required.
	Age caddy.Duration `json:"age,omitempty"`

	// The URL of the server for clients, where that is another one. Placeholders are
	// replaced when the config is loaded. The default is the endpoint.
	PublicEndpoint string `json:"public_endpoint,omitempty"`

	at bucket.Server
}

// CaddyModule returns the Caddy module information.
func (*Backend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "generic_registry.blobs.s3", New: func() caddy.Module { return new(Backend) }}
}

// Provision implements caddy.Provisioner.
func (b *Backend) Provision(ctx caddy.Context) error {
	if b.Secret != "" && !strings.HasPrefix(b.Secret, "{") {
		ctx.Slogger().Warn("the secret is written in the configuration, where whoever may read that reads it: write a placeholder, such as {env.S3_SECRET} or {file./run/secrets/s3}")
	}
	if err := b.replace(); err != nil {
		return err
	}
	b.fillDefaults()
	return b.validate()
}

// replace replaces placeholders. The credentials stay as they are written in what is
// exported: Caddy shows it to administrators.
func (b *Backend) replace() error {
	replacer := caddy.NewReplacer()
	fields := map[string][2]*string{
		"endpoint": {&b.Endpoint, &b.Endpoint}, "bucket": {&b.Bucket, &b.Bucket}, "prefix": {&b.Prefix, &b.Prefix},
		"region": {&b.Region, &b.Region}, "key": {&b.Key, &b.key}, "secret": {&b.Secret, &b.secret},
	}
	if b.Redirect != nil {
		fields["public_endpoint"] = [2]*string{&b.Redirect.PublicEndpoint, &b.Redirect.PublicEndpoint}
	}
	for word, field := range fields {
		value, err := replacer.ReplaceOrErr(*field[0], true, true)
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
		*field[1] = strings.TrimSpace(value) // files end with a newline
	}
	return nil
}

func (b *Backend) fillDefaults() {
	orDefault(&b.Prefix, "registry")
	orDefault(&b.Region, defaultRegion)
	orDefault(&b.PartSize, defaultPartSize)
	orDefault(&b.UploadMemory, max(defaultUploadMemory, b.PartSize))
	orDefault(&b.Timeout, caddy.Duration(defaultTimeout))
	if b.Redirect != nil {
		orDefault(&b.Redirect.PublicEndpoint, b.Endpoint)
		orDefault(&b.Grace, max(caddy.Duration(defaultGrace), b.Redirect.Age))
	}
	orDefault(&b.Grace, caddy.Duration(defaultGrace))
}

func orDefault[T comparable](value *T, otherwise T) {
	if none := *new(T); *value == none {
		*value = otherwise
	}
}

func (b *Backend) validate() (err error) {
	if b.at, err = parseEndpoint("endpoint", b.Endpoint, b.Insecure); err != nil {
		return err
	}
	if b.Bucket == "" {
		return errors.New("bucket is missing: write the name of a bucket that exists")
	}
	if err := s3utils.CheckValidBucketNameStrict(b.Bucket); err != nil {
		return fmt.Errorf("bucket %q: %w", b.Bucket, err)
	}
	if err := checkPrefix(b.Prefix); err != nil {
		return err
	}
	switch {
	case (b.key == "") != (b.secret == ""):
		return errors.New("key and secret belong together: write both, or none for the environment's")
	case b.PartSize < bucket.SmallestPart || b.PartSize > bucket.LargestPart:
		return fmt.Errorf("part_size is %d bytes: write a size from %s to %s, or leave it out for %s", b.PartSize, humanize.IBytes(bucket.SmallestPart), humanize.IBytes(bucket.LargestPart), humanize.IBytes(defaultPartSize))
	case b.UploadMemory < b.PartSize:
		return fmt.Errorf("upload_memory is %d bytes, which is less than a part of %d", b.UploadMemory, b.PartSize)
	case b.Grace < graceOff || b.Timeout < 0:
		return errors.New("grace and timeout are above zero, or left out")
	}
	return b.validateRedirect()
}

func (b *Backend) validateRedirect() (err error) {
	if b.Redirect == nil {
		return nil
	}
	age := time.Duration(b.Redirect.Age)
	switch {
	case age < time.Second || age > longestRedirect:
		return fmt.Errorf("redirect is for %v: write a time from 1s to 7d", age)
	case b.Grace < b.Redirect.Age:
		return fmt.Errorf("grace is %v, which is less than the %v of redirect: a link would outlive its bytes", time.Duration(b.Grace), age)
	}
	b.Redirect.at, err = parseEndpoint("public_endpoint", b.Redirect.PublicEndpoint, b.Insecure)
	return err
}

func parseEndpoint(word, text string, insecure bool) (server bucket.Server, err error) {
	if text == "" {
		return server, fmt.Errorf("%s is missing: write the URL of the server, such as https://s3.example.com", word)
	}
	shown := fmt.Sprintf("%s %q", word, text)
	if strings.Contains(text, "@") {
		shown = word // it may have a secret
	}
	at, err := url.Parse(text)
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" {
		return server, fmt.Errorf("%s is not the URL of a server: write one such as https://s3.example.com", shown)
	}
	if at.Path != "" && at.Path != "/" || at.RawQuery != "" || at.User != nil || at.Fragment != "" {
		return server, fmt.Errorf("%s has more than a host: the bucket, the prefix and the key have words of their own", shown)
	}
	if at.Scheme == "http" && !insecure {
		return server, fmt.Errorf("%s is not encrypted: write https, or the word insecure besides", shown)
	}
	return bucket.Server{Host: at.Host, Secure: at.Scheme == "https"}, nil
}

func checkPrefix(prefix string) error {
	if prefix != path.Clean(prefix) || strings.HasPrefix(prefix, "/") || strings.HasPrefix(prefix, "..") || prefix == "." {
		return fmt.Errorf("prefix %q is not a path: write one such as registry, without slashes around it", prefix)
	}
	if err := s3utils.CheckValidObjectNamePrefix(prefix); err != nil {
		return fmt.Errorf("prefix %q: %w", prefix, err)
	}
	return nil
}

func (b *Backend) bucketSettings() bucket.Settings {
	settings := bucket.Settings{
		Server: b.at, Name: b.Bucket, Region: b.Region, Key: b.key, Secret: b.secret, PathStyle: b.PathStyle,
		PartSize: b.PartSize, Timeout: time.Duration(b.Timeout),
	}
	if b.Redirect != nil {
		settings.Public = &b.Redirect.at
	}
	return settings
}

func (b *Backend) tuning() *tuning {
	tuned := &tuning{grace: time.Duration(b.Grace)}
	if b.Redirect != nil {
		tuned.link = time.Duration(b.Redirect.Age)
	}
	return tuned
}

// Identity implements store.BlobBackend.
func (b *Backend) Identity(string) string {
	return fmt.Sprintf("%s/%s/%s", strings.TrimSuffix(b.Endpoint, "/"), b.Bucket, b.Prefix)
}

// OpenBlobs implements store.BlobBackend.
func (b *Backend) OpenBlobs(ctx context.Context, _ string, log *slog.Logger) (store.BlobStore, error) {
	s, err := open(ctx, b, log)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", b.Identity(""), err)
	}
	return s, nil
}

// IsVacant implements remote.Elsewhere.
func (b *Backend) IsVacant(ctx context.Context) (vacant bool, err error) {
	s, err := newStore(b, slog.New(slog.DiscardHandler))
	if err != nil {
		return false, err
	}
	vacant = true
	for _, err = range s.bucket.List(ctx, s.prefix, 1) {
		vacant = false
		break
	}
	return vacant, errors.Join(bucket.Refused(err), s.Close())
}

// AdjustBlobs implements store.BlobAdjuster.
func (b *Backend) AdjustBlobs(blobs store.BlobStore) error {
	s, ok := blobs.(*Store)
	if !ok {
		return fmt.Errorf("adjusting blob store: %T is not an S3 store", blobs)
	}
	if err := s.bucket.Adjust(b.bucketSettings()); err != nil {
		return err
	}
	s.tuned.Store(b.tuning())
	return nil
}

// IsUnscrubbed implements remote.Unscrubbed.
func (*Backend) IsUnscrubbed() bool { return true }
