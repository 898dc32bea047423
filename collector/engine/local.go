package engine

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Convert turns rows in the format RowBinary into another format, by
// ClickHouse's name. structure is that of the rows, as `n UInt64, s String`;
// were ClickHouse to find it out, it would keep all rows for a second reading
// (tried: 800 MB for 300). So it is 230 MB whatever their number, and 0.2 s more.
func Convert(ctx context.Context, library string, rows io.Reader, structure string, out io.Writer, format string) error {
	return Local(ctx, library, rows, out,
		"SELECT * FROM file('-', RowBinary, "+quote(structure)+") SETTINGS max_block_size = 8192, max_threads = 1, output_format_parallel_formatting = 0", format)
}

// Local runs one query in a ClickHouse of its own that has no tables, and
// writes the result to out in a format. The query may read in as the file '-'.
// It has all rights: the query must be the program's own.
func Local(ctx context.Context, library string, in io.Reader, out io.Writer, query, format string) error {
	// The query comes through a pipe, as in arguments ClickHouse turns a dash of
	// another kind into two hyphens.
	cmd, err := command(library, localMode, "--queries-file=/dev/fd/4")
	if err != nil {
		return err
	}
	cmd.Dir = "/" // a config.xml in the directory where it starts is obeyed
	said := newTail()
	cmd.Stdin, cmd.Stderr = in, said
	// Always a pipe: some files and sockets cannot be opened again by name.
	sink := &sink{w: out, failed: func() { _ = cmd.Process.Kill() }}
	cmd.Stdout = sink
	done, doneChild, err := os.Pipe()
	if err != nil {
		return err
	}
	defer done.Close()
	asked, ask, err := os.Pipe()
	if err != nil {
		doneChild.Close()
		return err
	}
	cmd.ExtraFiles = []*os.File{doneChild, asked}
	err = cmd.Start()
	doneChild.Close()
	asked.Close()
	if err != nil {
		ask.Close()
		return err
	}
	stopped := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stopped()
	// What a query prints is collected in memory by the library; only what goes
	// into a file passes through. The second statement runs if the first
	// succeeded, which nothing else would tell.
	go func() {
		fmt.Fprintf(ask, "%s INTO OUTFILE '/dev/stdout' APPEND FORMAT %s;\nSELECT 'done' INTO OUTFILE '/dev/fd/%d' APPEND\n", query, format, readyFD)
		ask.Close() // a child that does not read it fails, and says so
	}()
	word := make(chan int, 1)
	go func() {
		b, _ := io.ReadAll(done) // ends with the child
		word <- len(b)
	}()
	err = cmd.Wait()
	switch n := <-word; {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case sink.err != nil:
		return sink.err
	case n > 0 && err == nil:
		return nil
	case n > 0: // it is done, and reading in failed
		return err
	}
	return explain(said.String(), err)
}

// A sink ends a child whose output nobody takes any more; it would wait for
// ever, as the pipe stays open until it ends.
type sink struct {
	w      io.Writer
	err    error // valid after Wait
	failed func()
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
		s.failed()
	}
	return n, err
}
