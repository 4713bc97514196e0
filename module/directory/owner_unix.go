//go:build unix

package directory

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// OwnerOf returns the name of the user that a file belongs to, and whether that is known.
func OwnerOf(path string) (name string, known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return "", false
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	return UserName(int(status.Uid)), true
}

// UserName is the name of a user, or the number of one without a name.
func UserName(id int) string {
	number := strconv.Itoa(id)
	if found, err := user.LookupId(number); err == nil {
		return found.Username
	}
	return number
}
