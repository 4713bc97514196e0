package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux.
const clockTick = 10 * time.Millisecond

// usage is what a process and its children took.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
	own      int64 // bytes of those that are no pages of files, which the system may drop
	peak     int64 // bytes resident, since the last reset
}

func (p *process) usage() (usage, error) {
	var sum usage
	for _, pid := range family(p.pid()) {
		cpu, err := cpuTime(pid)
		if err != nil {
			return usage{}, err
		}
		memory, err := memory(pid)
		if err != nil {
			return usage{}, err
		}
		sum.cpu += cpu
		sum.resident += memory.resident
		sum.own += memory.own
		sum.peak += memory.peak
	}
	return sum, nil
}

// resetPeak has the kernel count the peak anew, where it can: see proc(5),
// clear_refs. Elsewhere the peak is that since the start.
func (p *process) resetPeak() error {
	for _, pid := range family(p.pid()) {
		err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
		if err != nil && !errors.Is(err, os.ErrPermission) && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("resetting the peak of memory: %w", err)
		}
	}
	return nil
}

// family is a process with its children and theirs.
func family(pid int) []int {
	pids := []int{pid}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				pids = append(pids, family(n)...)
			}
		}
	}
	return pids
}

func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading CPU time: %w", err)
	}
	// The second field is the program's name in parentheses, with anything in it.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading CPU time: %q", stat)
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

func memory(pid int) (u usage, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("reading memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		var field *int64
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "VmRSS":
			field = &u.resident
		case "RssAnon":
			field = &u.own
		case "VmHWM":
			field = &u.peak
		default:
			continue
		}
		if _, err := fmt.Sscanf(line[strings.Index(line, ":")+1:], "%d kB", field); err != nil {
			return u, fmt.Errorf("reading memory: %q: %w", line, err)
		}
		*field *= kibibyte
	}
	return u, nil
}
