// Package waiting bounds how long a call of a store may take, and logs what takes long: a
// store that does not answer, a state that lasts, an opening that goes on.
package waiting
