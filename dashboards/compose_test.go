package dashboards_test

import (
	"context"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

var secrets = []string{"PASSALONG_SITE", "PASSALONG_ADMIN_TOKEN", "CLICKHOUSE_PASSWORD", "GRAFANA_READER_PASSWORD", "GRAFANA_ADMIN_PASSWORD"}

func load(t *testing.T, without string) (*types.Project, error) {
	t.Helper()
	var env []string
	for _, name := range secrets {
		if name != without {
			env = append(env, name+"=value-of-"+name)
		}
	}
	options, err := cli.NewProjectOptions([]string{"../docker-compose.yml"}, cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(context.Background())
}

func TestComposeHasNoDefaultPassword(t *testing.T) {
	for _, name := range secrets {
		if _, err := load(t, name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: got %v, want an error that names it", name, err)
		}
	}
}

func TestComposeFitsTogether(t *testing.T) {
	project, err := load(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"collector", "clickhouse", "grafana"} {
		if _, ok := project.Services[name]; !ok {
			t.Errorf("no service %s", name)
		}
	}
	collector := project.Services["collector"]
	if dsn := collector.Environment["PASSALONG_CLICKHOUSE"]; dsn == nil || *dsn != "clickhouse://passalong:value-of-CLICKHOUSE_PASSWORD@clickhouse:9000/passalong" {
		t.Errorf("the collector's DSN does not name the service clickhouse: %v", dsn)
	}
	for name, s := range project.Services {
		if s.Image != "" && (!strings.Contains(s.Image, ":") || strings.HasSuffix(s.Image, ":latest")) {
			t.Errorf("%s: image %s is not pinned", name, s.Image)
		}
		for _, p := range s.Ports {
			if name != "collector" && p.HostIP != "127.0.0.1" {
				t.Errorf("%s is open to the network on port %s", name, p.Published)
			}
		}
	}
	users := project.Configs["clickhouse_reader"].Content
	for _, want := range []string{"GRANT SELECT ON passalong.*", "<readonly>1</readonly>", `from_env="GRAFANA_READER_PASSWORD"`} {
		if !strings.Contains(users, want) {
			t.Errorf("the reading user lacks %s", want)
		}
	}
	if strings.Contains(users, "passalong_private") || strings.Contains(users, "value-of-") {
		t.Errorf("the reading user sees what it must not:\n%s", users)
	}
}
