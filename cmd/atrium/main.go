// Command atrium is the whole service in one binary. Flags, environment and the
// wiring of the modules live here and nowhere else.
package main

import (
	"os"

	"github.com/alecthomas/kong"
)

// cli is the command line. Every flag of serve has an environment variable.
type cli struct {
	Serve serveCommand `cmd:"" help:"Serve clients."`
	Token tokenCommand `cmd:"" help:"Print a token signed with the configured secret."`
	Bench benchCommand `cmd:"" help:"Measure a server with many clients."`

	Verify verifyCommand `cmd:"" help:"Check every stored document."`
	Export exportCommand `cmd:"" help:"Write every document into a file of its own."`
	Import importCommand `cmd:"" help:"Read documents from files."`

	Worker workerCommand `cmd:"" hidden:""`
}

func main() {
	var c cli
	parser := kong.Must(&c,
		kong.Name("atrium"),
		kong.Description("A self-hosted realtime service for collaborative applications."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	ctx, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	parser.FatalIfErrorf(ctx.Run())
}
