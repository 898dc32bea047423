package schema

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/template"
)

// A renderer makes SQL of the templates, for one server or for a cluster.
//
// In a template
//
//	{{on_cluster}}                     `ON CLUSTER name`, or nothing
//	{{local "events"}}                 the table that holds rows: events, or events_local
//	{{engine "MergeTree" "events"}}    plain or replicated, with the arguments after the table's name
//	{{distributed "events" "key"}}     the table over all shards, or nothing
//	{{dedup_window 10000}}             how many inserted blocks are remembered
//
// and for the functions what facts.go adds.
type renderer struct {
	cluster string
	funcs   template.FuncMap
}

func newRenderer(cluster string) (*renderer, error) {
	if strings.ContainsAny(cluster, "`'\"\\") {
		return nil, fmt.Errorf("cluster %q is no name of a cluster", cluster)
	}
	r := &renderer{cluster: cluster}
	f, err := readFacts()
	if err != nil {
		return nil, err
	}
	r.funcs = f.funcs()
	r.funcs["on_cluster"] = r.onCluster
	r.funcs["local"] = r.local
	r.funcs["engine"] = r.engine
	r.funcs["distributed"] = r.distributed
	r.funcs["dedup_window"] = r.dedupWindow
	return r, nil
}

func (r *renderer) onCluster() string {
	if r.cluster == "" {
		return ""
	}
	return "ON CLUSTER `" + r.cluster + "`"
}

func (r *renderer) local(table string) string {
	if r.cluster == "" {
		return table
	}
	return table + "_local"
}

// engine replicates within a shard; {shard} and {replica} are the server's own
// macros, which a cluster's servers have.
func (r *renderer) engine(name, table string, arguments ...string) string {
	if r.cluster != "" {
		name = "Replicated" + name
		arguments = append([]string{"'/clickhouse/tables/{shard}/passalong/" + table + "'", "'{replica}'"}, arguments...)
	}
	return name + "(" + strings.Join(arguments, ", ") + ")"
}

// distributed sends a row to its shard in the foreground: an insert is
// answered when the shard has it, which the loader's count relies on.
func (r *renderer) distributed(table, key string) string {
	if r.cluster == "" {
		return ""
	}
	database, name, ok := strings.Cut(table, ".")
	if !ok {
		database, name = "passalong", table
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.%s %s AS %[1]s.%[4]s\nENGINE = Distributed(`%[5]s`, %[1]s, %[4]s, %[6]s)\nSETTINGS fsync_after_insert = 1;",
		database, name, r.onCluster(), r.local(name), r.cluster, key)
}

// dedupWindow: a replicated table forgets by time too, after an hour unless
// told otherwise; a collector may come back after a longer pause.
func (r *renderer) dedupWindow(blocks int) string {
	if r.cluster == "" {
		return fmt.Sprintf("non_replicated_deduplication_window = %d", blocks)
	}
	return fmt.Sprintf("replicated_deduplication_window = %d,\n    replicated_deduplication_window_seconds = 604800", blocks)
}

func (r *renderer) render(name, text string) (string, error) {
	t, err := template.New(name).Funcs(r.funcs).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, nil); err != nil {
		return "", err
	}
	return b.String(), nil
}

// text renders a statement of this package.
func (r *renderer) text(statement string) string {
	s, err := r.render("statement", statement)
	if err != nil {
		panic(err) // the statement is a constant
	}
	return s
}

func (r *renderer) file(name string) (string, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return "", err
	}
	return r.render(name, string(text))
}

// fs is the embedded files as goose reads them: rendered when opened.
func (r *renderer) fs() fs.FS { return renderedFS{r} }

type renderedFS struct{ r *renderer }

func (f renderedFS) Open(name string) (fs.File, error) {
	file, err := files.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return file, err // directories are listed as they are
	}
	info, err := file.Stat()
	file.Close()
	if err != nil {
		return nil, err
	}
	text, err := f.r.file(name)
	if err != nil {
		return nil, &fs.PathError{Op: "render", Path: name, Err: err}
	}
	return &renderedFile{Reader: strings.NewReader(text), info: renderedInfo{info, int64(len(text))}}, nil
}

type renderedFile struct {
	*strings.Reader
	info fs.FileInfo
}

func (f *renderedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *renderedFile) Close() error               { return nil }

type renderedInfo struct {
	fs.FileInfo
	size int64
}

func (i renderedInfo) Size() int64 { return i.size }

var _ io.Reader = (*renderedFile)(nil)
