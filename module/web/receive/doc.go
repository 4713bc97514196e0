// Package receive reads the body of a request that publishes a file, and checks everything
// that the request says about the body: length, range, digests and, in a multipart form,
// that there is one file. It bounds how large a body may be and how slowly it may come.
package receive
