// Package terminal shows the progress of a command, as a bar on a terminal and as lines
// elsewhere, and writes counts and durations as text.
package terminal
