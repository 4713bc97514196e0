// Package remote is the optional part of the contract for a blob store on another machine, of
// which every call is a request. Each interface is found by assertion.
package remote
