package client

import (
	"context"
	"net/http"
	"net/url"
)

// maxText bounds what is read of a text, such as a listing of 100,000 files.
const maxText = 256 << 20

// ReadText asks for a text of a type and gives the answer, which is a 200, to read.
func (c *Client) ReadText(ctx context.Context, place *url.URL, accept string, read func(*http.Response) error) error {
	request, err := c.Request(ctx, http.MethodGet, place, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", accept)
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer Finish(response)
	if response.StatusCode != http.StatusOK {
		return RefusedBy(response)
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxText)
	return read(response)
}
