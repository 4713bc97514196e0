package store

import (
	"context"
	"time"
)

// Node is a process that has a metadata store open, as the others see it.
type Node struct {
	// Name is the node's own, by its configuration.
	Name string
	// Rules is a digest of its rules.
	Rules string
	// Seen is when it last told that it is there, by the store's clock.
	Seen time.Time
	// IsSelf tells that it is the process that asks.
	IsSelf bool
}

// Nodes is implemented by a MetadataStore that several processes may have open at once, and
// that knows which do.
type Nodes interface {
	// Meet tells the other nodes that this one is there, with its name and its rules, and
	// returns all that told so in the last minute, by their names. Ahead is how far the clock
	// of this machine is ahead of the store's, negative when it is behind: the least that the
	// answer proves. ErrUnavailable.
	Meet(ctx context.Context, name, rules string) (all []Node, ahead time.Duration, err error)

	// Present returns the nodes that told in the last minute that they are there, without
	// telling that this one is. ErrUnavailable.
	Present(ctx context.Context) ([]Node, error)

	// TakeDuty has the node of a name do for so long what one is enough for, by the store's
	// clock, and tells whether it does: it does not while another one has the duty. Whoever has
	// it may take it again. One that is stopped does not notice when it loses the duty: no
	// safety rests on it. ErrUnavailable.
	TakeDuty(ctx context.Context, name, duty string, lease time.Duration) (has bool, err error)
}

// Turns is implemented by a MetadataStore that several processes may have open at once: it
// decides which of them goes on with an upload in several requests.
type Turns interface {
	// TakeTurn gives the caller an upload, in a turn that is later than all before. Until is
	// when nobody asks for the upload any more. ErrUnavailable.
	TakeTurn(ctx context.Context, id SessionID, until time.Time) (turn int64, err error)

	// Turn returns the latest turn of an upload. Zero, which is the turn of the process that
	// began it, when nobody has taken one. ErrUnavailable.
	Turn(ctx context.Context, id SessionID) (turn int64, err error)

	// Condemn has bytes be deleted, as Reclaim says, unless a blob has them, and tells whether
	// it did. A publish of the owner's that is in progress ends first, and none names the bytes
	// from then on. ErrUnavailable.
	Condemn(ctx context.Context, owner string, locator Locator) (condemned bool, err error)
}

// Holder is implemented by a MetadataStore of which several processes may reclaim locators.
type Holder interface {
	// Hold keeps Reclaim of all processes from returning anything until end is called, which
	// may be done once. What Reclaim returned before was condemned before. The context that it
	// returns is ctx, and ends with ErrUnavailable as its cause when that could not be kept up.
	// ErrUnavailable.
	Hold(ctx context.Context) (held context.Context, end func(), err error)
}
