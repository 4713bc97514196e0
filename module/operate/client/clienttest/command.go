package clienttest

import (
	"bytes"
	"strings"

	"github.com/spf13/cobra"
)

// Run runs a command that soon gives a server up, with nothing to read, and returns what it
// said.
func Run(command *cobra.Command, arguments ...string) (text string, err error) {
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&out)
	command.SetIn(strings.NewReader(""))
	command.SetArgs(append([]string{"--patience", "3s"}, arguments...))
	command.SilenceErrors = true
	err = command.Execute()
	return out.String(), err
}
