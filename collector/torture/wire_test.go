package torture

import (
	numbers "encoding/binary"
	"errors"
	"fmt"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// What the proxy knows of ClickHouse's native protocol. Client and server take
// turns: a client sends nothing new before the answer has ended, and sends rows
// only after the server has said which columns it wants. So of the client only
// the beginning of a turn is parsed, of the server every packet.

// revision is what clickhouse-go asks for. Servers speak it as long as they
// are newer.
const revision = clickhouse.ClientTCPProtocolVersion

// A statement is what a client asks for in one turn.
type statement struct {
	login bool   // no query but the handshake
	id    string // query id
	text  string
	small bool // blocks are compressed
}

// errShort: the bytes so far are the beginning of a packet.
var errShort = errors.New("packet is not complete")

// A cursor reads what has come so far. After a failure it reads zeros.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) take(n uint64) []byte {
	if c.err == nil && n > uint64(len(c.rest)) {
		c.err = errShort
	}
	if c.err != nil {
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) number() uint64 {
	n, size := numbers.Uvarint(c.rest)
	switch {
	case size < 0:
		c.err = errors.New("number is too long")
	case size == 0 && c.err == nil:
		c.err = errShort
	}
	c.take(uint64(max(size, 0)))
	return n
}

func (c *cursor) text() string { return string(c.take(c.number())) }

// parseHello reads the client's first packet and returns its length.
func parseHello(b []byte) (int, error) {
	c := cursor{rest: b}
	if kind := c.byte(); c.err == nil && kind != proto.ClientHello {
		return 0, fmt.Errorf("packet %d where hello was due", kind)
	}
	c.text() // name of the client
	for range 3 {
		c.number() // its version and protocol
	}
	for range 3 {
		c.text() // database, user, password
	}
	return len(b) - len(c.rest), c.err
}

// parseAddendum reads what a client says once the server has said hello.
func parseAddendum(b []byte) (int, error) {
	c := cursor{rest: b}
	c.text() // quota key
	return len(b) - len(c.rest), c.err
}

// parseQuery reads a query without the tables that follow it.
func parseQuery(b []byte) (s statement, size int, err error) {
	c := cursor{rest: b}
	if kind := c.byte(); c.err == nil && kind != proto.ClientQuery {
		return s, 0, fmt.Errorf("packet %d where a query was due", kind)
	}
	s.id = c.text()
	c.byte() // kind of query
	for range 3 {
		c.text() // initial user, query id, address
	}
	c.take(8) // initial time
	c.byte()  // interface
	for range 3 {
		c.text() // user and host of the system, name of the client
	}
	for range 3 {
		c.number() // version
	}
	c.text()   // quota key
	c.number() // distributed depth
	c.number() // patch of the version
	if c.byte() == 1 {
		c.take(24) // trace and span
		c.text()
		c.byte()
	}
	for range 3 {
		c.number() // parallel replicas
	}
	c.settings()
	c.text() // secret between servers
	c.byte() // stage
	s.small = c.byte() == 1
	s.text = c.text()
	c.settings() // parameters have the same form
	return s, len(b) - len(c.rest), c.err
}

func (c *cursor) settings() {
	for c.text() != "" && c.err == nil {
		c.number() // flags
		c.text()
	}
}

// readPacket reads one packet of the server from r. Whether blocks of rows are
// compressed is asked when one comes.
func readPacket(r *chproto.Reader, small func() bool) (kind byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return kind, err
	}
	switch kind {
	case proto.ServerHello:
		var hello proto.ServerHandshake
		return kind, hello.Decode(r)
	case proto.ServerData, proto.ServerTotals, proto.ServerExtremes:
		return kind, readBlock(r, small())
	case proto.ServerLog, proto.ServerProfileEvents:
		return kind, readBlock(r, false)
	case proto.ServerException:
		var e proto.Exception
		return kind, e.Decode(r)
	case proto.ServerProgress:
		var p proto.Progress
		return kind, p.Decode(r, revision)
	case proto.ServerProfileInfo:
		var p proto.ProfileInfo
		return kind, p.Decode(r, revision)
	case proto.ServerTableColumns:
		var c proto.TableColumns
		return kind, c.Decode(r, revision)
	case proto.ServerEndOfStream, proto.ServerPong:
		return kind, nil
	}
	return kind, fmt.Errorf("packet %d of a server is not known here", kind)
}

func readBlock(r *chproto.Reader, small bool) error {
	if _, err := r.Str(); err != nil { // name of the table
		return err
	}
	if small {
		r.EnableCompression()
		defer r.DisableCompression()
	}
	block := proto.Block{ServerContext: &column.ServerContext{Revision: revision, Timezone: time.UTC}}
	return block.Decode(r, revision)
}

// endsTurn says that it is the client's turn after a packet of this kind.
func endsTurn(kind byte) bool {
	switch kind {
	case proto.ServerEndOfStream, proto.ServerException, proto.ServerPong:
		return true
	}
	return false
}

// An exception is what a server answers when it does not do what it was asked.
type exception struct {
	code int32
	name string
}

// packet is how it goes over the wire.
func (e exception) packet() []byte {
	var b chproto.Buffer
	b.PutByte(proto.ServerException)
	b.PutInt32(e.code)
	b.PutString("DB::Exception")
	b.PutString("DB::Exception: said by the test instead of the server: " + e.name)
	b.PutString("") // stack
	b.PutBool(false)
	return b.Buf
}
