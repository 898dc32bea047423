package torture

import (
	"os"
	"path/filepath"
	"testing"
)

// The sites that every collector here has, one of each level. A beacon's title
// is its serial number, which is how its rows are known again.
const sites = `
[[site]]
id = "news.example"
domains = ["news.example", "*.news.example"]
timezone = "Europe/Paris"

[[site]]
id = "shop.example"
currency = "USD"

[[site]]
id = "quiet.example"
privacy = "strict"

[[site]]
id = "member.example"
privacy = "consent"
`

// withSites writes the settings of the sites and returns the arguments that
// name them.
func withSites(t testing.TB) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sites.toml")
	if err := os.WriteFile(path, []byte(sites), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", path}
}

// A beacon is one request, and what must come of it.
type beacon struct {
	serial  int
	site    string
	body    []byte
	agent   string
	address string // of the reader, as a proxy would give it
	signal  string // a header of privacy, set to 1; or empty

	refuse int      // the status it must be refused with; 0: it is good
	events []row    // what a good one leaves in `events`; none with a signal
	born   []string // tokens that have a node once it is taken
}

// A row is what is compared of a row of `events`.
type row struct {
	serial, item             int
	site, view, visitor      string // visitor: only a consented one, else empty
	seq                      int
	kind                     string
	via                      string
	token, order, name, coin string
	value                    int64 // ten-thousandths
	bot                      bool
}
