package registry

import "testing"

// TestDownloadsReachTheStore was seen to fail without the last ones, which closing stores.
func TestDownloadsReachTheStore(t *testing.T) {
	r, names, _ := inMemory(t, Options{Idle: true})
	file := mustPublish(t, r, fileRef("1", "f"), "x", Limits{})
	for range 3 {
		r.NoteDownload(file)
	}
	if stored, err := r.StoreDownloads(t.Context()); stored != 1 || err != nil {
		t.Errorf("stored those of %d files, %v", stored, err)
	}
	r.NoteDownload(file)
	mustClose(t, r)
	metadata, err := names.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer metadata.Close()
	if found, err := metadata.Lookup(t.Context(), file.Ref); err != nil || found.Downloads != 4 || found.Downloaded.IsZero() {
		t.Errorf("%d downloads, the last %v, want 4: %v", found.Downloads, found.Downloaded, err)
	}
	r.NoteDownload(file)
	for range 2 { // without downloads that wait there is no error
		if _, err := r.StoreDownloads(t.Context()); err == nil {
			t.Error("the downloads that a closed store does not take are lost, want them counted on")
		}
	}
}
