package bucket

import (
	"io"
	"testing"
)

// TestBytesThatAreTakenBack are not read any more: they may not be there. Seen to end the
// process with bytes that stay lent.
func TestBytesThatAreTakenBack(t *testing.T) {
	m := newMemory(SmallestPart)
	buffer, err := m.take(t.Context(), SmallestPart)
	if err != nil {
		t.Fatal(err)
	}
	buffer = append(buffer, make([]byte, SmallestPart)...)
	body := lend(buffer)
	if n, err := io.CopyN(io.Discard, body, 1<<20); err != nil {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	body.takeBack()
	m.give(buffer, SmallestPart)
	if n, err := io.Copy(io.Discard, body); n != 0 || err != nil {
		t.Errorf("read %d bytes, %v, of those that were taken back", n, err)
	}
}
