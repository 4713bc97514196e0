package view

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

//go:embed templates
var embedded embed.FS

// names are the files that make the pages. A template folder may have any of them in
// place of the embedded one.
var names = []string{
	"frame.html", "style.css", "script.js", "edit.css", "edit.js",
	"owners.html", "packages.html", "versions.html", "version.html", "edit.html", "failure.html",
}

// Templates make pages. They are safe for concurrent use.
type Templates struct{ all *template.Template }

// Parse reads the templates: those of a folder, and the embedded ones for what it does
// not have. An empty folder name is the embedded ones. Templates have the functions of
// html/template and no others: none reads a file, the environment or the network.
func Parse(folder string) (*Templates, error) {
	own, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, fmt.Errorf("embedded templates: %w", err)
	}
	t := &Templates{template.New("")}
	if err := t.add(own, names); err != nil {
		return nil, fmt.Errorf("embedded templates: %w", err)
	}
	if folder != "" {
		if err := t.override(folder); err != nil {
			return nil, err
		}
	}
	return t, t.try()
}

// override adds the templates of a folder.
func (t *Templates) override(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("reading the template folder: %w", err)
	}
	var found []string
	for _, entry := range entries {
		if slices.Contains(names, entry.Name()) {
			found = append(found, entry.Name())
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("the template folder %s has none of %s: leave the folder out for the built-in pages", folder, strings.Join(names, ", "))
	}
	return t.add(os.DirFS(folder), found)
}

// indentation is a tenth of a script, which every page carries.
var indentation = regexp.MustCompile(`(?m)^\t+`)

func (t *Templates) add(from fs.FS, files []string) error {
	for _, file := range files {
		text, err := fs.ReadFile(from, file)
		if err != nil {
			return fmt.Errorf("reading a template: %w", err)
		}
		if strings.HasSuffix(file, ".js") || strings.HasSuffix(file, ".css") {
			text = indentation.ReplaceAll(text, nil)
		}
		if _, err := t.all.New(file).Parse(string(text)); err != nil {
			return fmt.Errorf("reading a template: %w", err)
		}
	}
	return nil
}

// try makes every page once, so that a field that does not exist is an error of the
// configuration and not of a request.
func (t *Templates) try() error {
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		if _, err := t.Render(name, samples[name]); err != nil {
			return err
		}
	}
	return nil
}

// Render makes a page.
func (t *Templates) Render(name string, page any) ([]byte, error) {
	var made bytes.Buffer
	if err := t.all.ExecuteTemplate(&made, name, page); err != nil {
		return nil, fmt.Errorf("making a page: %w", err)
	}
	return made.Bytes(), nil
}
