package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// notesLog prints what stores have to say for people: a line each, with what belongs to
// the message in parentheses. What is less grave than least is left out.
func notesLog(out io.Writer, least slog.Level) *slog.Logger {
	return slog.New(&notes{out: out, least: least})
}

// notes is the handler of notesLog.
type notes struct {
	out   io.Writer
	least slog.Level
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (n *notes) Enabled(_ context.Context, level slog.Level) bool { return level >= n.least }

// Handle implements slog.Handler.
func (n *notes) Handle(_ context.Context, record slog.Record) error {
	attrs := slices.Clone(n.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Value.String() != "" {
			attrs = append(attrs, attr)
		}
		return true
	})
	line := record.Message
	if len(attrs) > 0 {
		var texts []string
		for _, attr := range attrs {
			texts = append(texts, fmt.Sprintf("%s %v", attr.Key, attr.Value))
		}
		line += " (" + strings.Join(texts, ", ") + ")"
	}
	switch {
	case record.Level >= slog.LevelError:
		line = "error: " + line
	case record.Level >= slog.LevelWarn:
		line = "warning: " + line
	}
	// One write a line: stores log from several goroutines.
	_, err := io.WriteString(n.out, line+"\n")
	return err
}

// WithAttrs implements slog.Handler.
func (n *notes) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &notes{out: n.out, least: n.least, attrs: slices.Concat(n.attrs, attrs)}
}

// WithGroup implements slog.Handler. Stores have no groups.
func (n *notes) WithGroup(string) slog.Handler { return n }
