package badger

import (
	"hash/maphash"
	"strings"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

const (
	cacheShards = 16

	// cacheBytes bounds what the cache holds, about 20,000 records.
	cacheBytes = 8 << 20

	// cacheOverhead is what an entry takes besides its key and its record's texts.
	cacheOverhead = 256
)

// cache keeps records that were looked up, of packages, versions, files, blobs and tokens, so
// that frequent lookups cost no transaction. A record is in the cache only while the
// database has the same record.
//
// The database numbers its commits, and makes one at a time. Before readers can see a
// commit, begin drops the records that the commit writes and notes its number in their
// shards. put takes the number of the last commit that the reader saw. The record is
// kept unless a later commit has begun to write to its shard.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

// cacheShard has the records of some keys. Those in older, which is dropped as a
// whole when recent is full, go back to recent when they are asked for.
type cacheShard struct {
	mu            sync.RWMutex
	recent, older map[string]coding.Record
	size          int    // of recent, in bytes
	begun         uint64 // the last commit that writes a record of the shard
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

// isCached tells whether lookups read the records under a key like this.
func isCached(key string) bool {
	for _, prefix := range [...]string{packagePrefix, versionPrefix, filePrefix, blobPrefix, tokenPrefix, tokenUsePrefix} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

func (c *cache) shard(key []byte) *cacheShard {
	return &c.shards[maphash.Bytes(c.seed, key)%cacheShards]
}

// get returns the record under a key, which nobody may change, or nil.
func (c *cache) get(key []byte) coding.Record {
	s := c.shard(key)
	s.mu.RLock()
	record := s.recent[string(key)]
	found := record != nil || s.older == nil
	s.mu.RUnlock()
	if found {
		return record
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if record = s.recent[string(key)]; record != nil {
		return record
	}
	if record = s.older[string(key)]; record != nil {
		delete(s.older, string(key))
		s.keep(string(key), record)
	}
	return record
}

// put keeps a record that was read by who saw commits up to a number.
func (c *cache) put(key []byte, record coding.Record, seen uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun <= seen && s.recent[string(key)] == nil {
		s.keep(string(key), record)
	}
}

// replace is put for a record of which more is known than of the one that is kept.
func (c *cache) replace(key []byte, record coding.Record, seen uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun > seen {
		return
	}
	delete(s.older, string(key))
	if kept := s.recent[string(key)]; kept != nil {
		s.size -= weight(string(key), kept)
	}
	s.keep(string(key), record)
}

// keep requires s.mu.
func (s *cacheShard) keep(key string, record coding.Record) {
	if s.recent == nil {
		s.recent = make(map[string]coding.Record)
	}
	s.recent[key] = record
	if s.size += weight(key, record); s.size > cacheBytes/cacheShards/2 {
		s.older, s.recent, s.size = s.recent, nil, 0
	}
}

// weight is about what an entry takes, in bytes.
func weight(key string, record coding.Record) int {
	total := cacheOverhead + len(key)
	switch r := record.(type) {
	case *packageRecord:
		total += len(r.name)
		if r.foremost != nil {
			total += 6*naming.MaxLength + len(r.foremost.Rank)
		}
	case *versionRecord:
		total += len(r.owner) + len(r.name) + len(r.version) + len(r.creator) + len(r.rank)
	case *fileRecord:
		total += len(r.name) + len(r.creator)
	case *blobRecord:
		total += len(r.locator) + len(r.hashes)
	case *tokenRecord:
		total += 2*naming.MaxLength + 64*(len(r.token.Scope.Owners)+len(r.token.Scope.Packages))
	}
	return total
}

// begin says that a commit is about to be seen that writes these records, by key.
func (c *cache) begin(number uint64, records map[string][]byte) {
	for key := range records {
		if !isCached(key) {
			continue
		}
		s := c.shard([]byte(key))
		s.mu.Lock()
		s.begun = number
		delete(s.older, key)
		if record := s.recent[key]; record != nil {
			s.size -= weight(key, record)
			delete(s.recent, key)
		}
		s.mu.Unlock()
	}
}

// clear forgets everything, and the numbers. Nobody may be reading the database.
func (c *cache) clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.recent, s.older, s.size, s.begun = nil, nil, 0, 0
		s.mu.Unlock()
	}
}
