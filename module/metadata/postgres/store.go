package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Store is a registry's metadata in a schema of a PostgreSQL database.
type Store struct {
	log *slog.Logger
	id  string
	// node names this opening: the row with its tickets.
	node string

	settings atomic.Pointer[settings]
	pool     atomic.Pointer[pgxpool.Pool]
	pools    sync.WaitGroup // that are being closed

	down      atomic.Pointer[error] // why the server does not answer
	unsettled atomic.Pointer[error] // why no changes are taken though it does
	wake      chan struct{}         // the watch looks at once
	clock     atomic.Pointer[reading]
	position  atomic.Uint64 // how many changes there were, as far as that is known

	queue chan *change

	telling sync.Mutex
	told    waiting.Lasting // of calls that failed

	calls  sync.RWMutex // held for reading by calls in progress
	closed atomic.Bool
	stop   context.CancelFunc
	work   sync.WaitGroup
}

// open opens the registry in the schema of the settings, and makes it if there is none.
func open(ctx context.Context, with settings, log *slog.Logger) (*Store, error) {
	waiting.ReportProgress(ctx, waiting.Progress{Doing: "connecting to PostgreSQL"})
	conn, err := with.connect(ctx)
	if err != nil {
		return nil, translateOpening(ctx, err)
	}
	id, made, err := with.migrate(ctx, conn)
	if err != nil {
		discard(conn)
		return nil, translateOpening(ctx, err)
	}
	tellServer(ctx, conn, log, made)
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		log: log, id: id, node: rand.Text(), stop: stop,
		wake: make(chan struct{}, 1), queue: make(chan *change, longestQueue),
	}
	s.settings.Store(&with)
	watching := &watch{store: s, conn: conn}
	if err := watching.look(ctx); err != nil {
		stop()
		discard(conn)
		return nil, translateOpening(ctx, err)
	}
	pool, err := pgxpool.NewWithConfig(working, with.pool.Copy())
	if err != nil {
		stop()
		discard(conn)
		return nil, translateOpening(ctx, err)
	}
	s.pool.Store(pool)
	s.work.Go(func() { watching.run(working) })
	s.work.Go(func() { (&committer{store: s}).run(working) })
	return s, nil
}

// tellServer says what an administrator should know of the server.
func tellServer(ctx context.Context, conn *pgx.Conn, log *slog.Logger, made bool) {
	var version, standbys, fullPages string
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('synchronous_standby_names'), current_setting('full_page_writes')`).
		Scan(&version, &standbys, &fullPages)
	if err != nil {
		return // which the next call hears too
	}
	log.Info("connected to PostgreSQL", slog.String("version", version), slog.Bool("synchronous_standby", standbys != ""), slog.Bool("new_tables", made))
	if fullPages != "on" {
		log.Warn("full_page_writes is off: that is safe only where the file system writes whole pages, such as ZFS")
	}
}

// errClosed is what every call gets after Close.
var errClosed = fmt.Errorf("%w: closed", store.ErrUnavailable)

// enter begins a call. Leave with the function returned.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	s.calls.RLock()
	switch {
	case s.closed.Load():
		err = errClosed
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = faultOf(&s.down)
	}
	if err != nil {
		s.calls.RUnlock()
		return nil, err
	}
	return s.calls.RUnlock, nil
}

func faultOf(fault *atomic.Pointer[error]) error {
	if at := fault.Load(); at != nil {
		return *at
	}
	return nil
}

// querier is what reads are made with: a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// read makes a read that changes nothing, on a connection of the pool, and once more where
// the connection turns out to be lost. The function returns errors of pgx as they are.
func (s *Store) read(ctx context.Context, fn func(ctx context.Context, q querier) error) error {
	return s.use(ctx, readTimeout, func(ctx context.Context, conn *pgx.Conn) error { return fn(ctx, conn) })
}

// view is read for several queries that see one moment.
func (s *Store) view(ctx context.Context, fn func(ctx context.Context, q querier) error) error {
	return s.use(ctx, readTimeout, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error { return fn(ctx, tx) })
	})
}

// use gives a function a connection of the pool for so long.
func (s *Store) use(ctx context.Context, limit time.Duration, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for attempt := 0; ; attempt++ {
		err := s.useOnce(ctx, limit, fn)
		if err == nil {
			return nil
		}
		class := kindOf(err)
		if ctx.Err() == nil && attempt < 1 && (class == lost || class == readOnly || class == busy) {
			continue
		}
		s.noticed(ctx, err)
		return translate(ctx, err)
	}
}

func (s *Store) useOnce(ctx context.Context, limit time.Duration, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pool := s.pool.Load()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	err = fn(ctx, conn.Conn())
	if err != nil && kindOf(err) != other {
		s.renew(pool, kindOf(err))
	}
	return err
}

// renew has all connections of the pool made anew after one of them was lost: the others
// are to the same server.
func (s *Store) renew(pool *pgxpool.Pool, class kind) {
	if class == lost || class == readOnly {
		pool.Reset()
	}
}

// noticed has the watch look at the server at once when a call failed because of it.
func (s *Store) noticed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	switch kindOf(err) {
	case lost, readOnly, unavailable, misconfigured:
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.told.IsNews(fmt.Sprint(kindOf(err))) {
		s.log.Warn("a call to PostgreSQL failed", slog.String("error", textOf(err)))
	}
}

// adjust has the store use other settings of the same server.
func (s *Store) adjust(with settings) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	if s.closed.Load() || s.settings.Load().equal(with) {
		return nil
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), with.pool.Copy())
	if err != nil {
		return fmt.Errorf("making connections with other settings: %w", err)
	}
	s.settings.Store(&with)
	old := s.pool.Swap(pool)
	s.pools.Go(old.Close)
	return nil
}

// ID implements store.MetadataStore.
func (s *Store) ID() string { return s.id }

// Admit implements store.MetadataStore.
func (s *Store) Admit(ctx context.Context) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	leave()
	return faultOf(&s.unsettled)
}

// Condition implements store.MetadataStore.
func (s *Store) Condition() store.Condition {
	if s.closed.Load() {
		return store.Condition{Fault: errClosed}
	}
	down := faultOf(&s.down)
	return store.Condition{
		Fault: errors.Join(down, faultOf(&s.unsettled)), Readable: down == nil,
		Journal: store.Position{Sequence: s.position.Load()},
	}
}

// Close implements store.MetadataStore.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.calls.Lock() // after the calls in progress
	defer s.calls.Unlock()
	s.stop()
	s.work.Wait()
	s.pool.Load().Close()
	s.pools.Wait()
	return nil
}

var _ store.MetadataStore = (*Store)(nil)
