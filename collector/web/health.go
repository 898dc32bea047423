package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// healthz says that the process answers, and nothing about what it waits for.
func (s *Server) healthz(c *fiber.Ctx) error { return status(c, fiber.StatusOK, "alive", "") }

// readyz says whether beacons are taken, and, where they are, what else is the
// matter: then the way out waits, which the way in does not.
func (s *Server) readyz(c *fiber.Ctx) error {
	reason := "stopping"
	if !s.stopping.Load() {
		reason = s.o.Ready()
	}
	if reason != "" {
		return status(c, fiber.StatusServiceUnavailable, "not ready", reason)
	}
	return status(c, fiber.StatusOK, "ready", s.o.Notice())
}

func status(c *fiber.Ctx, code int, word, reason string) error {
	body, err := json.Marshal(struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}{word, reason})
	if err != nil {
		return err // two strings always marshal
	}
	c.Status(code).Set("Content-Type", "application/json")
	return c.Send(body)
}

// forwarding are the headers by which a proxy shows itself. A request that a
// proxy on this machine hands on comes from a loopback peer but not from here.
var forwarding = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip"}

// metricsAccess lets in who is on this machine, or has the admin token.
func (s *Server) metricsAccess(next fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if !s.local(c) && !s.admin(c) {
			c.Set("WWW-Authenticate", `Bearer realm="passalong"`)
			return s.answer(c, fiber.StatusUnauthorized, "the admin token is needed", "")
		}
		return next(c)
	}
}

func (s *Server) local(c *fiber.Ctx) bool {
	if !peer(c).IsLoopback() {
		return false
	}
	for _, name := range forwarding {
		if len(c.Request().Header.PeekAll(name)) > 0 {
			return false
		}
	}
	return true
}

// admin compares in constant time. Without a token nobody is the admin.
func (s *Server) admin(c *fiber.Ctx) bool {
	scheme, token, _ := strings.Cut(c.Get("Authorization"), " ")
	given := digest(strings.TrimSpace(token))
	same := subtle.ConstantTimeCompare(given[:], s.adminToken[:]) == 1
	return same && strings.EqualFold(scheme, "Bearer") && s.o.AdminToken != ""
}

func digest(token string) [32]byte { return sha256.Sum256([]byte(token)) }
