package disk

import "testing"

// TestSyncingAFileSystemIsTrustedFrom517: before, a failed commit of names need not show.
func TestSyncingAFileSystemIsTrustedFrom517(t *testing.T) {
	for release, want := range map[string]bool{
		"": false, "unknown": false, "4.19.0": false, "5.4.0-150-generic": false, "5.8.0": false, "5.15.0-91-generic": false, "5.16.20": false,
		"5.17.0": true, "5.17-rc1": true, "5.19.0": true, "6.1.0-18-amd64": true, "6.18.5": true, "10.0": true,
	} {
		if got := reportsErrors(release); got != want {
			t.Errorf("release %q: got %v, want %v", release, got, want)
		}
	}
}
