// Package access decides who may do what. It has the rules of owners and packages, and the
// principals that they name. Rules are checked and compiled once, and apply to every
// request.
package access
