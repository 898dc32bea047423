package web

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/intake"
	"github.com/passalong/passalong/collector/spool"
)

// Retry-After of a 503. A full spool waits for ClickHouse, anything else most
// likely for a disk. Both are guesses; a reader's page is closed by then, so
// they are for servers that send on somebody's behalf.
const (
	retryFull  = 30
	retryFault = 5
)

// beacon takes POST /e. The order is by cost and by what may be looked at: a
// flood is turned away before anything is read, a privacy signal before the
// body is.
func (s *Server) beacon(c *fiber.Ctx) error {
	start := s.o.Now()
	address := s.address(c)
	if wait, ok := s.limiter.take(address); !ok {
		s.o.Metrics.Filtered(s.siteOfOrigin(c), "rate")
		c.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		return s.refuse(c, "", fiber.StatusTooManyRequests, "too many beacons from this address", "")
	}
	if c.Get("Sec-GPC") == "1" || c.Get("DNT") == "1" {
		name := s.siteNamed(c.Request().Body())
		if s.o.Sites[name] == nil {
			name = s.siteOfOrigin(c)
		}
		s.o.Metrics.Filtered(name, "gpc")
		return s.taken(c, name)
	}
	if encoding := c.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		c.Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
		return s.refuse(c, "", fiber.StatusUnsupportedMediaType, "content encodings are not taken", "")
	}
	if !plainOrJSON(c.Get("Content-Type")) {
		c.Set("Accept-Post", "text/plain, application/json")
		return s.refuse(c, "", fiber.StatusUnsupportedMediaType, "send text/plain or application/json", "")
	}

	// Body and not c.Body(), which would undo an encoding.
	body := c.Request().Body()
	origin := c.Get("Origin")
	events, err := s.o.Intake.Beacon(intake.Request{
		Received: start,
		Address:  address,
		Agent:    c.Get("User-Agent"),
		Package:  c.Get("X-Requested-With"),
		Origin:   origin,
		Body:     body,
	})
	if err != nil {
		return s.refused(c, body, err)
	}
	if len(events) == 0 {
		return s.taken(c, s.siteNamed(body))
	}
	defer s.o.Intake.Release(events)
	if err := s.o.Spool.Append(s.patience.context(), events); err != nil {
		return s.unavailable(c, events[0].Site, err)
	}
	for _, e := range events {
		s.o.Metrics.Event(e.Type)
	}
	if events[0].Bot {
		s.o.Metrics.Filtered(events[0].Site, "bot")
	}
	s.o.Metrics.Stored(s.o.Now().Sub(start))
	return s.taken(c, events[0].Site)
}

// taken answers 204.
func (s *Server) taken(c *fiber.Ctx, site string) error {
	s.o.Metrics.Beacon(fiber.StatusNoContent)
	s.cors(c, site)
	c.Status(fiber.StatusNoContent)
	return nil
}

// refused answers an error of intake: the sender's, or ours.
func (s *Server) refused(c *fiber.Ctx, body []byte, err error) error {
	site := s.siteNamed(body)
	var bad *hit.Error
	switch {
	case !errors.As(err, &bad):
		return s.unavailable(c, site, err)
	case bad.Foreign:
		s.o.Metrics.Filtered(site, "foreign")
		return s.refuse(c, site, fiber.StatusForbidden, bad.Problem, bad.Field)
	default:
		return s.refuse(c, site, fiber.StatusBadRequest, bad.Problem, bad.Field)
	}
}

// unavailable answers 503: the beacon is good, and sending it again is right.
func (s *Server) unavailable(c *fiber.Ctx, site string, err error) error {
	retry, problem := retryFault, "beacons cannot be stored now"
	if errors.Is(err, spool.ErrFull) {
		retry, problem = retryFull, "the spool is full"
	}
	s.seldom.error("beacon not stored", err)
	c.Set("Retry-After", strconv.Itoa(retry))
	return s.refuse(c, site, fiber.StatusServiceUnavailable, problem, "")
}

// refuse answers a beacon that was not taken, and counts it.
func (s *Server) refuse(c *fiber.Ctx, site string, status int, problem, field string) error {
	s.o.Metrics.Beacon(status)
	s.cors(c, site)
	return s.answer(c, status, problem, field)
}

// refusal is the body of every refusal: {"error": …, "field": …}.
func refusal(problem, field string) []byte {
	body, err := json.Marshal(struct {
		Error string `json:"error"`
		Field string `json:"field,omitempty"`
	}{problem, field})
	if err != nil {
		return []byte(`{"error":"refused"}`) // two strings always marshal
	}
	return body
}

// plainOrJSON reports whether a Content-Type is one of the two, with any
// parameters: what is inside must be UTF-8 whatever they say.
func plainOrJSON(header string) bool {
	kind, _, _ := strings.Cut(header, ";")
	kind = strings.TrimSpace(kind)
	return strings.EqualFold(kind, "text/plain") || strings.EqualFold(kind, "application/json")
}

// siteNamed is the site a body names, or "". Only for counting and for CORS:
// what decides about a beacon is intake's strict reading.
func (s *Server) siteNamed(body []byte) string {
	var b struct {
		Site string `json:"site"`
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	return b.Site
}
