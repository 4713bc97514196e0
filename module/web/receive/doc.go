// Package receive takes the body of a request that publishes a file, and holds the request
// to everything that it said of the body: length, range, digests and, in a multipart form,
// that there is one file. It bounds how large a body may be and how slowly it may come.
package receive
