package integration

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tusScript uploads a file with tus-js-client in its mode for the draft of the IETF.
const tusScript = `
const [, , modules, file, endpoint, authorization] = process.argv;
const tus = require(modules + "/tus-js-client");
const content = require("fs").readFileSync(file);
const upload = new tus.Upload(content, {
	endpoint, protocol: "ietf-draft-05", chunkSize: 256 << 10, headers: { Authorization: authorization },
	retryDelays: Array(200).fill(100),
	onError: problem => { console.error(String(problem)); process.exit(1); },
	onSuccess: () => console.log("uploaded"),
});
upload.start();
`

// TestTusJSClient uploads a file, as programs do that have it already, while the server is
// killed. Seen to fail with an offset that is one too large, and with a hash that begins
// anew in each request.
func TestTusJSClient(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := pattern(9, 12<<20)
	folder := folderWith(t, map[string][]byte{"large.bin": content, "upload.js": []byte(tusScript)})
	path := filePath("alice", "app", "1.0", "large.bin")
	command := exec.Command("node", filepath.Join(folder, "upload.js"), strings.TrimSpace(output(t, "npm", "root", "--global")), filepath.Join(folder, "large.bin"),
		fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path), "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:"+password)))
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually("some of it has come", func() bool { return s.bytesOfUploads() > 1<<20 })
	s.kill()
	s.start(s.site())
	if err := command.Wait(); err != nil || said.String() != "uploaded\n" {
		t.Fatalf("tus-js-client: %v\n%s", err, said.String())
	}
	s.wantFile(path, content)
	if left := s.sessions(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
