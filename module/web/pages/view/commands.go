package view

import (
	"cmp"
	"strings"
)

// Command is a line to copy into a shell.
type Command struct {
	// Label names the program.
	Label string
	// Line is the command, with all that it is given quoted for its shell.
	Line string
}

// Downloads returns the commands that download a file and compare its digest. User is
// the name to log in with, empty where anyone may read.
func Downloads(url, file, digest, user string) []Command {
	// A name that begins with a dash would be an option.
	local := file
	if strings.HasPrefix(local, "-") {
		local = "./" + local
	}
	curl, wget, powershell := "curl --fail --location", "wget", "Invoke-WebRequest"
	if user != "" {
		curl += " --user " + posixQuote(user)
		wget += " --user " + posixQuote(user) + " --ask-password"
		powershell += " -Credential " + powershellQuote(user)
	}
	return []Command{
		{"curl", curl + " --output " + posixQuote(local) + " " + posixQuote(url)},
		{"wget", wget + " --output-document=" + posixQuote(local) + " " + posixQuote(url)},
		{"PowerShell", powershell + " -OutFile " + powershellQuote(local) + " -Uri " + powershellQuote(url)},
		{"Checksum", "echo " + posixQuote(digest+"  "+local) + " | sha256sum --check"},
		{"Checksum, PowerShell", "(Get-FileHash -LiteralPath " + powershellQuote(local) + ").Hash -eq '" + digest + "'"},
	}
}

// Publishing returns the commands with which a user publishes a first file of an owner, or of
// their own without one, under the prefix.
func Publishing(prefix, owner, user string) []Command {
	user = cmp.Or(user, "NAME")
	url := prefix + Segment(cmp.Or(owner, user)) + "/generic/tool/1.0.0/tool.tar.gz"
	return []Command{
		{"curl", "curl --fail-with-body --user " + posixQuote(user) + " --upload-file tool.tar.gz " + posixQuote(url)},
		{"PowerShell", "Invoke-WebRequest -Method Put -Credential " + powershellQuote(user) + " -InFile tool.tar.gz -Uri " + powershellQuote(url)},
	}
}

// posixQuote quotes a word for a POSIX shell. A word of plain characters stays as it is.
func posixQuote(word string) string {
	if isPlain(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// powershellQuote quotes a word for PowerShell, for which curly quotes are quotes too.
func powershellQuote(word string) string {
	if isPlain(word) {
		return word
	}
	var quoted strings.Builder
	quoted.WriteByte('\'')
	for _, r := range word {
		if strings.ContainsRune("'‘’‚‛", r) {
			quoted.WriteRune(r)
		}
		quoted.WriteRune(r)
	}
	quoted.WriteByte('\'')
	return quoted.String()
}

// isPlain tells whether a word means itself in every shell.
func isPlain(word string) bool {
	for i := range len(word) {
		c := word[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._/:", c) >= 0) {
			return false
		}
	}
	return word != ""
}
