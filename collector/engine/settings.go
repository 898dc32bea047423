package engine

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// Names of the two users that can log in. Views run with the rights of the
// collector (SQL SECURITY DEFINER), so its name is part of the stored schema.
const (
	collectorUser = "collector"
	readerUser    = "reader"
)

// settings is what the two configuration files are made of.
type settings struct {
	Host              string
	TCPPort           uint16
	HTTPPort          uint16 // 0: no HTTP
	Data, Users       string // paths; absolute, as parts of ClickHouse join a relative one twice
	Memory            int64
	ReaderMemory      int64 // of all queries of the reader together
	CollectorHash     string
	ReaderHash        string
	Database, Private string
	Loopback          bool   // nobody comes from outside
	Extra             string // XML
}

func newSettings(e *Engine) settings {
	s := settings{
		Host:    e.tcp.addr.Addr().String(),
		TCPPort: e.tcp.addr.Port(),
		Data:    filepath.Join(e.o.Dir, "data"),
		Users:   filepath.Join(e.o.Dir, "users.xml"),
		Memory:  e.o.Memory,
		// The rest stays for inserts, so that a heavy report cannot stop them.
		ReaderMemory:  e.o.Memory / 4 * 3,
		CollectorHash: sha256Hex(e.passwords.collector),
		ReaderHash:    sha256Hex(e.passwords.reader),
		Database:      e.o.Database,
		Private:       e.o.Database + "_private",
		Loopback:      e.tcp.addr.Addr().IsLoopback(),
		Extra:         e.o.Config,
	}
	if e.http != nil {
		s.HTTPPort = e.http.addr.Port()
	}
	return s
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"x": func(v any) (string, error) {
		var b bytes.Buffer
		err := xml.EscapeText(&b, []byte(fmt.Sprint(v)))
		return b.String(), err
	},
}).Parse(`
{{- define "config.xml" -}}
<!-- Written by Passalong at each start. Changes here are lost. -->
<clickhouse>
  <logger><level>none</level></logger>
  <path>{{x .Data}}</path>
  <listen_host>{{x .Host}}</listen_host>
  <tcp_port>{{.TCPPort}}</tcp_port>
{{- if .HTTPPort}}
  <http_port>{{.HTTPPort}}</http_port>
{{- end}}
  <users_config>{{x .Users}}</users_config>
  <!-- Seconds for queries that still run when it is told to end. -->
  <shutdown_wait_unfinished>1</shutdown_wait_unfinished>
  <max_server_memory_usage>{{.Memory}}</max_server_memory_usage>

  <!-- The defaults are for a machine of its own: up to 5 GB each. -->
  <mark_cache_size>67108864</mark_cache_size>
  <primary_index_cache_size>67108864</primary_index_cache_size>
  <index_mark_cache_size>16777216</index_mark_cache_size>
  <query_condition_cache_size>16777216</query_condition_cache_size>
  <compiled_expression_cache_size>16777216</compiled_expression_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>2</background_schedule_pool_size>
  <!-- 0 by default here: Distributed and Buffer tables would never be emptied. -->
  <background_distributed_schedule_pool_size>2</background_distributed_schedule_pool_size>

  <merge_tree>
    <!-- A part comes every second, and to merge them is what loading costs the
         engine most. Ten at a time instead of five: a row is written anew less
         often, and a table has some parts more. -->
    <merge_selector_base>10</merge_selector_base>
    <!-- Nobody's plan needs them, and they are computed on every insert. -->
    <auto_statistics_types></auto_statistics_types>
  </merge_tree>

  <!-- Retention drops whole months, however large. The default stops at 50 GB. -->
  <max_table_size_to_drop>0</max_table_size_to_drop>
  <max_partition_size_to_drop>0</max_partition_size_to_drop>
  {{.Extra}}
</clickhouse>
{{end -}}

{{- define "users.xml" -}}
<!-- Written by Passalong at each start. Changes here are lost. -->
<clickhouse>
  <profiles>
    <default><!-- what every user begins with -->
      <!-- On in a local ClickHouse; it shows addresses inside the process. -->
      <allow_introspection_functions>0</allow_introspection_functions>
      <!-- Seconds after which a connection that waits notices the end. With the
           default of 10 a stop takes 5 s as long as one connection is open. -->
      <poll_interval>1</poll_interval>
    </default>
    <collector>
      <!-- Said here, because the child's command line sets it for all. -->
      <max_query_size>1048576</max_query_size>
    </collector>
    <start>
      <!-- The engine is started by statements of the user default, in a session
           that cannot be told from others on loopback and without a password.
           No query has one byte, so nobody gets an answer as default; the child
           itself is let off by its command line, which no constraint binds. -->
      <max_query_size>1</max_query_size>
      <constraints>
        <max_query_size><const/></max_query_size>
      </constraints>
    </start>
    <reader>
      <!-- 1 and not 2: a reader who may change settings may lift the limits
           below, and the list of what to forbid would grow with each release. -->
      <readonly>1</readonly>
      <max_query_size>262144</max_query_size>
      <max_execution_time>60</max_execution_time>
      <max_memory_usage>{{.ReaderMemory}}</max_memory_usage>
      <max_memory_usage_for_user>{{.ReaderMemory}}</max_memory_usage_for_user>
      <constraints>
        <!-- clickhouse-go, and so Grafana, sends this one with each query that
             has a deadline; without the exception every such query fails. -->
        <max_execution_time><changeable_in_readonly/><min>1</min><max>3600</max></max_execution_time>
      </constraints>
    </reader>
  </profiles>
  <quotas>
    <default/>
  </quotas>
  <users>
    <default>
      <password/>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>start</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT CREATE TEMPORARY TABLE ON *.*</query>
        <query>GRANT CREATE DATABASE ON {{.Database}}.*</query>
      </grants>
    </default>
    <collector>
      <password_sha256_hex>{{.CollectorHash}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>collector</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT ALL ON {{.Database}}.*</query>
        <query>GRANT ALL ON {{.Private}}.*</query>
        <query>GRANT TABLE ENGINE ON *</query>
        <query>GRANT SELECT ON system.*</query>
        <query>GRANT SET DEFINER ON *</query>
        <query>GRANT CREATE FUNCTION, DROP FUNCTION, CREATE TEMPORARY TABLE, KILL QUERY ON *.*</query>
        <query>GRANT READ, WRITE ON REMOTE</query>
      </grants>
    </collector>
    <reader>
      <password_sha256_hex>{{.ReaderHash}}</password_sha256_hex>
      <networks>{{if .Loopback}}<ip>127.0.0.1</ip><ip>::1</ip>{{else}}<ip>::/0</ip>{{end}}</networks>
      <profile>reader</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SELECT, dictGet ON {{.Database}}.*</query>
      </grants>
    </reader>
  </users>
</clickhouse>
{{end -}}
`))

// startStatements is what the child runs as default. The last one reads
// standard input until the parent closes it; read by the client side of the
// session (INFILE), it needs no right to read files. A function as file()
// would, and whoever connects as default would share that right.
func (s settings) startStatements() []string {
	statements := []string{
		// So that a DSN that names it works from the first moment.
		"CREATE DATABASE IF NOT EXISTS " + s.Database,
		"SYSTEM START LISTEN TCP",
	}
	if s.HTTPPort != 0 {
		statements = append(statements, "SYSTEM START LISTEN HTTP")
	}
	return append(statements,
		fmt.Sprintf("SELECT version() INTO OUTFILE '/dev/fd/%d' APPEND FORMAT TSVRaw", readyFD),
		"INSERT INTO FUNCTION null('l String') FROM INFILE '/dev/stdin' FORMAT LineAsString")
}

// write puts both files into dir, readable by nobody else.
func (s settings) write(dir string) error {
	for _, name := range []string{"users.xml", "config.xml"} {
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, name, s); err != nil {
			return err
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", b.Bytes(), 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

// password is 160 random bits, without characters that a DSN would escape.
func password() string { return rand.Text() + rand.Text()[:6] }

// quote is s as a string of ClickHouse's.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
