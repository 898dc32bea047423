package loader

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Class says whose fault a failure is, in words for a label and a log line.
type Class string

const (
	ClassNone       Class = ""
	ClassConnection Class = "connection" // no answer: away, cut, refused
	ClassTimeout    Class = "timeout"
	ClassMemory     Class = "memory"
	ClassParts      Class = "parts" // too many of them: merges do not keep up
	ClassReadonly   Class = "readonly"
	ClassDisk       Class = "disk"
	ClassAccess     Class = "access" // user, password, grant
	ClassSchema     Class = "schema" // table or column missing
	ClassBusy       Class = "busy"   // too many queries, quota
	ClassServer     Class = "server" // any other answer of ClickHouse
	ClassRow        Class = "row"    // the only class that is about what was sent
	ClassOther      Class = "other"  // a fault on this side
)

// Classes lists them all, for metrics with fixed labels.
var Classes = []Class{ClassConnection, ClassTimeout, ClassMemory, ClassParts, ClassReadonly, ClassDisk,
	ClassAccess, ClassSchema, ClassBusy, ClassServer, ClassRow, ClassOther}

// codes are ClickHouse's (src/Common/ErrorCodes.cpp). What is not here is the
// server's state: a row is blamed only for what rows are known to cause.
var codes = map[int32]Class{
	6:   ClassRow, // CANNOT_PARSE_TEXT
	26:  ClassRow, // CANNOT_PARSE_QUOTED_STRING
	27:  ClassRow, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	38:  ClassRow, // CANNOT_PARSE_DATE
	41:  ClassRow, // CANNOT_PARSE_DATETIME
	69:  ClassRow, // ARGUMENT_OUT_OF_BOUND
	72:  ClassRow, // CANNOT_PARSE_NUMBER
	117: ClassRow, // INCORRECT_DATA
	131: ClassRow, // TOO_LARGE_STRING_SIZE
	321: ClassRow, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349: ClassRow, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	395: ClassRow, // FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
	407: ClassRow, // DECIMAL_OVERFLOW
	469: ClassRow, // VIOLATED_CONSTRAINT

	159: ClassTimeout, // TIMEOUT_EXCEEDED
	160: ClassTimeout, // TOO_SLOW
	209: ClassTimeout, // SOCKET_TIMEOUT
	394: ClassTimeout, // QUERY_WAS_CANCELLED

	173: ClassMemory, // CANNOT_ALLOCATE_MEMORY
	241: ClassMemory, // MEMORY_LIMIT_EXCEEDED

	252: ClassParts, // TOO_MANY_PARTS

	164: ClassReadonly, // READONLY
	242: ClassReadonly, // TABLE_IS_READ_ONLY
	319: ClassReadonly, // UNKNOWN_STATUS_OF_INSERT

	74:  ClassDisk, // CANNOT_READ_FROM_FILE_DESCRIPTOR
	75:  ClassDisk, // CANNOT_WRITE_TO_FILE_DESCRIPTOR
	76:  ClassDisk, // CANNOT_OPEN_FILE
	243: ClassDisk, // NOT_ENOUGH_SPACE

	192: ClassAccess, // UNKNOWN_USER
	193: ClassAccess, // WRONG_PASSWORD
	194: ClassAccess, // REQUIRED_PASSWORD
	195: ClassAccess, // IP_ADDRESS_NOT_ALLOWED
	497: ClassAccess, // ACCESS_DENIED
	516: ClassAccess, // AUTHENTICATION_FAILED

	16: ClassSchema, // NO_SUCH_COLUMN_IN_TABLE
	47: ClassSchema, // UNKNOWN_IDENTIFIER
	50: ClassSchema, // UNKNOWN_TYPE
	60: ClassSchema, // UNKNOWN_TABLE
	81: ClassSchema, // UNKNOWN_DATABASE

	201: ClassBusy, // QUOTA_EXCEEDED
	202: ClassBusy, // TOO_MANY_SIMULTANEOUS_QUERIES

	3:   ClassConnection, // UNEXPECTED_END_OF_FILE
	32:  ClassConnection, // ATTEMPT_TO_READ_AFTER_EOF
	101: ClassConnection, // UNEXPECTED_PACKET_FROM_CLIENT
	210: ClassConnection, // NETWORK_ERROR
}

// errSchema marks a column that is not as it must be.
type errSchema struct{ err error }

func (e errSchema) Error() string { return e.err.Error() }
func (e errSchema) Unwrap() error { return e.err }

// brokenHello is how clickhouse-go 2.50 tells that a handshake breaks off: it
// keeps the text of the cause and not the cause (lib/proto/handshake.go).
const brokenHello = "handshake: failed to decode server hello"

// classify returns the class of err, and ClickHouse's code or 0.
func classify(err error) (Class, int32) {
	var (
		exception *clickhouse.Exception
		schema    errSchema
		network   net.Error
	)
	switch {
	case err == nil:
		return ClassNone, 0
	case errors.As(err, &exception):
		if class, known := codes[exception.Code]; known {
			return class, exception.Code
		}
		return ClassServer, exception.Code
	case errors.As(err, &schema):
		return ClassSchema, 0
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, clickhouse.ErrAcquireConnTimeout):
		return ClassTimeout, 0
	case errors.As(err, &network):
		if network.Timeout() {
			return ClassTimeout, 0
		}
		return ClassConnection, 0
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, clickhouse.ErrConnectionClosed), strings.Contains(err.Error(), brokenHello):
		return ClassConnection, 0
	}
	return ClassOther, 0
}
