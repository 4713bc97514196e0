//go:build mounts

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// control makes the test binary a program that writes files into a directory and
// prints the number of each when it is durable: the disks are judged by it.
const (
	control     = "GENERIC_REGISTRY_CONTROL"
	controlSync = "GENERIC_REGISTRY_CONTROL_SYNC"

	controlSize = 10_000
)

var _ = runControl()

func runControl() struct{} {
	directory := os.Getenv(control)
	if directory == "" {
		return struct{}{}
	}
	for number := 0; ; number++ {
		if err := writeControl(directory, number, os.Getenv(controlSync) != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(number)
	}
}

func controlName(directory string, number int) string {
	return filepath.Join(directory, fmt.Sprint(number))
}

func writeControl(directory string, number int, sync bool) error {
	file, err := os.Create(controlName(directory, number))
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(pattern(number, controlSize)); err != nil || !sync {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	parent, err := os.Open(directory)
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

// TestPowerCutOfAControl: the cut loses what was not synced, and only that.
func TestPowerCutOfAControl(t *testing.T) {
	t.Parallel()
	cycles := 3
	if isLong() {
		cycles = 50
	}
	for _, system := range []string{"ext4", "xfs"} {
		for _, sync := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, synced: %v", system, sync), func(t *testing.T) {
				t.Parallel()
				m := newMount(t, system, diskSize)
				acknowledged, lost := 0, 0
				for cycle := range cycles {
					directory := filepath.Join(m.path, fmt.Sprint(cycle))
					if err := os.Mkdir(directory, 0o700); err != nil {
						t.Fatal(err)
					}
					m.run("sync", "-f", m.path)
					numbers := runUntilCut(m, directory, sync, 20+cycle)
					acknowledged += numbers
					for number := range numbers {
						content, err := os.ReadFile(controlName(directory, number))
						if err != nil || !bytes.Equal(content, pattern(number, controlSize)) {
							lost++
						}
					}
				}
				t.Logf("%d of %d files are lost", lost, acknowledged)
				if (lost > 0) == sync {
					t.Errorf("%d of %d files are lost", lost, acknowledged)
				}
			})
		}
	}
}

// runUntilCut returns how many files the control said were durable.
func runUntilCut(m *mount, directory string, sync bool, least int) (numbers int) {
	m.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), control+"="+directory)
	if sync {
		command.Env = append(command.Env, controlSync+"=1")
	}
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.StdoutPipe()
	if err != nil {
		m.Fatal(err)
	}
	if err := command.Start(); err != nil {
		m.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for numbers < least && lines.Scan() {
		numbers++
	}
	if numbers == least {
		freeze(m, command.Process.Pid)
	}
	m.cutPower()
	if err := command.Process.Kill(); err != nil {
		m.Fatal(err)
	}
	for lines.Scan() {
		numbers++
	}
	if err := command.Wait(); err == nil || complaints.Len() > 0 {
		m.Fatalf("the control ended by itself: %v %s", err, complaints.String())
	}
	m.unmount()
	m.mount()
	return numbers
}
