package resume

import (
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// body returns the bytes of a request, up to what one may bring, and a file may have. One
// that brings the whole file is an ordinary upload, of any size. Whoever has read them calls done.
func (e *exchange) body(offset int64, whole bool) (body io.Reader, done func()) {
	body, done = e.Files.Upload.Paced(e.w, e.r, whole)
	if e.MaxAppend > 0 && !whole {
		body = transfer.LimitBody(body, e.MaxAppend, e.tooLarge(e.appendText()))
	}
	if largest := e.Files.Upload.FileSize; largest > 0 {
		body = transfer.LimitBody(body, max(0, largest-offset), e.tooLarge(fmt.Sprintf("file too large: max_file_size is %d bytes", largest)))
	}
	return body, done
}

func (e *exchange) appendText() string {
	return fmt.Sprintf("request too large: it may append %d bytes at most; send the rest in further requests", e.MaxAppend)
}
