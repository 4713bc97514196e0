package disk

import (
	"os"
	"syscall"
	"testing"
)

// TestFreeDescriptors: both ways to count agree with files that are opened, each of which is
// seen at once where there are not plenty.
// Seen to fail with answers that are kept although there are few.
func TestFreeDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := syscall.Rlimit{Cur: min(plentyOfDescriptors, limit.Max), Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	read := func() (uint64, error) {
		open, _, err := readDescriptors()
		return open, err
	}
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
	if free := FreeDescriptors(); free == 0 || free >= few.Cur {
		t.Errorf("%d of %d are free", free, few.Cur)
	}
}
