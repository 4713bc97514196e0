package dates

import (
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestFilesOfOneNameHaveDatesOfDifferentSeconds(t *testing.T) {
	start := time.Unix(1_800_000_000, 100_000_000)
	ref := func(file string) store.Ref {
		return store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: "1"}, File: file}
	}
	var d Dates
	publish := func(file string, at time.Duration) int64 {
		created := d.Choose(ref(file), start.Add(at))
		d.Note(ref(file), created, start.Add(at))
		return created.Unix() - start.Unix()
	}
	for _, step := range []struct {
		name, file string
		at         time.Duration
		want       int64
	}{
		{"the first", "f", 0, 0},
		{"another name", "g", 0, 0},
		{"the same name in another case", "F", 100 * time.Millisecond, 1},
		{"a third in that second", "f", 200 * time.Millisecond, 2},
		{"in the second of the date that was given", "f", 2 * time.Second, 3},
		{"later", "f", 4 * time.Second, 4},
	} {
		if got := publish(step.file, step.at); got != step.want {
			t.Errorf("%s: second %d, want %d", step.name, got, step.want)
		}
	}
	for i := range 1000 {
		publish(time.Duration(i).String(), 10*time.Second)
	}
	publish("last", 13*time.Second)
	if len(d.last) != 1 {
		t.Errorf("%d dates are remembered, want 1", len(d.last))
	}
}
