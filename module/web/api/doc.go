// Package api is the JSON API of Gitea for packages: it lists and finds them, and deletes
// versions and packages.
package api
