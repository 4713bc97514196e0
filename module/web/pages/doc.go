// Package pages answers for folders: with pages for people, and with lists for
// programs. A page is one response: html/template over the types of package view,
// with its style inside and a policy that lets nothing else run.
package pages
