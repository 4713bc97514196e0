package module

import (
	"errors"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres"
)

// TestWebhooksThatCannotBe, because no change would be sent: the store keeps none, unless there
// are no webhooks, or a webhook has no event. Seen to fail without the check, and with a PostgreSQL store that does not say
// that it keeps them.
func TestWebhooksThatCannotBe(t *testing.T) {
	hooks := []Webhook{{URL: "https://ci.example.com/hook"}}
	for name, test := range map[string]struct {
		backend any
		hooks   []Webhook
		want    error
	}{
		"badger":               {&badger.Backend{}, hooks, nil},
		"postgres":             {&postgres.Backend{}, hooks, nil},
		"another one":          {struct{}{}, hooks, ErrNoChanges},
		"without any event":    {&badger.Backend{}, []Webhook{{URL: hooks[0].URL, Events: []string{}}}, errNoEvents},
		"without any webhooks": {struct{}{}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := (&Handler{Webhooks: test.hooks}).provisionWebhooks(test.backend); !errors.Is(err, test.want) {
				t.Errorf("the error is %v, want %v", err, test.want)
			}
		})
	}
}
