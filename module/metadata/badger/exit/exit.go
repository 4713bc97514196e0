// Package exit has the process survive what Badger ends it for.
package exit

import (
	"errors"
	"io"
	"log"
	"runtime"
	"strings"
)

// Survivor is for the standard logger. Badger ends the process where it cannot go on: y.Check and y.AssertTrue are
// log.Fatalf. Two of these a disk can cause: NewLevelsController cannot list the
// directory (getIDMap), and the value log cannot open its statistics (DISCARD). The
// standard logger writes the message before it ends the process, so a writer that does
// not return keeps the process alive: a Survivor.
type Survivor struct{ io.Writer }

// Survive has the process survive what Badger ends it for. Caddy gives the standard
// logger another writer with each configuration, so Survive is called again and again.
func Survive() {
	if _, ok := log.Writer().(Survivor); !ok {
		log.SetOutput(Survivor{log.Writer()})
	}
}

// Err is what guard returns where Badger would have ended the process.
var Err = errors.New("the database gives up")

// Write ends the goroutine of Badger that is about to end the process. A goroutine that
// is under guard goes on there with Err.
func (s Survivor) Write(message []byte) (int, error) {
	n, err := s.Writer.Write(message)
	byBadger, underGuard := callers()
	switch {
	case byBadger && underGuard:
		panic(Err)
	case byBadger:
		runtime.Goexit()
	}
	return n, err
}

// callers tells whether Badger has called log.Fatal, and whether guard has called Badger.
func callers() (byBadger, underGuard bool) {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	fatal := false
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		switch {
		case strings.HasPrefix(frame.Function, "log.Fatal"):
			fatal = true
		case strings.HasPrefix(frame.Function, "github.com/dgraph-io/"):
			byBadger = byBadger || fatal
		case strings.HasSuffix(frame.Function, "metadata/badger.guard"):
			underGuard = true
		}
	}
	return byBadger, underGuard
}
