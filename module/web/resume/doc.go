// Package resume is resumable uploads: a file comes in several requests, and the upload
// goes on where it was after a cut or a killed server (draft-ietf-httpbis-resumable-upload,
// interop versions 8 and 6).
//
// A PUT or POST of a file with Upload-Complete begins an upload, and the upload is a
// resource of its own at the URL of the file with ?upload=<id>: guards of the Caddyfile that
// compare paths guard it too. HEAD tells where it stands, PATCH appends, DELETE gives it up.
// Only its creator may do so, and for everybody else it does not exist.
package resume
