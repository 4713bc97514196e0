// Package api is the JSON API of Gitea for packages: it lists and finds them, and deletes
// versions and packages. It shows them as releases of repositories too, for programs that
// know only those, and serves a description of all APIs in OpenAPI 3.1.
package api
