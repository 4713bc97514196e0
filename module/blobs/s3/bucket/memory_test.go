package bucket

import (
	"io"
	"testing"
	"time"
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

// TestAPartThatIsLargerThanTheMemory has no buffer of its own size: a reload may ask for such
// parts. Seen to fail with a gathering that waits a minute for more than there will ever be.
func TestAPartThatIsLargerThanTheMemory(t *testing.T) {
	b := bucketWith(t, "http://127.0.0.1:1", SmallestPart, time.Second)
	settings := b.connected.Load().Settings
	settings.PartSize = 16 << 20
	if err := b.Adjust(settings); err != nil {
		t.Fatal(err)
	}
	content := b.Create("key", -1)
	defer content.Abort()
	if err := content.Append(make([]byte, smallObject+1)); err != nil {
		t.Error(err)
	}
	if got := b.MostGathered(Sent{}); got != mostParts*SmallestPart {
		t.Errorf("an object can have %d bytes, want %d", got, mostParts*SmallestPart)
	}
}
