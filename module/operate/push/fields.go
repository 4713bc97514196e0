package push

import (
	"net/http"

	"github.com/dunglas/httpsfv"
)

// interopVersion of draft-ietf-httpbis-resumable-upload is what this client speaks.
const interopVersion = "8"

const (
	fieldInterop  = "Upload-Draft-Interop-Version"
	fieldComplete = "Upload-Complete"
	fieldOffset   = "Upload-Offset"
	fieldLength   = "Upload-Length"
	fieldLimit    = "Upload-Limit"

	partialUpload = "application/partial-upload"
)

// uploadLimits are what a server says of uploads. Zero is no limit.
type uploadLimits struct{ maxSize, maxAppend, minSize int64 }

// limitsOf reads an Upload-Limit. Found is false when there is none that can be read.
func limitsOf(header http.Header) (limits uploadLimits, found bool) {
	lines := header.Values(fieldLimit)
	if len(lines) == 0 {
		return limits, false
	}
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return limits, false
	}
	for name, value := range map[string]*int64{"max-size": &limits.maxSize, "max-append-size": &limits.maxAppend, "min-size": &limits.minSize} {
		member, ok := dictionary.Get(name)
		if !ok {
			continue
		}
		item, isItem := member.(httpsfv.Item)
		number, isNumber := item.Value.(int64)
		if !isItem || !isNumber || number < 0 {
			return uploadLimits{}, false
		}
		*value = number
	}
	return limits, true
}

// integerOf reads a field that is one whole number.
func integerOf(header http.Header, field string) (number int64, found bool) {
	item, err := httpsfv.UnmarshalItem(header.Values(field))
	if err != nil {
		return 0, false
	}
	number, found = item.Value.(int64)
	return number, found && number >= 0
}

// booleanOf reads a field that is a Boolean. Anything else is false.
func booleanOf(header http.Header, field string) bool {
	item, err := httpsfv.UnmarshalItem(header.Values(field))
	if err != nil {
		return false
	}
	is, ok := item.Value.(bool)
	return ok && is
}
