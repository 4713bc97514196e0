package database

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/migrations"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/rounds"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Database is a database that is open, with a registry's tables in one of its schemas.
type Database struct {
	log *slog.Logger
	id  string
	// node names this opening: the row with its tickets.
	node string

	settings atomic.Pointer[Settings]
	pool     atomic.Pointer[pgxpool.Pool]
	pools    sync.WaitGroup // that are being closed

	down    atomic.Pointer[error] // why the server does not answer
	returns atomic.Uint64         // how often the watch has connected to it anew
	inDoubt atomic.Pointer[error] // why no changes are taken though it does
	wake    chan struct{}         // the watch looks at once

	reconnected chan struct{} // holds one token after the watch has connected anew

	clock    atomic.Pointer[reading]
	position atomic.Uint64 // how many changes there were when Position was asked last

	rounds    *rounds.Rounds[*Change]
	committer committer

	telling sync.Mutex
	told    waiting.Lasting // of calls that failed

	calls  sync.RWMutex // held for reading by calls in progress
	closed atomic.Bool
	stop   context.CancelFunc
	work   sync.WaitGroup
}

// Open connects to a database, and makes or migrates the tables.
func Open(ctx context.Context, with *Settings, log *slog.Logger) (*Database, error) {
	waiting.ReportProgress(ctx, waiting.Progress{Doing: "connecting to PostgreSQL"})
	conn, err := with.Connect(ctx)
	if err != nil {
		return nil, translateOpening(ctx, err)
	}
	d, err := open(ctx, with, conn, log)
	if err != nil {
		discard(conn)
		return nil, translateOpening(ctx, err)
	}
	return d, nil
}

// open starts what works in the background. The watch takes the connection over.
func open(ctx context.Context, with *Settings, conn *pgx.Conn, log *slog.Logger) (*Database, error) {
	if err := with.checkSession(ctx, conn); err != nil {
		return nil, err
	}
	id, migrated, err := with.schema.Migrate(ctx, conn)
	if err != nil {
		return nil, err
	}
	tellServer(ctx, conn, log, migrated)
	d := &Database{log: log, id: id, node: rand.Text(), wake: make(chan struct{}, 1), reconnected: make(chan struct{}, 1)}
	d.settings.Store(with)
	watching := &watch{db: d, conn: conn}
	if err := watching.look(ctx); err != nil {
		return nil, err
	}
	if _, err := d.count(ctx, Reader{conn, with.schema}); err != nil {
		return nil, err
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	pool, err := pgxpool.NewWithConfig(working, with.pool.Copy())
	if err != nil {
		stop()
		return nil, err
	}
	d.stop = stop
	d.pool.Store(pool)
	d.work.Go(func() { watching.run(working) })
	d.committer = committer{db: d, life: working}
	d.rounds = rounds.New(mostChanges, d.committer.work)
	return d, nil
}

// tellServer says what an administrator should know of the server.
func tellServer(ctx context.Context, conn *pgx.Conn, log *slog.Logger, migrated bool) {
	var version, standbys, fullPages string
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('synchronous_standby_names'), current_setting('full_page_writes')`).
		Scan(&version, &standbys, &fullPages)
	if err != nil {
		return // the next call gets this error too
	}
	log.Info("connected to PostgreSQL", slog.String("version", version), slog.Bool("synchronous_standby", standbys != ""), slog.Bool("new_tables", migrated))
	if fullPages != "on" {
		log.Warn("full_page_writes is off: this is safe only on file systems that write whole pages, such as ZFS")
	}
}

// errClosed is what every call gets after Close.
var errClosed = fmt.Errorf("%w: closed", store.ErrUnavailable)

// enter begins a call. Leave with the function returned.
func (d *Database) enter(ctx context.Context) (leave func(), err error) {
	if d.closed.Load() {
		return nil, errClosed
	}
	d.calls.RLock()
	switch {
	case d.closed.Load():
		err = errClosed
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = faultOf(&d.down)
	}
	if err != nil {
		d.calls.RUnlock()
		return nil, err
	}
	return d.calls.RUnlock, nil
}

func faultOf(fault *atomic.Pointer[error]) error {
	if at := fault.Load(); at != nil {
		return *at
	}
	return nil
}

// Adjust has other settings of the same server used.
func (d *Database) Adjust(with *Settings) error {
	d.calls.RLock()
	defer d.calls.RUnlock()
	if d.closed.Load() || d.settings.Load().equal(with) {
		return nil
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), with.pool.Copy())
	if err != nil {
		return fmt.Errorf("making connections with other settings: %w", err)
	}
	d.settings.Store(with)
	old := d.pool.Swap(pool)
	d.pools.Go(old.Close)
	return nil
}

// Reconnected has a token when the server that answers may be another one than before, or
// have other data.
func (d *Database) Reconnected() <-chan struct{} { return d.reconnected }

// ID returns the ID of the registry.
func (d *Database) ID() string { return d.id }

func (d *Database) schema() migrations.Schema { return d.settings.Load().schema }

// Ready tells why a call would fail.
func (d *Database) Ready(ctx context.Context) error {
	leave, err := d.enter(ctx)
	if err == nil {
		leave()
	}
	return err
}

// Admit tells why a change would fail.
func (d *Database) Admit(ctx context.Context) error {
	if err := d.Ready(ctx); err != nil {
		return err
	}
	return faultOf(&d.inDoubt)
}

// CountChanges is a query for the number of changes that there ever were.
const CountChanges = `SELECT (SELECT changes FROM {s}.store) + COALESCE(sum(changes), 0)::bigint FROM {s}.owner`

// Position counts the changes that there ever were. Condition tells what was counted last.
func (d *Database) Position(ctx context.Context) (at store.Position, err error) {
	err = d.Read(ctx, func(ctx context.Context, from Reader) (err error) {
		at, err = d.count(ctx, from)
		return err
	})
	return at, err
}

func (d *Database) count(ctx context.Context, from Reader) (at store.Position, err error) {
	var changes int64
	if err = from.QueryRow(ctx, CountChanges).Scan(&changes); err == nil {
		at.Sequence = uint64(changes)
		d.position.Store(at.Sequence)
	}
	return at, err
}

// Condition tells how the database is.
func (d *Database) Condition() store.Condition {
	if d.closed.Load() {
		return store.Condition{Fault: errClosed}
	}
	down := faultOf(&d.down)
	return store.Condition{
		Fault: errors.Join(down, faultOf(&d.inDoubt)), Readable: down == nil,
		Journal: store.Position{Sequence: d.position.Load()},
	}
}

// Close ends all connections, after the calls in progress. Calls fail from then on.
func (d *Database) Close() {
	if d.closed.Swap(true) {
		return
	}
	d.calls.Lock()
	defer d.calls.Unlock()
	d.stop()
	d.work.Wait()
	resume := d.rounds.Pause()
	d.committer.drop()
	resume()
	d.pool.Load().Close()
	d.pools.Wait()
}
