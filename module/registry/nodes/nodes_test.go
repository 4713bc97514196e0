package nodes

import (
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestProblemsOfNodes(t *testing.T) {
	self := store.Node{Name: "a", Rules: "1", IsSelf: true}
	for name, test := range map[string]struct {
		health Health
		want   []string
	}{
		"nobody else can be there":       {Health{}, nil},
		"nodes that are alike":           {Health{Nodes: []store.Node{self, {Name: "b", Rules: "1"}}, Ahead: clockTolerance}, nil},
		"a clock that is ahead":          {Health{Nodes: []store.Node{self}, Ahead: 3 * time.Second}, []string{"is 3s ahead of"}},
		"a clock that is behind":         {Health{Nodes: []store.Node{self}, Ahead: -time.Hour}, []string{"is 1h0m0s behind"}},
		"other rules, and a name's twin": {Health{Nodes: []store.Node{{Name: "a", Rules: "2"}, self, {Name: "c", Rules: "2"}}}, []string{"another node has the name a", "node c has other rules"}},
	} {
		t.Run(name, func(t *testing.T) {
			problems := test.health.Problems()
			if len(problems) != len(test.want) {
				t.Fatalf("the problems are %q, want %q", problems, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(problems[i], want) {
					t.Errorf("a problem is %q, want %q", problems[i], want)
				}
			}
		})
	}
}
