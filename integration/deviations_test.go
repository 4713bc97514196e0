package integration

import "testing"

// deviation is where this project answers otherwise than Gitea, on purpose.
type deviation struct {
	cases  []int // as numbered in the recording
	status []int // the answers that are right here
	why    string
}

var deviations = []deviation{
	{[]int{195, 196, 197}, []int{400}, "a multipart body without a file is the client's fault, not the server's"},
	{[]int{201}, []int{400}, "a body that is cut is the client's fault, not the server's"},
	{[]int{204}, []int{400}, "part of a body must not become the file (RFC 9110 section 14.5)"},
	{[]int{207}, []int{400}, "a client that sends a digest wants it verified"},
	{[]int{198}, []int{201}, "a form-encoded body, curl's default, is stored as sent"},
	{[]int{205, 206}, []int{412}, "conditions are evaluated (RFC 9110 section 13)"},
	{[]int{604}, []int{400}, "a path with dot segments is another path to Caddy's matchers"},
	{[]int{19}, []int{403}, "a user who may not write an owner's packages hears so, known owner or not"},
	{[]int{307, 309, 311, 313, 442, 444, 534, 536, 538, 540}, []int{400}, "names have at most 255 bytes"},
	{[]int{308, 310, 312, 314, 443, 445, 535, 537, 539, 541}, []int{404}, "what was not published for its long name is not there"},
	{[]int{515, 525, 527}, []int{400}, "backslashes and control characters in a version are refused: Caddy's matchers see another path"},
	{[]int{516, 526, 528}, []int{400}, "backslashes and control characters are refused on every method"},
}

func deviationsByCase(t *testing.T) map[int]deviation {
	t.Helper()
	byCase := make(map[int]deviation)
	for _, d := range deviations {
		for _, n := range d.cases {
			if _, twice := byCase[n]; twice {
				t.Errorf("case %d deviates twice", n)
			}
			byCase[n] = d
		}
	}
	return byCase
}
