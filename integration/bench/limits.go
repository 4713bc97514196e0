package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// smallFiles is what the disk can do at most of what a publish must: create, write,
// sync, rename, sync of the directory. The files are spread over directories, which
// can be synced side by side; in one, each sync waits for those before.
//
// They stay until the lab is removed: ext4 without a journal makes no new file where it
// has just deleted one, and searches long for another place.
func smallFiles(ctx context.Context, dir string, directories int, size int64, a amount) (sample, error) {
	dir, err := os.MkdirTemp(dir, "limit-")
	if err != nil {
		return sample{}, err
	}
	for i := range directories {
		if err := os.MkdirAll(filepath.Join(dir, strconv.Itoa(i)), 0o700); err != nil {
			return sample{}, err
		}
	}
	if err := syncDirectory(dir); err != nil {
		return sample{}, err
	}
	s, err := work(ctx, a, func(_ context.Context, _, i int) error {
		within := filepath.Join(dir, strconv.Itoa(i%directories))
		return publishFile(within, strconv.Itoa(i), content{seed: uint64(i), size: size})
	})
	s.bytes = int64(s.operations) * size
	return s, err
}

func publishFile(dir, name string, c content) error {
	temporary := filepath.Join(dir, name+".tmp")
	if err := writeFile(temporary, nil, c); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDirectory(dir)
}

// writeFile writes a content, to a hash too where there is one, and syncs it.
func writeFile(name string, sum hash.Hash, c content) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	to := io.Writer(file)
	if sum != nil {
		to = io.MultiWriter(file, sum)
	}
	if err := c.send(to); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close()
}

func syncDirectory(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// largeFile writes and syncs one file and hashes it: first one piece and then the
// other, or with beside both at once.
func largeFile(ctx context.Context, dir string, beside bool, c content) (sample, error) {
	name := filepath.Join(dir, "limit")
	defer os.Remove(name)
	s, err := work(ctx, amount{clients: 1, limit: 1}, func(context.Context, int, int) error {
		if !beside {
			return writeFile(name, sha256.New(), c)
		}
		hashed := make(chan error)
		go func() { hashed <- c.send(sha256.New()) }()
		err := writeFile(name, nil, c)
		<-hashed
		return err
	})
	s.bytes = c.size
	return s, err
}

// startSendfile serves one file over loopback with what the kernel has for that, and does
// nothing else: the most that a server of files can do.
func startSendfile(name string) (*endpoint, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = sendFile(conn, name) // the client tells what is missing
			}()
		}
	}()
	return local("sendfile", "sendfile alone", listener.Addr().String(), nil), nil
}

func sendFile(conn net.Conn, name string) error {
	requests := bufio.NewReader(conn)
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	for {
		request, err := http.ReadRequest(requests)
		if err != nil {
			return err
		}
		status, first, last := "200 OK", int64(0), info.Size()-1
		if asked := request.Header.Get("Range"); asked != "" {
			if _, err := fmt.Sscanf(asked, "bytes=%d-%d", &first, &last); err != nil {
				return err
			}
			status = "206 Partial Content"
		}
		if _, err := file.Seek(first, io.SeekStart); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n", status, last-first+1); err != nil {
			return err
		}
		if _, err := io.CopyN(conn, file, last-first+1); err != nil {
			return err
		}
	}
}
