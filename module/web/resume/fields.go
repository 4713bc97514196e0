package resume

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Header fields of the draft.
const (
	fieldInterop  = "Upload-Draft-Interop-Version"
	fieldComplete = "Upload-Complete"
	fieldOffset   = "Upload-Offset"
	fieldLength   = "Upload-Length"
	fieldLimit    = "Upload-Limit"

	partialUpload = "application/partial-upload"
)

const (
	// statusResumption is 104 Upload Resumption Supported.
	statusResumption = 104

	// The interop versions that are spoken: of the drafts since -09, and of -05.
	interopCurrent = 8
	interopEarlier = 6
)

// interopOf returns the interop version of a request, 0 when it is not one that is spoken.
func interopOf(r *http.Request) int64 {
	version, _ := integerField(r.Header, fieldInterop)
	if version != interopCurrent && version != interopEarlier {
		return 0
	}
	return version
}

// uploadID returns the upload that a request names, and whether it names one.
func uploadID(r *http.Request) (id store.SessionID, is bool) {
	query, _ := url.ParseQuery(r.URL.RawQuery) // what can be read counts
	values, is := query["upload"]
	if !is {
		return "", false
	}
	return store.SessionID(values[0]), true
}

// integerField reads a field that is a whole number, not below zero (RFC 9651 section
// 3.3.1). Others are as if they were not there.
func integerField(header http.Header, name string) (value int64, said bool) {
	item, err := httpsfv.UnmarshalItem(header.Values(name))
	if err != nil {
		return 0, false
	}
	value, is := item.Value.(int64)
	return value, is && value >= 0
}

// booleanField reads a field that is a Boolean (RFC 9651 section 3.3.6).
func booleanField(header http.Header, name string) (value, said bool) {
	item, err := httpsfv.UnmarshalItem(header.Values(name))
	if err != nil {
		return false, false
	}
	value, said = item.Value.(bool)
	return value, said
}

func setInteger(header http.Header, name string, value int64) {
	header.Set(name, strconv.FormatInt(value, 10))
}

func setBoolean(header http.Header, name string, value bool) {
	text := "?0"
	if value {
		text = "?1"
	}
	header.Set(name, text)
}

// setLimits says what uploads may be, and for how long this one may go on.
func (e *exchange) setLimits(header http.Header, left time.Duration) {
	limits := httpsfv.NewDictionary()
	if largest := e.Files.Upload.FileSize; largest > 0 {
		limits.Add("max-size", httpsfv.NewItem(largest))
	}
	if e.MaxAppend > 0 {
		limits.Add("max-append-size", httpsfv.NewItem(e.MaxAppend))
	}
	age := "max-age"
	if interopOf(e.r) == interopEarlier {
		age = "expires"
	}
	limits.Add(age, httpsfv.NewItem(max(0, int64(left/time.Second))))
	if text, err := httpsfv.Marshal(limits); err == nil {
		header.Set(fieldLimit, text)
	}
}
