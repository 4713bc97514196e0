package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	VerifyPath = "/verify"

	ParameterRate   = "rate"
	ParameterSample = "sample"

	VerifyType = "application/jsonl"

	// verifyInterval is how often progress is told.
	verifyInterval = time.Second / 2
)

// VerifyLine is one line of what a verify answers. The last one has a report or an
// error: an answer without either was cut.
type VerifyLine struct {
	Progress *integrity.VerifyProgress `json:"progress,omitempty"`
	Report   *VerifyReport             `json:"report,omitempty"`
	// Error says why not all could be checked; the report then has what was found
	// until then.
	Error string `json:"error,omitempty"`
}

type VerifyReport struct {
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Blobs    int64     `json:"blobs"`
	Bytes    int64     `json:"bytes"`
	// Damaged counts all; Damage lists at most 10,000.
	Damaged  int64    `json:"damaged"`
	Damage   []damage `json:"damage"`
	Problems []string `json:"problems"`
}

type damage struct {
	Kind    string        `json:"kind"`
	SHA256  string        `json:"sha256"`
	Size    int64         `json:"size"`
	Locator store.Locator `json:"locator"`
	Found   string        `json:"found,omitempty"`
}

func ShowVerifyReport(report integrity.VerifyReport) *VerifyReport {
	shown := &VerifyReport{
		Started: report.Scrub.Started, Finished: report.Scrub.Finished,
		Blobs: report.Scrub.Blobs, Bytes: report.Scrub.Bytes, Damaged: report.Scrub.Damaged,
		Damage: []damage{}, Problems: append([]string{}, report.Problems...),
	}
	for _, d := range report.Damage {
		shown.Damage = append(shown.Damage, damage{Kind: string(d.Kind), SHA256: d.Digest.String(), Size: d.Size, Locator: d.Locator, Found: d.Found})
	}
	return shown
}

// IsSound tells whether nothing is wrong.
func (v *VerifyReport) IsSound() bool { return v.Damaged == 0 && len(v.Problems) == 0 }

// serveVerify checks a registry now: it answers lines of JSON, with its progress,
// then the report.
func serveVerify(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, errMethod)
	}
	var options integrity.VerifyOptions
	if text := r.URL.Query().Get(ParameterRate); text != "" {
		rate, err := strconv.ParseInt(text, 10, 64)
		if err != nil || rate < 0 {
			return refuse(http.StatusBadRequest, fmt.Errorf("%s: write a number of bytes per second", ParameterRate))
		}
		options.Rate = rate
	}
	if text := r.URL.Query().Get(ParameterSample); text != "" {
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share > 0 && share < 1) { // not a number is neither
			return refuse(http.StatusBadRequest, fmt.Errorf("%s: write a share of the blobs between 0 and 1", ParameterSample))
		}
		options.Sample = share
	}
	return withRegistry(r, func(reg pool.Opened) error {
		out := newStream(w, VerifyType)
		lines := json.NewEncoder(out)
		var failed error
		told := time.Now()
		report, err := reg.Verify(r.Context(), options, func(progress integrity.VerifyProgress) {
			if now := time.Now(); failed == nil && now.Sub(told) >= verifyInterval {
				told = now
				if failed = lines.Encode(VerifyLine{Progress: &progress}); failed == nil {
					failed = out.control.Flush()
				}
			}
		})
		last := VerifyLine{Report: ShowVerifyReport(report)}
		if err != nil {
			last.Error = err.Error()
		}
		if failed == nil {
			failed = lines.Encode(last)
		}
		return out.end(r, failed)
	})
}
