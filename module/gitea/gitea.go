// Package gitea has the JSON of Gitea for packages and users, in its API and in its
// webhooks. The order of the fields is that of Gitea, because scripts search the text.
package gitea

import "time"

// Package is a version of a package.
type Package struct {
	ID         int64   `json:"id"`
	Owner      User    `json:"owner"`
	Repository *string `json:"repository"` // there are none
	Creator    User    `json:"creator"`
	Type       string  `json:"type"`
	Name       string  `json:"name"`
	Version    string  `json:"version"`
	HTMLURL    string  `json:"html_url"`
	CreatedAt  string  `json:"created_at"`
}

// User is an owner or a user. There is no list of users here, so that most of what Gitea
// tells of one has its zero value.
type User struct {
	ID                int64  `json:"id"`
	Login             string `json:"login"`
	LoginName         string `json:"login_name"`
	SourceID          int64  `json:"source_id"`
	FullName          string `json:"full_name"`
	Email             string `json:"email"`
	AvatarURL         string `json:"avatar_url"`
	HTMLURL           string `json:"html_url"`
	Language          string `json:"language"`
	IsAdmin           bool   `json:"is_admin"`
	LastLogin         string `json:"last_login"`
	Created           string `json:"created"`
	Restricted        bool   `json:"restricted"`
	Active            bool   `json:"active"`
	ProhibitLogin     bool   `json:"prohibit_login"`
	Location          string `json:"location"`
	Website           string `json:"website"`
	Description       string `json:"description"`
	Visibility        string `json:"visibility"`
	FollowersCount    int    `json:"followers_count"`
	FollowingCount    int    `json:"following_count"`
	StarredReposCount int    `json:"starred_repos_count"`
	Username          string `json:"username"`
}

// noTime is what Gitea says of users who have not logged in.
const noTime = "1970-01-01T00:00:00Z"

// NewUser returns a user of whom only the name is known.
func NewUser(name string) User {
	return User{Login: name, Username: name, LastLogin: noTime, Created: noTime, Active: true, Visibility: "private"}
}

// Time is a time as Gitea writes it.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339) }
