package view

import "strings"

// Kinds of files that vouch for another one, as a page names them.
const (
	KindSignature  = "signature"
	KindSBOM       = "SBOM"
	KindProvenance = "provenance"
	KindChecksum   = "checksum"
)

// kinds are recognised by the end of the name, without case. The first that matches
// counts. Nothing is read: a page says what the name says.
var kinds = []struct {
	kind string
	ends []string
}{
	{KindProvenance, []string{".intoto.jsonl", ".intoto.json", ".provenance", ".provenance.json", ".attestation", ".attestation.json", ".att"}},
	{KindSBOM, []string{".sbom", ".sbom.json", ".sbom.xml", ".cdx.json", ".cdx.xml", ".cyclonedx.json", ".bom.json", ".bom.xml", ".spdx", ".spdx.json", ".spdx.rdf"}},
	{KindSignature, []string{".asc", ".sig", ".sign", ".gpg", ".minisig", ".sigstore", ".sigstore.json", ".cosign.bundle", ".p7s", ".pem"}},
	{KindChecksum, []string{".sha256", ".sha256sum", ".sha512", ".sha512sum", ".sha1", ".md5", "sha256sums", "sha512sums", "sha1sums", "md5sums", "checksums.txt", "shasums256.txt"}},
}

// KindOf returns what a file is for another one, or nothing when it stands for itself.
func KindOf(file string) string {
	file = strings.ToLower(file)
	for _, known := range kinds {
		for _, end := range known.ends {
			if strings.HasSuffix(file, end) {
				return known.kind
			}
		}
	}
	return ""
}

// IsText tells whether a file's text is shown on the page of its version.
func IsText(file string) bool {
	file = strings.ToLower(file)
	if KindOf(file) != "" {
		return false
	}
	base, _, _ := strings.Cut(file, ".")
	switch base {
	case "readme", "changelog", "changes":
		return file == base || strings.HasSuffix(file, ".md") || strings.HasSuffix(file, ".txt") || strings.HasSuffix(file, ".rst")
	}
	return strings.HasSuffix(file, ".txt")
}
