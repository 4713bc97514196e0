package registry

import "testing"

// TestStepsGrowWithTheUpload: a store that keeps each step by itself has a bounded number of them.
func TestStepsGrowWithTheUpload(t *testing.T) {
	for _, test := range []struct {
		name         string
		offset, want int64
	}{
		{"the first step", 0, saveStep},
		{"a step after 10 GiB", 10 << 30, saveStep},
		{"a step after 64 GiB", 64 << 30, 64 << 20},
		{"a step after 4 TiB", 4 << 40, 4 << 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := stepAt(test.offset); got != test.want {
				t.Errorf("it is %d bytes, want %d", got, test.want)
			}
		})
	}
}
