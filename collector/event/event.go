// Package event holds the one message that travels from the web to the tables:
// a row of `events` as it waits in the spool.
//
// A caller can rely on field numbers that are never reused and on fields it
// does not know being kept, so that a collector can be downgraded with a full
// spool. The package knows neither HTTP nor the clock nor the database; it has
// no behaviour beyond its encoding.
//
// What surprises: the sequence number of an event (`row`) is not in it. The
// spool gives it, and the spool's key holds it.
package event

//go:generate sh -c "protoc --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --plugin=protoc-gen-go-vtproto=$(go tool -n protoc-gen-go-vtproto) --go_out=. --go_opt=paths=source_relative --go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+unmarshal_unsafe+size event.proto"
