package caddyfile

import (
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// webhookWords are the words of the block of a webhook.
var webhookWords = words{
	"secret":        (*directive).webhookSecret,
	"events":        (*directive).webhookEvents,
	"site":          (*directive).webhookSite,
	"allow_private": (*directive).webhookAllowPrivate,
	"max_age":       (*directive).webhookMaxAge,
	"max_behind":    (*directive).webhookMaxBehind,
}

// webhook reads a receiver of an owner's changes.
func (d *directive) webhook() error {
	var address string
	if !d.Args(&address) || d.NextArg() || address == "" {
		return d.Err("webhook has one URL: the form is webhook <url>, with a block or none")
	}
	if !strings.Contains(address, "{") { // what a placeholder says is not known
		if err := module.CheckWebhookURL(address); err != nil {
			return d.Errf("webhook: %w", err) // without the URL, which may have a password
		}
	}
	owner := d.rule().Owner
	for i, other := range d.handler.Webhooks {
		if store.Fold(other.Owner) == store.Fold(owner) && other.URL == address {
			return d.Errf("owner %s has this webhook already, at %s: make it one", owner, d.webhooks[i])
		}
	}
	d.webhooks = append(d.webhooks, d.position())
	d.handler.Webhooks = append(d.handler.Webhooks, module.Webhook{Owner: owner, URL: address})
	return d.block("webhook", webhookWords)
}

func (d *directive) lastWebhook() *module.Webhook {
	return &d.handler.Webhooks[len(d.handler.Webhooks)-1]
}

func (d *directive) webhookSecret() (err error) {
	d.lastWebhook().Secret, err = d.value("<text>, such as {env.HOOK_SECRET}")
	return err
}

func (d *directive) webhookEvents() (err error) {
	d.lastWebhook().Events, err = d.names(module.WebhookCreated+" "+module.WebhookDeleted, module.CheckWebhookEvent)
	return err
}

func (d *directive) webhookSite() error {
	text, err := d.value("<url>, such as https://packages.example.com")
	if err != nil {
		return err
	}
	if !strings.Contains(text, "{") {
		if err := module.CheckWebhookSite(text); err != nil {
			return d.Errf("site %s: %w", text, err)
		}
	}
	d.lastWebhook().Site = text
	return nil
}

func (d *directive) webhookAllowPrivate() error {
	if d.NextArg() {
		return d.Errf("unexpected %q: allow_private has no value", d.Val())
	}
	d.lastWebhook().AllowPrivate = true
	return nil
}

func (d *directive) webhookMaxAge() (err error) {
	d.lastWebhook().MaxAge, err = d.duration("7d", "7d")
	return err
}

func (d *directive) webhookMaxBehind() (err error) {
	d.lastWebhook().MaxBehind, err = d.number("1000000")
	return err
}
