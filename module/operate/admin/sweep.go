package admin

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
)

const (
	SweepPath = "/sweep"

	ParameterConfirm = "confirm"
)

// Swept is what a sweep did.
type Swept struct {
	// Deleted is how many blobs were deleted that no file refers to.
	Deleted int `json:"deleted"`
	// Withheld is how many were not, because they are unusually many.
	Withheld int64 `json:"withheld"`
}

// serveSweep sweeps a registry now. With confirm it also deletes what sweeps withheld,
// and takes metadata that is older than the blobs for the right one.
func serveSweep(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, errMethod)
	}
	confirm := false
	if text := r.URL.Query().Get(ParameterConfirm); text != "" {
		var err error
		if confirm, err = strconv.ParseBool(text); err != nil {
			return refuse(http.StatusBadRequest, fmt.Errorf("%s: write true or false", ParameterConfirm))
		}
	}
	return withRegistry(r, func(reg pool.Opened) error {
		sweep := reg.Sweep
		if confirm {
			sweep = reg.ConfirmSweep
		}
		deleted, err := sweep(r.Context())
		if err != nil {
			return storeError(err)
		}
		return answerJSON(w, Swept{Deleted: deleted, Withheld: reg.Health().Sweep.Withheld})
	})
}
