//go:build !unix

package module

import "strconv"

func ownerOf(string) (name string, known bool) { return "", false }

func userName(id int) string { return strconv.Itoa(id) }
