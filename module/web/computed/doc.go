// Package computed makes files that nobody published from published ones: checksums of
// files, and archives of versions.
//
// Whatever is computed of a whole version is a list of parts: texts, and files of the
// registry. The list is walked once for its size and its entity tag, and again for what is
// sent, a page of files at a time, so that memory does not grow with the version. A version
// that changes in between ends the answer: no client takes a mixture for the whole.
package computed
