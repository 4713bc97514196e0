// Package waiting bounds how long a call of a store may take, and tells people of calls that
// take long: of a store that does not answer, of a state that lasts, of an opening that goes on.
package waiting
