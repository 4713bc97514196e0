package integration

import (
	"fmt"
	"strings"
)

// attack is a request as it goes over the wire. AUTH stands for the line of the
// client's credentials, HOST for the server's address.
type attack struct{ name, raw string }

const attackBody = "evil"

// attacks is the table: each is aimed at an owner that only alice may change, and
// "private" that only she may read.
func attacks() (all []attack) {
	all = append(all, pathAttacks()...)
	all = append(all, apiAttacks()...)
	all = append(all, methodAttacks()...)
	all = append(all, headerAttacks()...)
	all = append(all, credentialAttacks()...)
	return append(all, framingAttacks()...)
}

// request is a well-formed one with lines of its own.
func request(method, target string, lines ...string) string {
	head := method + " " + target + " HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAUTH"
	for _, line := range lines {
		head += line + "\r\n"
	}
	if method == "PUT" || method == "POST" || method == "PATCH" {
		return head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(attackBody), attackBody)
	}
	return head + "\r\n"
}

// pathAttacks spell the private file, and a new one beside it, in every way.
func pathAttacks() (all []attack) {
	for _, spelling := range []struct{ name, target string }{
		{"as it is", "/api/packages/private/generic/p/1/f"},
		{"in capitals", "/api/packages/PRIVATE/GENERIC/P/1/F"},
		{"the owner in capitals", "/api/packages/PRIVATE/generic/p/1/f"},
		{"an escaped letter", "/api/packages/%70rivate/generic/p/1/f"},
		{"every letter escaped", "/api/packages/%70%72%69%76%61%74%65/generic/p/1/f"},
		{"an escaped twice", "/api/packages/%2570rivate/generic/p/1/f"},
		{"an escaped prefix", "/%61pi/%70ackages/private/generic/p/1/f"},
		{"double slashes", "//api//packages//private//generic//p//1//f"},
		{"a trailing slash", "/api/packages/private/generic/p/1/f/"},
		{"an escaped slash before the owner", "/api/packages%2Fprivate/generic/p/1/f"},
		{"an escaped slash after the owner", "/api/packages/private%2Fgeneric/p/1/f"},
		{"an escaped slash twice", "/api/packages/private%252Fgeneric/p/1/f"},
		{"all slashes escaped", "/api%2Fpackages%2Fprivate%2Fgeneric%2Fp%2F1%2Ff"},
		{"an empty escaped segment", "/api/packages/%2F/private/generic/p/1/f"},
		{"a dot segment", "/api/packages/./private/generic/p/1/f"},
		{"an escaped dot segment", "/api/packages/%2e/private/generic/p/1/f"},
		{"up from another owner", "/api/packages/bob/../private/generic/p/1/f"},
		{"up, escaped", "/api/packages/bob/%2e%2e/private/generic/p/1/f"},
		{"up, half escaped", "/api/packages/bob/.%2e/private/generic/p/1/f"},
		{"up with escaped slashes", "/api/packages/bob%2F..%2Fprivate/generic/p/1/f"},
		{"up within a version", "/api/packages/bob/generic/p/1%2F..%2F..%2F..%2F..%2Fprivate%2Fgeneric%2Fp%2F1/f"},
		{"up above the root", "/../../api/packages/private/generic/p/1/f"},
		{"up with backslashes", "/api/packages/bob%5C..%5Cprivate/generic/p/1/f"},
		{"raw backslashes", "\\api\\packages\\private\\generic\\p\\1\\f"},
		{"a NUL after the owner", "/api/packages/private%00/generic/p/1/f"},
		{"a NUL before the owner", "/api/packages/%00private/generic/p/1/f"},
		{"a NUL in the file", "/api/packages/private/generic/p/1/f%00.txt"},
		{"a line feed in the owner", "/api/packages/private%0a/generic/p/1/f"},
		{"a header in the path", "/api/packages/private%0d%0aX-Evil:%201/generic/p/1/f"},
		{"a space after the owner", "/api/packages/private%20/generic/p/1/f"},
		{"a space before the owner", "/api/packages/%20private/generic/p/1/f"},
		{"a no-break space", "/api/packages/private%c2%a0/generic/p/1/f"},
		{"a zero-width space", "/api/packages/private%e2%80%8b/generic/p/1/f"},
		{"a byte order mark", "/api/packages/%ef%bb%bfprivate/generic/p/1/f"},
		{"a dot after the owner", "/api/packages/private./generic/p/1/f"},
		{"a parameter", "/api/packages/private;x=y/generic/p/1/f"},
		{"a query for the path", "/api/packages/private/generic/p/1?/f"},
		{"an escaped query mark", "/api/packages/private%3F/generic/p/1/f"},
		{"a fragment", "/api/packages/private/generic/p/1/f#x"},
		{"an escaped fragment", "/api/packages/private%23/generic/p/1/f"},
		{"a token in the query", "/api/packages/private/generic/p/1/f?token=grt_x&access_token=grt_x"},
		{"overlong UTF-8", "/api/packages/%c1%b0rivate/generic/p/1/f"},
		{"an overlong slash", "/api/packages/bob%c0%af..%c0%afprivate/generic/p/1/f"},
		{"half a character", "/api/packages/private%c3/generic/p/1/f"},
		{"a surrogate", "/api/packages/private%ed%a0%80/generic/p/1/f"},
		{"a bad escape", "/api/packages/private%zz/generic/p/1/f"},
		{"half an escape", "/api/packages/private/generic/p/1/f%"},
		{"an escape of IIS", "/api/packages/%u0070rivate/generic/p/1/f"},
		{"a letter of another script", "/api/packages/priv%d0%b0te/generic/p/1/f"},
		{"a full-width letter", "/api/packages/%ef%bd%90rivate/generic/p/1/f"},
		{"a dotless i", "/api/packages/pr%c4%b1vate/generic/p/1/f"},
		{"a dotted capital i", "/api/packages/pr%c4%b0vate/generic/p/1/f"},
		{"a combining mark", "/api/packages/private%cc%81/generic/p/1/f"},
		{"a soft hyphen", "/api/packages/pri%c2%advate/generic/p/1/f"},
		{"the type in capitals", "/api/packages/private/Generic/p/1/f"},
		{"another type", "/api/packages/private/npm/p/1/f"},
		{"the prefix in capitals", "/API/packages/private/generic/p/1/f"},
		{"the version alone", "/api/packages/private/generic/p/1"},
		{"the package alone", "/api/packages/private/generic/p"},
		{"a segment too many", "/api/packages/private/generic/p/1/f/g"},
		{"a long owner", "/api/packages/" + strings.Repeat("o", 5000) + "/generic/p/1/f"},
		{"a long file", "/api/packages/private/generic/p/1/" + strings.Repeat("f", 5000)},
		{"many segments", "/api/packages/private/generic/p/1/f" + strings.Repeat("/x", 3000)},
		{"many escapes", "/api/packages/private/generic/p/" + strings.Repeat("%2e%2e%2f", 500) + "/f"},
		{"a template for an owner", "/api/packages/%7Bhttp.auth.user.id%7D/generic/p/1/f"},
		{"a principal for an owner", "/api/packages/@owner/generic/p/1/f"},
		{"a star for an owner", "/api/packages/*/generic/p/1/f"},
		{"an empty owner", "/api/packages//generic/p/1/f"},
		{"the absolute form", "http://HOST/api/packages/private/generic/p/1/f"},
		{"the absolute form with a user", "http://alice:secret@HOST/api/packages/private/generic/p/1/f"},
		{"the absolute form of elsewhere", "http://elsewhere.example/api/packages/private/generic/p/1/f"},
		{"the absolute form, https", "https://HOST/api/packages/private/generic/p/1/f"},
		{"the absolute form with dots", "http://HOST/x/../api/packages/private/generic/p/1/f"},
		{"a file scheme", "file:///api/packages/private/generic/p/1/f"},
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			target := spelling.target
			if method == "PUT" && strings.HasSuffix(target, "/f") {
				target = strings.TrimSuffix(target, "f") + "new"
			}
			all = append(all, attack{method + ", " + spelling.name, request(method, target)})
		}
	}
	return all
}

// apiAttacks ask the JSON API for what the private file's path names, in every way that
// pathAttacks spell it.
func apiAttacks() (all []attack) {
	for _, a := range pathAttacks() {
		if strings.HasPrefix(a.name, "PUT") {
			continue
		}
		version := strings.Replace(strings.Replace(a.raw, "packages", "v1/packages", 1), "/f HTTP", " HTTP", 1)
		all = append(all, attack{a.name + ", of the JSON API", version})
		if strings.HasPrefix(a.name, "GET") {
			all = append(all, attack{a.name + ", files of the JSON API", strings.Replace(version, " HTTP", "/files HTTP", 1)})
		}
	}
	for _, target := range []string{
		"", "?type=generic", "?q=%25", "?q=_", "?q=p&limit=50", "/", "?page=2&limit=1", "/generic/p", "/generic/p/", "/generic/p/-/latest", "/generic/p/1", "/generic/p/1/files",
		"/npm/p", "/generic/p/-", "/generic/p/-/files", "/generic/p/-/link/p", "/generic/p/-/unlink", "/generic/p/latest",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			all = append(all, attack{method + " of the JSON API", request(method, "/api/v1/packages/private"+target)})
		}
	}
	return all
}

const privateFile, aliceFile, aliceNew = "/api/packages/private/generic/p/1/f", "/api/packages/alice/generic/p/1/f", "/api/packages/alice/generic/p/1/new"

func methodAttacks() (all []attack) {
	for _, method := range []string{
		"put", "Put", "delete", "get", "head", "POST", "PATCH", "OPTIONS", "TRACE", "MOVE", "COPY", "MKCOL", "PROPFIND", "LOCK", "LINK",
		"PURGE", "DEBUG", "PUTX", "XDELETE", "G-E-T", "*", "PUT,DELETE", "CONNECT",
	} {
		for _, target := range []string{privateFile, aliceFile} {
			all = append(all, attack{"method " + method + " of " + target, request(method, target)})
		}
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"} {
		for _, method := range []string{"PUT", "DELETE"} {
			all = append(all, attack{"GET with " + name + " " + method, request("GET", aliceFile, name+": "+method)},
				attack{"POST with " + name + " " + method, request("POST", aliceNew, name+": "+method)})
		}
	}
	return all
}
