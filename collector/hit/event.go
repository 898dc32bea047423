package hit

import (
	"time"

	"golang.org/x/text/currency"

	"github.com/passalong/passalong/collector/channel"
	"github.com/passalong/passalong/collector/token"
)

// absent stands in a duration that was not sent; no duration sent is negative.
const absent = time.Duration(-1)

func (r *reader) event(e *Event) error {
	return r.object("", func(name string) error {
		switch name {
		case "type":
			return r.str(name, &e.Type)
		case "age":
			return r.milliseconds(name, &e.Age, maxAge)
		case "hash":
			return r.str(name, &e.Hash)
		case "what":
			return r.str(name, &e.What)
		case "chars":
			return r.natural(name, &e.Chars, 1<<32-1)
		case "words":
			return r.natural(name, &e.Words, 1<<32-1)
		case "quote":
			return r.few(name, &e.Quote, maxQuote)
		case "channel":
			return r.str(name, &e.Channel)
		case "token":
			return r.str(name, &e.Token)
		case "outcome":
			return r.str(name, &e.Outcome)
		case "visible":
			return r.milliseconds(name, &e.Visible, maxVisible)
		case "scroll":
			return r.natural(name, &e.Scroll, 100)
		case "name":
			return r.cut(name, &e.Name, maxName)
		case "value":
			return r.money(name, &e.Value)
		case "currency":
			return r.str(name, &e.Currency)
		case "order":
			return r.short(name, &e.Order, maxOrder)
		case "source":
			return r.str(name, &e.Source)
		case "mood":
			mood := int64(e.Mood)
			err := r.whole(name, &mood, -1, 1)
			e.Mood = int32(mood)
			return err
		case "text":
			return r.few(name, &e.Text, maxText)
		}
		return r.skip("")
	})
}

func (r *reader) milliseconds(field string, to *time.Duration, high int64) error {
	n := int64(-1)
	if err := r.rounded(field, &n, high); err != nil || n < 0 {
		return err
	}
	*to = time.Duration(n) * time.Millisecond
	return nil
}

// shape checks an event by its type and empties the fields of other types.
// The Field of its error is relative to the event.
func (e *Event) shape() error {
	if e.Type == "" {
		return bad("type", "missing")
	}
	in := *e
	*e = Event{Type: in.Type, Age: in.Age}
	switch in.Type {
	case "view":
		e.Hash = in.Hash
		switch in.Hash {
		case "", "written", "failed", "excluded", "refused", "off":
		default:
			return bad("hash", "not written, failed, excluded, refused or off")
		}
	case "copy":
		e.What, e.Chars, e.Words, e.Quote = in.What, in.Chars, in.Words, in.Quote
		switch in.What {
		case "link", "text", "image", "code", "email", "phone":
		case "":
			return bad("what", "missing")
		default:
			return bad("what", "not link, text, image, code, email or phone")
		}
	case "share":
		e.Channel, e.Token, e.Outcome = in.Channel, in.Token, in.Outcome
		if err := in.share(); err != nil {
			return err
		}
	case "engage":
		e.Visible, e.Scroll = in.Visible, in.Scroll
		if in.Visible == absent {
			return bad("visible", "missing")
		}
	case "convert":
		e.Name, e.Value, e.Order = in.Name, in.Value, in.Order
		if in.Name == "" {
			return bad("name", "missing")
		}
		if in.Currency != "" {
			unit, err := currency.ParseISO(in.Currency)
			if err != nil {
				return bad("currency", "not a code of ISO 4217")
			}
			e.Currency = unit.String() // in upper case, however it was sent
		}
	case "ask":
	case "answer":
		e.Source, e.Channel, e.Mood, e.Text = in.Source, in.Channel, in.Mood, in.Text
		switch in.Source {
		case "person", "search", "social", "ai", "newsletter", "bookmark", "self", "other":
		case "":
			return bad("source", "missing")
		default:
			return bad("source", "not person, search, social, ai, newsletter, bookmark, self or other")
		}
		if in.Channel != "" && !channel.Known(in.Channel) {
			return bad("channel", "not a channel")
		}
	default:
		return bad("type", "not view, copy, share, engage, convert, ask or answer")
	}
	if in.Age == absent {
		return bad("age", "missing")
	}
	if e.Type != "engage" {
		e.Visible = 0
	}
	return nil
}

func (e *Event) share() error {
	switch {
	case e.Channel == "":
		return bad("channel", "missing")
	case e.Channel != "sheet" && e.Channel != "copy" && !channel.Known(e.Channel):
		return bad("channel", "not a channel, sheet or copy")
	case e.Token == "":
		return bad("token", "missing")
	case !token.Valid(e.Token):
		return bad("token", "not a token")
	}
	switch e.Outcome {
	case "", "offered", "done", "cancelled":
		return nil
	}
	return bad("outcome", "not offered, done or cancelled")
}
