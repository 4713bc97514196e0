package bucket

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// credentials are those of the settings, or else what the machine has.
func (s *Settings) credentials(transport http.RoundTripper) *credentials.Credentials {
	if s.Key != "" {
		return credentials.NewStaticV4(s.Key, s.Secret, "")
	}
	role := &credentials.IAM{Client: &http.Client{Transport: transport, Timeout: dialTimeout}}
	return credentials.New(&machine{Provider: role, providers: []credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, role,
	}})
}

// machine gives the credentials that the machine has. The library's own chain of providers
// drops their errors, and has requests made without a signature: the server refuses those, so
// that a role which nobody tells for a moment looks like a wrong configuration.
type machine struct {
	credentials.Provider // that had some
	providers            []credentials.Provider
}

var errEmpty = errors.New("they are empty")

// RetrieveWithCredContext implements credentials.Provider. The error is that of the role, which is
// asked last: an error of a file may show what is in it.
func (m *machine) RetrieveWithCredContext(asked *credentials.CredContext) (value credentials.Value, err error) {
	for _, provider := range m.providers {
		value, err = provider.RetrieveWithCredContext(asked)
		if err == nil && value.AccessKeyID != "" {
			m.Provider = provider
			return value, nil
		}
	}
	return value, fmt.Errorf("neither the environment nor a file has credentials, and those of the instance's role: %w", cmp.Or(err, errEmpty))
}
