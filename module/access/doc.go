// Package access says who may do what: rules of owners and of their packages, and the
// principals that they name. Rules are checked and compiled once, and asked in every
// request.
package access
