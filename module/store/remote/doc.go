// Package remote is the optional part of the contract for a blob store on another machine,
// where every call is a request. The registry finds each interface by assertion.
package remote
