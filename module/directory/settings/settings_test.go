package settings

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestProvisioningSettings(t *testing.T) {
	t.Setenv("STORE", "/srv")
	const least = 10
	for _, test := range []struct {
		name    string
		dir     string
		reserve int64
		wantDir string
		want    int64
		says    string
	}{
		{name: "nothing set", want: defaultReserve},
		{name: "all set", dir: "/srv/x", reserve: least, wantDir: "/srv/x", want: least},
		{name: "a placeholder", dir: "{env.STORE}/x", wantDir: "/srv/x", want: defaultReserve},
		{name: "an unknown placeholder", dir: "{nonsense}/x", says: "dir: "},
		{name: "too small a reserve", reserve: least - 1, says: "at least 10"},
		{name: "a negative reserve", reserve: -1, says: "at least 10"},
		{name: "an absurd reserve", reserve: largestReserve + 1, says: "leave it out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Block{Dir: &test.dir, Reserve: &test.reserve, LeastReserve: least}
			err := s.Provision()
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error is %v, want one that says %q", err, test.says)
				}
				return
			}
			if err != nil || filepath.ToSlash(test.dir) != test.wantDir || test.reserve != test.want {
				t.Errorf("dir %q, reserve %d, error %v", test.dir, test.reserve, err)
			}
		})
	}
}
