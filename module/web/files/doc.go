// Package files is the package API of Gitea: files are published, downloaded and deleted at
// {owner}/generic/{package}/{version}/{file}, and versions deleted at the path without the
// file.
package files
