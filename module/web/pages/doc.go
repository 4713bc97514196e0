// Package pages answers requests for folders, with pages for people and lists for programs.
// A page is one response: html/template over the types of package view, with its style
// inside, and with a policy that allows no other style and no other script.
package pages
