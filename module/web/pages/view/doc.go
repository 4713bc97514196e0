// Package view is what pages show, and how it is written as HTML: the types that templates
// get, the built-in templates and elements, the commands that a page offers.
package view
