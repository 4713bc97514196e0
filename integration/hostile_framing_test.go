package integration

import (
	"encoding/base64"
	"strings"
)

// headerAttacks claim to be somebody, somewhere or something else.
func headerAttacks() (all []attack) {
	lines := []string{
		"X-Forwarded-User: alice", "Remote-User: alice", "X-Remote-User: alice", "X-Auth-User: alice", "X-Webauth-User: alice",
		"X-Authenticated-User: alice", "Http.auth.user.id: alice", "Http_auth_user_id: alice", "User: alice", "From: alice@example.com",
		"X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1;by=alice", "X-Forwarded-Host: localhost",
		"X-Original-URL: " + privateFile, "X-Rewrite-URL: " + privateFile, "X-Forwarded-Prefix: /api", "Destination: " + aliceNew,
		"Proxy-Authorization: " + basic("alice", password), "Cookie: user=alice; token=alice", "X-Api-Key: alice", "Private-Token: alice", "Job-Token: alice",
		"Upgrade: h2c", "Upgrade: websocket", "Expect: something", "Content-Type: multipart/form-data", "Content-Type: multipart/form-data; boundary=x",
		"Content-Encoding: gzip", "Content-Range: bytes 0-3/4", "Range: bytes=0-0", "Range: bytes=-99999999999999999999", "Range: lines=1-2",
		"Range: bytes=" + strings.Repeat("0-0,", 999) + "0-0", "Range: bytes=" + strings.Repeat("-0,", 999) + "-0", "Range: bytes=9223372036854775807-",
		"If-Match: *", "If-None-Match: *", "If-Match: \",*,\"", "If-Unmodified-Since: yesterday", "If-Range: *", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
		"Content-MD5: x", "Repr-Digest: sha-256=:x:", "Content-Digest: sha-256=" + strings.Repeat(":", 500), "Digest: SHA-256=", "X-Checksum-Sha256: " + strings.Repeat("0", 64),
		"Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Referer: http://HOST/", "Accept-Encoding: gzip, br, zstd", "Te: trailers",
	}
	for _, line := range lines {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			target := map[string]string{"GET": privateFile, "PUT": aliceNew, "DELETE": aliceFile}[method]
			all = append(all, attack{method + " with " + line[:min(len(line), 60)], request(method, target, line)})
		}
	}
	return all
}

// credentialAttacks bring credentials that are nobody's. The client's own do not
// go with them.
func credentialAttacks() (all []attack) {
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, lines := range [][]string{
		{"Authorization: Basic"}, {"Authorization: Basic "}, {"Authorization: Basic !!!!"}, {"Authorization: Basic " + encode("alice")},
		{"Authorization: Basic " + encode("alice:")}, {"Authorization: Basic " + encode(":")}, {"Authorization: Basic " + encode(":"+password)},
		{"Authorization: Basic " + encode("alice:"+password+"\x00")}, {"Authorization: Basic " + encode("alice\x00:"+password)},
		{"Authorization: Basic " + encode("alice :"+password)}, {"Authorization: Basic " + encode("ALICE:"+password)},
		{"Authorization: Basic " + encode("alice:"+strings.Repeat("x", 5000))}, {"Authorization: Basic " + encode("*:*")}, {"Authorization: Basic " + encode("@owner:x")},
		{"Authorization: Basic " + encode("{http.auth.user.id}:x")}, {"Authorization: Bearer alice"}, {"Authorization: token alice"}, {"Authorization: Bearer"},
		{"Authorization: Bearer grt_"}, {"Authorization: Bearer grt_" + strings.Repeat("a", 36)}, {"Authorization: Bearer grt_" + strings.Repeat("a", 5000)},
		{"Authorization: Bearer grt_%00"}, {"Authorization: Negotiate x"}, {"Authorization: Digest username=\"alice\""}, {"Authorization: NTLM x"},
		{"Authorization: Basic " + encode("bob:wrong"), "Authorization: Basic " + encode("alice:"+"wrong")}, {"Authorization: ,Basic " + encode("alice:wrong")},
		{"Authorization: " + strings.Repeat("A", 5000)}, {"Authorization:"}, {"authorization: bearer GRT_" + strings.Repeat("a", 36)},
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			target := map[string]string{"GET": privateFile, "PUT": aliceNew, "DELETE": aliceFile}[method]
			raw := strings.Replace(request(method, target, lines...), "AUTH", "", 1)
			all = append(all, attack{method + " with " + strings.Join(lines, " and ")[:min(60, len(strings.Join(lines, " and ")))], raw})
		}
	}
	return all
}

// framingAttacks hide a second request, or a length, in what Go's server may read
// otherwise than something in front of it.
func framingAttacks() (all []attack) {
	second := "DELETE " + aliceFile + " HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAUTH\r\n"
	put := "PUT " + aliceNew + " HTTP/1.1\r\nHost: HOST\r\nAUTH"
	get := "GET " + privateFile + " HTTP/1.1\r\nHost: HOST\r\nAUTH"
	for name, raw := range map[string]string{
		"a length and chunks":                    put + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
		"chunks and a length":                    put + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + second,
		"two lengths":                            put + "Content-Length: 0\r\nContent-Length: 4\r\n\r\nevil" + second,
		"two lengths in one line":                put + "Content-Length: 0, 4\r\n\r\nevil" + second,
		"a length with a plus":                   put + "Content-Length: +4\r\n\r\nevil" + second,
		"a negative length":                      put + "Content-Length: -1\r\n\r\n" + second,
		"a length in hexadecimal":                put + "Content-Length: 0x4\r\n\r\nevil" + second,
		"a length over 64 bits":                  put + "Content-Length: 18446744073709551620\r\n\r\nevil" + second,
		"a length with a space before the colon": put + "Content-Length : 4\r\n\r\nevil" + second,
		"a folded length":                        put + "Content-Length:\r\n 4\r\n\r\nevil" + second,
		"chunked twice":                          put + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
		"chunked and identity":                   put + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + second,
		"chunked behind a tab":                   put + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + second,
		"an unknown coding":                      put + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second,
		"a chunk extension":                      put + "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nevil\r\n0\r\n\r\n" + second,
		"a long chunk extension":                 put + "Transfer-Encoding: chunked\r\n\r\n4;" + strings.Repeat("x", 20000) + "\r\nevil\r\n0\r\n\r\n" + second,
		"a bad chunk size":                       put + "Transfer-Encoding: chunked\r\n\r\nzz\r\nevil\r\n0\r\n\r\n" + second,
		"a negative chunk size":                  put + "Transfer-Encoding: chunked\r\n\r\n-4\r\nevil\r\n0\r\n\r\n" + second,
		"a chunk size over 64 bits":              put + "Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nevil\r\n0\r\n\r\n" + second,
		"a chunk with bare line feeds":           put + "Transfer-Encoding: chunked\r\n\r\n4\nevil\n0\n\n" + second,
		"a chunk without its end":                put + "Transfer-Encoding: chunked\r\n\r\n4\r\nevilX0\r\n\r\n" + second,
		"trailers with a length":                 put + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n4\r\nevil\r\n0\r\nContent-Length: 0\r\nAuthorization: x\r\n\r\n" + second,
		"a GET with a request for a body":        get + "Content-Length: 200\r\n\r\n" + second + strings.Repeat(" ", 200),
		"a GET with a request in chunks":         get + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
		"a DELETE with a request for a body":     "DELETE " + privateFile + " HTTP/1.1\r\nHost: HOST\r\nAUTHContent-Length: 4\r\n\r\nevil" + second,
		"pipelined requests":                     get + "\r\n" + get + "\r\n" + second,
		"bare line feeds":                        "GET " + privateFile + " HTTP/1.1\nHost: HOST\nConnection: close\nAUTH\n",
		"HTTP/1.0":                               "GET " + privateFile + " HTTP/1.0\r\nAUTH\r\n",
		"HTTP/1.0 with chunks":                   "PUT " + aliceNew + " HTTP/1.0\r\nAUTHTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n" + second,
		"HTTP/0.9":                               "GET " + privateFile + "\r\n\r\n",
		"HTTP/2 in clear":                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP/3.0":                               "GET " + privateFile + " HTTP/3.0\r\nHost: HOST\r\nAUTH\r\n",
		"no host":                                "GET " + privateFile + " HTTP/1.1\r\nConnection: close\r\nAUTH\r\n",
		"two hosts":                              "GET " + privateFile + " HTTP/1.1\r\nHost: HOST\r\nHost: elsewhere\r\nConnection: close\r\nAUTH\r\n",
		"a host of a path":                       "GET " + privateFile + " HTTP/1.1\r\nHost: HOST/x\r\nConnection: close\r\nAUTH\r\n",
		"a folded header":                        get + "X-A: b\r\n c\r\nConnection: close\r\n\r\n",
		"a header without a name":                get + ": x\r\nConnection: close\r\n\r\n",
		"a NUL in a header":                      get + "X-A: b\x00c\r\nConnection: close\r\n\r\n",
		"a carriage return in a header":          get + "X-A: b\rX-B: c\r\nConnection: close\r\n\r\n",
		"spaces in the request line":             "GET  " + privateFile + "  HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAUTH\r\n",
		"a tab in the request line":              "GET\t" + privateFile + "\tHTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAUTH\r\n",
		"a space in the path":                    "GET /api/packages/private/generic/p/1/ f HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAUTH\r\n",
		"many headers":                           get + strings.Repeat("X-A: b\r\n", 5000) + "Connection: close\r\n\r\n",
		"a hop-by-hop credential":                get + "Connection: close, Authorization\r\n\r\n",
	} {
		all = append(all, attack{name, raw})
	}
	return all
}
