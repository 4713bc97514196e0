// Package view is what pages show, and the HTML of it: the types that templates get, the
// built-in templates and elements, the commands that a page offers.
package view
