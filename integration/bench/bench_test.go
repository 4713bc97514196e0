package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestContentIsVerified(t *testing.T) {
	c := content{seed: 7, size: 2*mebibyte + 100}
	var all bytes.Buffer
	if err := c.send(&all); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name           string
		offset, length int64
		spoil          func([]byte) []byte
		says           string
	}{
		{"everything", 0, c.size, nil, ""},
		{"a range over an edge of pieces", mebibyte - 3, 2000, nil, ""},
		{"a range within a stamp", mebibyte + 3, 5, nil, ""},
		{"the last byte is another", 0, c.size, func(p []byte) []byte { p[len(p)-1]++; return p }, "wrong bytes"},
		{"a stamp is another", mebibyte - 10, 100, func(p []byte) []byte { p[12]++; return p }, "wrong bytes"},
		{"a byte too few", 0, c.size, func(p []byte) []byte { return p[:len(p)-1] }, "EOF"},
		{"a byte too many", 0, c.size, func(p []byte) []byte { return append(p, 0) }, "more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := bytes.Clone(all.Bytes()[test.offset : test.offset+test.length])
			if test.spoil != nil {
				p = test.spoil(p)
			}
			err := c.verify(bytes.NewReader(p), test.offset, test.length)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
	small := content{seed: 7, size: 4 * kibibyte}
	if err := small.verify(bytes.NewReader(small.appendTo([]byte("head"))[4:]), 0, small.size); err != nil {
		t.Errorf("a small one: %v", err)
	}
	if err := (content{seed: 8, size: small.size}).verify(bytes.NewReader(small.appendTo(nil)), 0, small.size); err == nil {
		t.Error("two seeds have the same bytes")
	}
}

func TestCommandLineHasNoSecret(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"-rounds", "3", "-cells", "^GET|PUT$"}, " -rounds 3 -cells '^GET|PUT$'"},
		{[]string{"-peer-auth", "alice:secret", "-quick"}, " -peer-auth ... -quick"},
		{[]string{"--peer-auth=alice:secret"}, " --peer-auth=..."},
	} {
		if got := commandLine(test.arguments); got != test.want {
			t.Errorf("%q: got %q, want %q", test.arguments, got, test.want)
		}
	}
}

func TestRowOfMediansAndTargets(t *testing.T) {
	of := func(resident ...int64) (samples []sample) {
		for _, n := range resident {
			samples = append(samples, sample{memory: n * mebibyte})
		}
		return samples
	}
	for _, test := range []struct {
		name               string
		ours, theirs       []sample
		ratio, least, most float64
		met                bool
	}{
		{"ratios are those of each round", of(10, 60, 90), of(10, 30, 30), 2, 1, 3, true},
		{"an even number of rounds", of(10, 60), of(10, 20), 2, 1, 3, true},
		{"too much", of(80), of(20), 4, 4, 4, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &result{
				cell:    &cell{measure: resident, sides: []side{{name: "a"}, {name: "b"}}, targets: []target{atMostMore("b", 40)}},
				samples: [][]sample{test.ours, test.theirs},
			}
			row := r.rows()[0]
			if row.ratio != test.ratio || row.least != test.least || row.most != test.most || row.met != test.met {
				t.Errorf("got %+v", row)
			}
		})
	}
}

func TestAxisReachesOverItsBars(t *testing.T) {
	for _, test := range []struct {
		name  string
		bars  []bar
		ticks []float64
	}{
		{"nothing differs", []bar{{ratio: 1, least: 1, most: 1}}, []float64{0.5, 1, 2}},
		{"the spread counts", []bar{{ratio: 1.1, least: 0.6, most: 1.9}}, []float64{0.5, 1, 2}},
		{"the target counts", []bar{{ratio: 0.9, least: 0.9, most: 0.9, target: 1.5}}, []float64{0.5, 1, 2}},
		{"the edge is a step", []bar{{ratio: 5, least: 5, most: 5}}, []float64{1, 2, 5}},
		{"many steps", []bar{{ratio: 0.0017, least: 0.0015, most: 7}}, []float64{0.001, 0.01, 0.1, 1, 10}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := axisOf(test.bars).ticks(); !slices.EqualFunc(got, test.ticks, func(a, b float64) bool { return a/b > 0.999 && a/b < 1.001 }) {
				t.Errorf("got %v, want %v", got, test.ticks)
			}
		})
	}
}

// TestBarsAreBehindTheirOwnTargets: a cell that misses one of two is not behind in
// the other.
func TestBarsAreBehindTheirOwnTargets(t *testing.T) {
	for _, test := range []struct {
		name              string
		ratio, cpuRatio   float64
		slow, takesCycles bool
	}{
		{"both met", 1.6, 0.4, false, false},
		{"too slow", 1.4, 0.4, true, false},
		{"too much of the CPU", 1.6, 0.5, false, true},
	} {
		panels := panelsOf([]row{{
			cell: test.name, with: "stock", chart: againstStock, ratio: test.ratio, goal: 1.5, cpuRatio: test.cpuRatio, cpuGoal: 0.45,
			met: !test.slow && !test.takesCycles,
		}})
		if len(panels) != 2 || panels[0].bars[0].behind != test.slow || panels[1].bars[0].behind != test.takesCycles {
			t.Errorf("%s: %+v", test.name, panels)
		}
	}
}
