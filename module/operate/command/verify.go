package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
)

// exitUnchecked is the exit status of a verify that could not check everything. A verify
// that found damage ends with 1, as every failed command does.
const exitUnchecked = 2

var errDamageFound = errors.New("damage was found")

type verifyCommand struct {
	*target.Target
	isOffline  bool
	rate       string
	sample     string
	out, notes io.Writer
}

func newVerifyCommand(t *target.Target) *cobra.Command {
	v := &verifyCommand{Target: t}
	command := &cobra.Command{
		Use:   "verify",
		Short: "Compares every stored file with its digest, and the database with the journal",
		Long: `
Reads all bytes of a registry and compares them with their SHA-256, and compares the
database with itself and with the journal. The running server does this and goes on
serving.

The command prints damage to standard output, one line for each: what is wrong, the digest,
the size and the locator of the bytes, or "metadata" and the contradiction. Progress and a
summary go to standard error.

Damaged bytes are moved to the directory ` + "`quarantine`" + ` of the blobs, so that nobody gets
them. Publishing the same content again, under any name, heals every file with this
content. Nothing else is changed.

With --sample, only a share of the files is read, other files each time. This is for stores
where each reading costs money.

With --offline, the command opens the registry of a stopped server itself: the registry of
--config, or the registry at --root.

The exit status is 0 when everything is good, 1 when damage was found, and 2 when not
everything could be checked.`,
		Example: `  caddy generic-registry verify
  caddy generic-registry verify --rate 50MiB
  caddy generic-registry verify --sample 1%
  caddy generic-registry verify --offline --root /var/lib/registry`,
		SilenceUsage: true,
		Args: func(command *cobra.Command, arguments []string) error {
			return exitWith(command, exitUnchecked, noArguments(command, arguments))
		},
		SuggestFor: []string{"check", "fsck", "scrub"},
		RunE: interruptible(func(ctx context.Context, command *cobra.Command, _ []string) error {
			v.out, v.notes = command.OutOrStdout(), command.ErrOrStderr()
			err := v.run(ctx)
			if errors.Is(err, errDamageFound) || ctx.Err() != nil {
				return err
			}
			return exitWith(command, exitUnchecked, err)
		}),
	}
	command.SetFlagErrorFunc(func(command *cobra.Command, err error) error { return exitWith(command, exitUnchecked, err) })
	flags := command.Flags()
	flags.StringVar(&v.rate, "rate", "", "Bytes per second to read at most, such as 50MiB (default: no limit)")
	flags.StringVar(&v.sample, "sample", "", "Read only this share of all files, such as 1% (default: all)")
	flags.BoolVar(&v.isOffline, "offline", false, "Open the registry of a stopped server: needs --config or --root")
	return command
}

// exitWith prints an error and returns one that ends the process with a status. Nil
// stays nil.
func exitWith(command *cobra.Command, status int, err error) error {
	if err == nil {
		return nil
	}
	command.SilenceErrors = true
	fmt.Fprintln(command.ErrOrStderr(), command.ErrPrefix(), err)
	// Caddy's own error with an exit status can be made in no other way.
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(command, nil)
}

func (v *verifyCommand) run(ctx context.Context) error {
	began := time.Now()
	options, err := v.options()
	if err != nil {
		return err
	}
	line := terminal.NewLine(v.notes)
	defer line.End()
	v.notes = line
	show := func(p integrity.VerifyProgress) {
		line.Show(terminal.Step{What: "verifying", Unit: "blob", Done: p.Blobs, Total: p.TotalBlobs, Bytes: p.Bytes, TotalBytes: p.TotalBytes, Note: fmt.Sprintf("%d damaged", p.Damaged)})
	}
	check := v.online
	if v.isOffline {
		check = v.offlineCheck
	}
	report, checkErr := check(ctx, options, show)
	line.End()
	if report == nil {
		return checkErr
	}
	if err := v.print(report); err != nil {
		return err
	}
	fmt.Fprintf(v.notes, "%s checked in %s: %d damaged, %s of the metadata\n",
		terminal.Amount(report.Blobs, "blob", report.Bytes), terminal.Elapsed(began), report.Damaged, terminal.Counted(int64(len(report.Problems)), "problem"))
	if checkErr != nil {
		return fmt.Errorf("not everything could be checked: %w", checkErr)
	}
	if !report.IsSound() {
		return errDamageFound
	}
	return nil
}

// options reads the flags.
func (v *verifyCommand) options() (options integrity.VerifyOptions, err error) {
	if v.rate != "" {
		rate, err := humanize.ParseBytes(v.rate)
		if err != nil || rate == 0 || rate > 1<<62 {
			return options, fmt.Errorf("--rate %q: write bytes per second, such as 50MiB", v.rate)
		}
		options.Rate = int64(rate)
	}
	if v.sample != "" {
		text, isPercent := strings.CutSuffix(v.sample, "%")
		percent, err := strconv.ParseFloat(text, 64)
		if err != nil || !isPercent || !(percent > 0 && percent < 100) { // not a number is neither
			return options, fmt.Errorf("--sample %q: write a share of the files, above 0%% and below 100%%, such as 1%%", v.sample)
		}
		options.Sample = percent / 100
	}
	return options, nil
}

// online has the server check. The report is nil when it has none.
func (v *verifyCommand) online(ctx context.Context, options integrity.VerifyOptions, show func(integrity.VerifyProgress)) (*admin.VerifyReport, error) {
	query := url.Values{admin.ParameterRate: {strconv.FormatInt(options.Rate, 10)}}
	if options.Sample > 0 {
		query.Set(admin.ParameterSample, strconv.FormatFloat(options.Sample, 'g', -1, 64))
	}
	response, err := v.Ask(ctx, target.AdminRequest{Method: http.MethodPost, Path: admin.VerifyPath, Query: query, Accept: admin.VerifyType})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	lines := json.NewDecoder(response.Body)
	for {
		var line admin.VerifyLine
		if err := lines.Decode(&line); err != nil {
			return nil, fmt.Errorf("the server's answer was cut: %w", err)
		}
		if line.Progress != nil {
			show(*line.Progress)
		}
		if line.Error != "" {
			err = errors.New(line.Error)
		}
		if line.Report != nil || err != nil {
			return line.Report, err
		}
	}
}

func (v *verifyCommand) offlineCheck(ctx context.Context, options integrity.VerifyOptions, show func(integrity.VerifyProgress)) (*admin.VerifyReport, error) {
	config, err := v.Stopped(notesLog(v.notes, slog.LevelWarn))
	if err != nil {
		return nil, err
	}
	opened, err := target.OpenIdle(ctx, config)
	if err != nil {
		return nil, err
	}
	report, err := opened.Verify(ctx, options, show)
	return admin.ShowVerifyReport(report), errors.Join(err, opened.Close())
}

func (v *verifyCommand) print(report *admin.VerifyReport) error {
	for _, damage := range report.Damage {
		found := ""
		if damage.Found != "" {
			found = ": " + damage.Found
		}
		if _, err := fmt.Fprintf(v.out, "%s: %s, %d bytes at %s%s\n", damage.Kind, damage.SHA256, damage.Size, damage.Locator, found); err != nil {
			return err
		}
	}
	for _, problem := range report.Problems {
		if _, err := fmt.Fprintf(v.out, "metadata: %s\n", strings.ReplaceAll(problem, "\n", " ")); err != nil {
			return err
		}
	}
	return nil
}
