package store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// codeOf is ClickHouse's number of an error; 0 when the server did not say.
func codeOf(err error) int32 {
	if x, ok := errors.AsType[*clickhouse.Exception](err); ok {
		return x.Code
	}
	return 0
}

// plain is what a person reads of an exception; the exception is still there
// for errors.As.
type plain struct{ *clickhouse.Exception }

func (p plain) Unwrap() error { return p.Exception }

func (p plain) Error() string {
	return fmt.Sprintf("%s (code %d)", clean(p.Message), p.Code)
}

// Plain gives an error of the server the text a person needs: its message and
// code, without the stack, the version and the query it repeats. Other errors
// stay as they are.
func Plain(err error) error {
	x, ok := errors.AsType[*clickhouse.Exception](err)
	if !ok {
		return err
	}
	return plain{x}
}

var noise = regexp.MustCompile(`DB::Exception: |\s*\(version [^)]*(\([^)]*\))?\)|Stack trace:(?s:.*)`)

// clean cuts what a message repeats. "In scope" is followed by the query as the
// server sees it, which is not always as it was typed.
func clean(message string) string {
	message = noise.ReplaceAllString(message, "")
	if head, _, found := strings.Cut(message, ": In scope "); found {
		message = head
	}
	if head, tail, found := strings.Cut(message, " In scope "); found && strings.HasPrefix(tail, "SELECT") {
		message = head
	}
	return strings.TrimRight(strings.TrimSpace(message), ".:")
}
