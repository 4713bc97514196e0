package s3

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestPublishesThatTakeLongerThanADay are not dropped while their parts come, of whichever node
// they are. Seen to fail with a clean-up that looks only at when they began.
func TestPublishesThatTakeLongerThanADay(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name string
		age  time.Duration // of the newest part
		want int
	}{
		{"a part came an hour ago", time.Hour, 0},
		{"the newest part is older than a day", 30 * time.Hour, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				at := func(age time.Duration) string { return now.Add(-age).UTC().Format(time.RFC3339) }
				switch query := r.URL.Query(); {
				case r.Method == http.MethodDelete:
					w.WriteHeader(http.StatusNoContent)
				case query.Has("uploads") && query.Get("prefix") == "registry/"+blobsFolder:
					fmt.Fprintf(w, "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId><Initiated>%s</Initiated></Upload></ListMultipartUploadsResult>", at(48*time.Hour))
				case query.Has("uploads"):
					fmt.Fprint(w, "<ListMultipartUploadsResult></ListMultipartUploadsResult>")
				case query.Has("uploadId"):
					fmt.Fprintf(w, "<ListPartsResult><Part><PartNumber>1</PartNumber><LastModified>%s</LastModified></Part></ListPartsResult>", at(test.age))
				default:
					fmt.Fprint(w, emptyList)
				}
			}))
			defer server.Close()
			dropped, err := storeAt(t, server.URL, 5*time.Second).Clean(t.Context(), now.Add(-24*time.Hour))
			if dropped != test.want || err != nil {
				t.Errorf("%d uploads are dropped, %v; want %d", dropped, err, test.want)
			}
		})
	}
}
