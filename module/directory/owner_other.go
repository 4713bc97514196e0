//go:build !unix

package directory

import "strconv"

func OwnerOf(string) (name string, known bool) { return "", false }

func UserName(id int) string { return strconv.Itoa(id) }
