//go:build unix

package module

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// ownerOf returns the name of the user that a file belongs to, and whether that is known.
func ownerOf(path string) (name string, known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return "", false
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	return userName(int(status.Uid)), true
}

// userName is the name of a user, or the number of one without a name.
func userName(id int) string {
	number := strconv.Itoa(id)
	if found, err := user.LookupId(number); err == nil {
		return found.Username
	}
	return number
}
