package waiting

import (
	"time"
)

// Lasting keeps what is said of a state that lasts from flooding the log. The zero value
// has said nothing. It is for one goroutine at a time.
type Lasting struct {
	text string
	said time.Time
}

// lastingInterval is how often a state that does not change is told again.
const lastingInterval = time.Minute

// IsNews tells whether a text is to be logged: when it is another one, and once a minute.
func (l *Lasting) IsNews(text string) bool {
	if text == l.text && time.Since(l.said) < lastingInterval {
		return false
	}
	l.text, l.said = text, time.Now()
	return true
}
