// Package command is `caddy generic-registry`: commands that ask the admin endpoint of a
// running Caddy, and commands that open the registry of a stopped one.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/pull"
	"github.com/generic-registry/caddy-generic-registry/module/operate/push"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "generic-registry",
		Usage: "<command>",
		Short: "Manages package registries",
		Long: `
Manages the registries of a running Caddy through its admin endpoint. --address is the
address of the endpoint. Without it, the configuration that --config names has the address;
without both, the address is localhost:2019. Where the configuration has the option
` + "`admin`" + `, write --config /etc/caddy/Caddyfile. Only root and the user that Caddy runs as
can open a unix socket.

Where there are several registries, --root says which one is meant.

The commands restore and rebuild, and backup and verify with --offline, are for a stopped
server. They do not ask the endpoint. They open the registry of --config themselves, or
the registry at --root where the configuration sets no ` + "`metadata` and no `blobs`" + `.

The commands push and pull are clients of a registry: they publish and download the files
of a version, whose URL they take.`,
		CobraFunc: addCommands,
	})
}

func addCommands(root *cobra.Command) {
	root.Args = nextCommand
	root.RunE = func(*cobra.Command, []string) error { return root.Help() }
	root.SilenceUsage = true
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w; `%s --help` lists the flags", err, command.CommandPath())
	})
	meant := new(target.Target)
	meant.Flags(root)
	root.AddCommand(
		tokenCommand(meant), newBackupCommand(meant), newRestoreCommand(meant), newCopyCommand(meant), newRebuildCommand(meant), newVerifyCommand(meant),
		newSweepCommand(meant), newHealthCommand(meant), endsWithUser(push.NewCommand()), endsWithUser(pull.NewCommand()),
	)
}

// nextCommand refuses a word that is no subcommand, and lists the subcommands.
func nextCommand(command *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	var names []string
	for _, sub := range command.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	slices.Sort(names)
	command.SuggestionsMinimumDistance = 2
	meant := ""
	if near := command.SuggestionsFor(arguments[0]); len(near) > 0 {
		meant = fmt.Sprintf(" (did you mean %s?)", strings.Join(near, " or "))
	}
	return fmt.Errorf("%s has no command %q%s: write one of %s", command.CommandPath(), arguments[0], meant, strings.Join(names, ", "))
}

// noArguments refuses arguments, and says that the command takes flags only.
func noArguments(command *cobra.Command, arguments []string) error {
	if len(arguments) > 0 {
		return fmt.Errorf("%q is one word too many: %s takes flags only", arguments[0], command.CommandPath())
	}
	return nil
}

// exitInterrupted is what shells make of a command that SIGINT ended.
const exitInterrupted = 130

// errInterrupted: the user ended the command.
var errInterrupted = errors.New("interrupted")

// interruptible lets a command end itself when the user presses Ctrl-C. Pressing it
// again ends the process.
func interruptible(run func(context.Context, *cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, arguments []string) error {
		ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt)
		defer stop()
		context.AfterFunc(ctx, stop)
		err := run(ctx, command, arguments)
		if err == nil || ctx.Err() == nil {
			return err
		}
		if !errors.Is(err, errInterrupted) {
			err = errInterrupted
		}
		return exitWith(command, exitInterrupted, err)
	}
}

// endsWithUser makes a command of another package interruptible.
func endsWithUser(command *cobra.Command) *cobra.Command {
	run := command.RunE
	command.RunE = interruptible(func(ctx context.Context, command *cobra.Command, arguments []string) error {
		command.SetContext(ctx)
		return run(command, arguments)
	})
	return command
}
