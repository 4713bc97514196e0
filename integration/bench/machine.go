package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// setting is what a table was measured on, with and of.
type setting struct {
	cpu, kernel, fileSystem string
	cores                   int
	memory                  string
	date                    string
	commit                  string
	caddy                   string // version of stock Caddy
	command                 string
	rounds                  int
}

func describe(ctx context.Context, dir, stock string, arguments []string, rounds int) setting {
	s := setting{
		cpu: fieldOf("/proc/cpuinfo", "model name"), cores: runtime.NumCPU(), memory: fieldOf("/proc/meminfo", "MemTotal"),
		kernel: runtime.GOOS + " " + firstLine("/proc/sys/kernel/osrelease"), fileSystem: fileSystemOf(dir),
		date: time.Now().UTC().Format("2006-01-02 15:04 MST"), commit: commit(ctx), rounds: rounds,
		command: "go run ./integration/bench" + commandLine(arguments),
	}
	version, _ := exec.CommandContext(ctx, stock, "version").Output()
	s.caddy, _, _ = strings.Cut(strings.TrimSpace(string(version)), " ")
	return s
}

func (s setting) String() string {
	return fmt.Sprintf("%s, %d cores, %s, %s, %s; %s, commit %s, stock Caddy %s, %s interleaved\n\n    %s",
		s.cpu, s.cores, s.memory, s.kernel, s.fileSystem, s.date, s.commit, s.caddy, count(s.rounds, "round"), s.command)
}

// commandLine is the arguments without secrets.
func commandLine(arguments []string) (line string) {
	secret := false
	for _, a := range arguments {
		name, _, given := strings.Cut(a, "=")
		switch {
		case secret:
			a = "..."
		case given && strings.TrimLeft(name, "-") == "peer-auth":
			a = name + "=..."
		case strings.ContainsAny(a, " '\"$&|()*?;<>\\"):
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		secret = strings.TrimLeft(a, "-") == "peer-auth" && strings.HasPrefix(a, "-")
		line += " " + a
	}
	return line
}

// commit is that of the working directory, with a mark when files differ from it.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=10").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func firstLine(name string) string {
	text, _ := os.ReadFile(name)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// fieldOf is the value of the first line "name: value".
func fieldOf(file, name string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "unknown " + name
}

// fileSystemOf is the type of the file system that a directory is on: the mount with
// the longest path above it. See proc(5), mounts.
func fileSystemOf(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "unknown file system"
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	longest, kind := "", "unknown file system"
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || len(fields[1]) < len(longest) {
			continue
		}
		if at := strings.TrimSuffix(fields[1], "/"); dir == at || strings.HasPrefix(dir, at+"/") {
			longest, kind = fields[1], fields[2]
		}
	}
	return kind
}
