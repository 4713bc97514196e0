//go:build servers

package integration

import (
	"fmt"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
)

// follow gives PostgreSQL a standby at a port, for which its commits wait from now on.
func (c *cluster) follow(port int) {
	c.Helper()
	c.standbys++
	name := fmt.Sprint("standby", c.standbys)
	c.following = newWire(c.TB, fmt.Sprintf("127.0.0.1:%d", c.database.Port))
	standby, err := c.database.NewStandby(name, port, c.following.port())
	c.noError(err)
	removePostgres(c.TB, standby)
	c.standby = standby
	c.noError(c.database.AwaitStandby(name))
	c.eventually("PostgreSQL waits for its standby", func() bool {
		state := c.query(`SELECT sync_state FROM pg_stat_replication WHERE application_name = '` + name + `'`)
		return len(state) == 1 && state[0] == "sync"
	})
}

// promote has the standby, which hears nothing, take the place of the server that it followed,
// which is gone for good. A new standby follows, at the address of the old server.
func (c *cluster) promote() {
	c.Helper()
	c.noError(c.database.Stop("immediate"))
	c.following.cut()
	c.following.thaw()
	c.noError(c.standby.Promote())
	gone := c.database
	c.database = c.standby
	c.follow(gone.Port)
}

// wires are the ways of a node to all servers of PostgreSQL.
type wires []*wire

func (c *cluster) newWires() (all wires) {
	for _, server := range []*postgrestest.Server{c.database, c.standby} {
		if server != nil {
			all = append(all, newWire(c.TB, fmt.Sprintf("127.0.0.1:%d", server.Port)))
		}
	}
	return all
}

// hosts is what a DSN has for all of them.
func (w wires) hosts() string {
	var hosts []string
	for _, one := range w {
		hosts = append(hosts, one.address())
	}
	return strings.Join(hosts, ",")
}

func (w wires) each(do func(*wire)) {
	for _, one := range w {
		do(one)
	}
}

func (w wires) cut()    { w.each((*wire).cut) }
func (w wires) mend()   { w.each((*wire).mend) }
func (w wires) freeze() { w.each((*wire).freeze) }
func (w wires) thaw()   { w.each((*wire).thaw) }
