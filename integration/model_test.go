package integration

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

const (
	modelVersions = 2 // of one package
	wholeVersion  = -1
)

// modelFiles are the files of a version.
var modelFiles = [...]string{"a", "b", "c"}

// contents is the state of a version: what each of its files holds, by the number
// of the publish; 0 is no file. A version without files does not exist.
type contents [len(modelFiles)]int

// call is what a client asks, result what it hears. The zero result is no answer.
type call struct {
	method  string
	version int
	file    int // or wholeVersion
	content int // that a PUT publishes, each another
}

type result struct {
	status  int
	refusal string // the text of a status from 400 on
	content int    // that a GET found
}

// serve is the specification: what a registry with one client does.
func (c contents) serve(in call) (contents, result) {
	missing := result{status: http.StatusNotFound, refusal: "package file does not exist"}
	if c == (contents{}) {
		missing.refusal = "package does not exist"
	}
	deleted := result{status: http.StatusNoContent}
	switch {
	case in.file == wholeVersion && c == (contents{}):
		return c, missing
	case in.file == wholeVersion:
		return contents{}, deleted
	case in.method == http.MethodPut && c[in.file] != 0:
		return c, result{status: http.StatusConflict, refusal: "package file already exists"}
	case in.method == http.MethodPut:
		c[in.file] = in.content
		return c, result{status: http.StatusCreated}
	case c[in.file] == 0:
		return c, missing
	case in.method == http.MethodGet:
		return c, result{status: http.StatusOK, content: c[in.file]}
	}
	c[in.file] = 0
	return c, deleted
}

// versionModel is the specification for the checker. No request is about two
// versions, so each is checked by itself. A request without an answer happened
// before its return, or never.
var versionModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, modelVersions)
		for _, operation := range history {
			version := operation.Input.(call).version
			parts[version] = append(parts[version], operation)
		}
		return parts
	},
	Init: func() []any { return []any{contents{}} },
	Step: func(state, in, out any) []any {
		next, answer := state.(contents).serve(in.(call))
		switch out.(result) {
		case result{}:
			return []any{state, next}
		case answer:
			return []any{next}
		}
		return nil
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v: %v", in, out) },
}).ToModel()

func (c call) String() string {
	if c.file == wholeVersion {
		return fmt.Sprintf("%s version %d", c.method, c.version)
	}
	return strings.TrimSuffix(fmt.Sprintf("%s %d/%s #%d", c.method, c.version, modelFiles[c.file], c.content), " #0")
}

func (r result) String() string {
	if r == (result{}) {
		return "no answer"
	}
	return strings.TrimSuffix(strings.TrimSpace(fmt.Sprint(r.status, " ", r.refusal))+fmt.Sprint(" #", r.content), " #0")
}

// TestTheCheckerTellsHistories: histories made by hand, most of them as a broken
// registry would make them.
func TestTheCheckerTellsHistories(t *testing.T) {
	const a, b = 0, 1
	var (
		put       = func(file, content int) call { return call{http.MethodPut, 0, file, content} }
		get       = func(file int) call { return call{http.MethodGet, 0, file, 0} }
		remove    = func(file int) call { return call{http.MethodDelete, 0, file, 0} }
		created   = result{status: http.StatusCreated}
		deleted   = result{status: http.StatusNoContent}
		conflict  = result{http.StatusConflict, "package file already exists", 0}
		noPackage = result{http.StatusNotFound, "package does not exist", 0}
		noFile    = result{http.StatusNotFound, "package file does not exist", 0}
		none      = result{}
		found     = func(content int) result { return result{status: http.StatusOK, content: content} }
		at        = func(from, to int64, in call, out result) porcupine.Operation {
			return porcupine.Operation{Call: from, Return: to, Input: in, Output: out}
		}
	)
	first, second := at(0, 1, put(a, 1), created), at(2, 3, put(b, 2), created)
	for _, test := range []struct {
		name    string
		history []porcupine.Operation
		want    porcupine.CheckResult
	}{
		{"one after the other", []porcupine.Operation{first, second, at(4, 5, get(a), found(1)), at(6, 7, remove(wholeVersion), deleted), at(8, 9, get(b), noPackage)}, porcupine.Ok},
		{"a read meets a publish, and either is first", []porcupine.Operation{at(0, 9, put(a, 1), created), at(1, 2, get(a), noPackage), at(3, 4, get(a), found(1))}, porcupine.Ok},
		{"a publish that was seen is gone", []porcupine.Operation{at(0, 9, put(a, 1), created), at(1, 2, get(a), found(1)), at(3, 4, get(a), noPackage)}, porcupine.Illegal},
		{"a read of what was deleted", []porcupine.Operation{first, second, at(4, 5, remove(a), deleted), at(6, 7, get(a), found(1))}, porcupine.Illegal},
		{"a read that misses a publish", []porcupine.Operation{first, second, at(4, 5, get(a), noFile)}, porcupine.Illegal},
		{"bytes that nobody published", []porcupine.Operation{first, at(2, 3, get(a), found(-1))}, porcupine.Illegal},
		{"two publishes that both win", []porcupine.Operation{at(0, 9, put(a, 1), created), at(0, 9, put(a, 2), created)}, porcupine.Illegal},
		{"a publish over what is there", []porcupine.Operation{first, at(2, 3, put(a, 2), created), at(4, 5, get(a), found(2))}, porcupine.Illegal},
		{"a conflict with nothing", []porcupine.Operation{first, at(2, 3, remove(a), deleted), at(4, 5, put(a, 2), conflict)}, porcupine.Illegal},
		{"two deletes that both win", []porcupine.Operation{first, at(2, 9, remove(a), deleted), at(2, 9, remove(a), deleted)}, porcupine.Illegal},
		{"a version goes file by file", []porcupine.Operation{first, second, at(4, 99, remove(wholeVersion), deleted), at(5, 6, get(a), noFile), at(7, 8, get(b), found(2))}, porcupine.Illegal},
		{"a version is gone, its file is not", []porcupine.Operation{first, second, at(4, 99, remove(wholeVersion), deleted), at(5, 6, get(a), noPackage), at(7, 8, get(b), found(2))}, porcupine.Illegal},
		{"a version outlives its last file", []porcupine.Operation{first, at(2, 3, remove(a), deleted), at(4, 5, get(a), noFile)}, porcupine.Illegal},
		{"a version is said to be gone for one file", []porcupine.Operation{first, second, at(4, 5, remove(a), deleted), at(6, 7, get(a), noPackage)}, porcupine.Illegal},
		{"an unanswered publish that happened", []porcupine.Operation{at(0, 9, put(a, 1), none), at(10, 11, get(a), found(1))}, porcupine.Ok},
		{"an unanswered publish that did not", []porcupine.Operation{at(0, 9, put(a, 1), none), at(10, 11, get(a), noPackage)}, porcupine.Ok},
		{"an unanswered publish that comes after the restart", []porcupine.Operation{at(0, 9, put(a, 1), none), at(10, 11, get(a), noPackage), at(12, 13, get(a), found(1))}, porcupine.Illegal},
		{"an unanswered publish that may come later", []porcupine.Operation{at(0, math.MaxInt64, put(a, 1), none), at(10, 11, get(a), noPackage), at(12, 13, get(a), found(1))}, porcupine.Ok},
		{"an unanswered delete that took half", []porcupine.Operation{first, second, at(4, 9, remove(wholeVersion), none), at(10, 11, get(a), noFile), at(12, 13, get(b), found(2))}, porcupine.Illegal},
		{"what was acknowledged is lost", []porcupine.Operation{first, at(2, 9, get(b), none), at(10, 11, get(a), noPackage)}, porcupine.Illegal},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := porcupine.CheckOperationsTimeout(versionModel, test.history, patience); got != test.want {
				t.Errorf("the checker says %s, want %s", got, test.want)
			}
			// Another version knows nothing of it.
			other := slices.Clone(test.history)
			for i := range other {
				in := other[i].Input.(call)
				in.version = 1
				other[i].Input = in
			}
			if got := porcupine.CheckOperationsTimeout(versionModel, append(other, test.history...), patience); got != test.want {
				t.Errorf("with the same in another version: %s, want %s", got, test.want)
			}
		})
	}
}
