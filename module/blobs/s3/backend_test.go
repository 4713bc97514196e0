package s3

import (
	"strings"
	"testing"
)

// TestSecretsStaySecret also where somebody writes them into an endpoint. Seen to fail with errors
// that show whatever an endpoint has.
func TestSecretsStaySecret(t *testing.T) {
	for _, endpoint := range []string{
		"https://key:hunter2@s3.example.com",
		"http://key:hunter2@s3.example.com",
		"https://key:hun/ter2@s3.example.com",
		"key:hunter2@s3.example.com",
		"https://key:hunter2@s3.example.com:port",
	} {
		_, err := parseEndpoint("endpoint", endpoint, false)
		if err == nil || strings.Contains(err.Error(), "hun") || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%s: error is %v, want one without the secret", endpoint, err)
		}
	}
}
