package config_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/passalong/passalong/collector/config"
)

var update = flag.Bool("update", false, "rewrite docs/reference/settings.md")

// The reference page is made from the help text, so that the two cannot part.
func TestReferenceIsTheHelpText(t *testing.T) {
	var cli struct{ config.Config }
	k := kong.Must(&cli, kong.DefaultEnvars(config.EnvPrefix))
	var b strings.Builder
	b.WriteString("# Settings\n\nMade from the help text by `go test ./collector/config -update`.\n\n" +
		"One name in three spellings: a flag (`--data-dir`), a variable (`PASSALONG_DATA_DIR`), a key of the TOML file named by\n" +
		"`--config` (`data-dir = \"…\"`). A flag beats the variable, the variable beats the file. A list given in a stronger place\nreplaces the weaker one.\n")
	group := ""
	for _, f := range k.Model.Flags {
		if f.Name == "help" {
			continue
		}
		if f.Group != nil && f.Group.Key != group {
			group = f.Group.Key
			fmt.Fprintf(&b, "\n## %s\n\n| setting | default | meaning |\n| --- | --- | --- |\n", group)
		}
		value := "none"
		if f.Default != "" {
			value = "`" + f.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, value, strings.ReplaceAll(f.Help, "|", "\\|"))
	}
	b.WriteString(sitesText)
	const path = "../../docs/reference/settings.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is not the help text; run go test ./collector/config -update", path)
	}
}

const sitesText = `
## Sites in the file

A site with more than domains is a table:

` + "```toml" + `
[[site]]
id = "news.example"
domains = ["news.example", "*.news.example"]   # "*." means the subdomains
privacy = "full"            # full, strict or consent
quotes = false              # keep copied passages (shown only from five readers on)
timezone = "Europe/Paris"   # whose days the reports count; default UTC
currency = "EUR"            # what revenue sums; others stand in conversions only
` + "```" + `

Hosts are compared in lower case, without port and trailing dot. After a change of ` + "`timezone`" + ` older days keep theirs.
`
