package module

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/web/pages"
	"github.com/generic-registry/caddy-generic-registry/module/web/pages/view"
)

// Browse is the settings of pages and lists.
type Browse struct {
	// A directory of templates that replace the built-in ones of the same names, such as
	// `style.css` and `owners.html`. The directory is read, and placeholders are replaced,
	// when the config is loaded. A relative path is relative to the working directory.
	// Default: the built-in templates.
	Templates string `json:"templates,omitempty"`
}

// provisionBrowse makes the pages. They offer what the settings of downloads allow.
func (h *Handler) provisionBrowse() error {
	if h.Browse == nil {
		return nil
	}
	folder, err := caddy.NewReplacer().ReplaceOrErr(h.Browse.Templates, true, true)
	if err != nil {
		return fmt.Errorf("browse: %w", err)
	}
	templates, err := view.Parse(folder)
	if err != nil {
		return fmt.Errorf("browse: %w", err)
	}
	h.pages = &pages.Pages{
		Templates: templates,
		Selects:   h.Select.Takes,
		Archives:  !h.ArchiveOff,
		Sums:      h.Checksums.Sums,
		Drafts:    !h.files.Drafts.Off,
		Resumable: !h.resume.Off,
		Names:     h.FileNames,
	}
	return nil
}
