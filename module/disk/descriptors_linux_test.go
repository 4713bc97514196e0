package disk

import (
	"os"
	"syscall"
	"testing"
)

// TestFreeDescriptors: both ways to count agree with files that are opened.
func TestFreeDescriptors(t *testing.T) {
	read := func() (uint64, error) { return new(count).get() }
	for name, open := range map[string]func() (uint64, error){"as the system tells": countDescriptors, "counted": read} {
		before, err := open()
		if err != nil {
			t.Fatal(err)
		}
		free := FreeDescriptors()
		const more = 50
		for range more {
			file, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
		}
		after, err := open()
		if err != nil {
			t.Fatal(err)
		}
		// The runtime may open a few of its own.
		if got := after - before; got < more || got > more+5 {
			t.Errorf("%s: %d more are open, want %d", name, got, more)
		}
		if got := free - FreeDescriptors(); got < more || got > more+5 {
			t.Errorf("%s: %d fewer are free, want %d", name, got, more)
		}
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if free := FreeDescriptors(); free == 0 || free >= limit.Cur {
		t.Errorf("%d of %d are free", free, limit.Cur)
	}
}
