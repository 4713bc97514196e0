package webhook

import (
	"net/netip"
	"testing"
)

func TestPublicAddresses(t *testing.T) {
	for _, test := range []struct {
		address string
		public  bool
	}{
		{"1.1.1.1", true}, {"::ffff:1.1.1.1", true}, {"2606:4700::1111", true}, {"172.32.0.1", true}, {"100.128.0.1", true},
		{"127.0.0.1", false}, {"127.9.9.9", false}, {"::1", false}, {"::ffff:127.0.0.1", false}, {"0.0.0.0", false}, {"0.1.2.3", false}, {"::", false},
		{"10.0.0.1", false}, {"172.16.0.1", false}, {"192.168.1.1", false}, {"::ffff:10.0.0.1", false}, {"fd00::1", false}, {"fc00::1", false},
		{"169.254.169.254", false}, {"fe80::1", false}, {"fe80::1%eth0", false}, {"fec0::1", false},
		{"100.64.0.1", false}, {"192.0.0.1", false}, {"192.0.2.1", false}, {"198.18.0.1", false}, {"198.51.100.1", false}, {"203.0.113.1", false},
		{"224.0.0.1", false}, {"240.0.0.1", false}, {"255.255.255.255", false}, {"ff02::1", false},
		{"64:ff9b::a00:1", false}, {"64:ff9b:1::1", false}, {"2002:a00:1::", false}, {"2001:0:1::", false}, {"::10.0.0.1", false}, {"2001:db8::1", false}, {"100::1", false},
	} {
		if got := isPublic(netip.MustParseAddr(test.address)); got != test.public {
			t.Errorf("%s is public: %t, want %t", test.address, got, test.public)
		}
	}
}
