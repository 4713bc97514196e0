// Package terminal shows how far a command is, and words what it counts: a bar where somebody
// looks at a terminal, lines elsewhere.
package terminal
