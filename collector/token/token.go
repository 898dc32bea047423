// Package token makes and reads the eleven characters that name one page view,
// share or link.
//
// A caller can rely on three things: text order is time order; a text that
// Valid takes was made by the rule below; and nothing here reads a clock or a
// source of chance, so the same arguments give the same token everywhere. The
// vectors in testdata are read by this package, the snippet and the SQL alike.
//
// The check character is no signature: anybody can make a valid token. It
// finds every mistyped character at an odd place and every swap of two
// neighbours; at an even place it misses the one of sixty-one wrong characters
// that stands 31 places away in the alphabet, because 31 × an even number is a
// multiple of 62.
//
// What surprises: the time in a token orders storage only. It comes from the
// reader's own clock and is never used to tell which of two views is older.
package token

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Alphabet is the digits of base 62 in ascending order, which is also their
// order as text.
const Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const (
	// Length of a token: 4 characters of time, 6 of chance, 1 check character.
	Length = 11

	timeLength = 4
	bodyLength = 10
	base       = 62

	lastMinute = base*base*base*base - 1 // the fourth of February 2054
)

// Epoch is minute 0.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const none = 0xff

// index gives the value of a character, none for what is no digit.
var index = func() (t [256]byte) {
	for i := range t {
		t[i] = none
	}
	for i := range len(Alphabet) {
		t[Alphabet[i]] = byte(i)
	}
	return t
}()

// New makes a token of a time and six digits of chance, each 0 to 61. A digit
// above that counts modulo 62. Before 2026 the minutes are 0, from 2054 on
// they stay at the last that four digits hold.
func New(at time.Time, random [6]byte) string {
	var t [Length]byte
	putMinutes(&t, minutesOf(at))
	for i, d := range random {
		t[timeLength+i] = Alphabet[d%base]
	}
	t[bodyLength] = check(t[:])
	return string(t[:])
}

// Random makes a token of a time and as many bytes of random as it takes for
// six digits without bias. Its only error is random's.
func Random(at time.Time, random io.Reader) (string, error) {
	const fair = 256 / base * base // bytes from here on would favour the low digits
	var digits, buf [6]byte
	for n := 0; n < len(digits); {
		if _, err := io.ReadFull(random, buf[:len(digits)-n]); err != nil {
			return "", fmt.Errorf("draw token: %w", err)
		}
		for _, b := range buf[:len(digits)-n] {
			if b < fair {
				digits[n] = b % base
				n++
			}
		}
	}
	return New(at, digits), nil
}

// Valid reports whether t has the form of a token and its check character.
func Valid(t string) bool {
	if len(t) != Length {
		return false
	}
	sum := 0
	for i := range bodyLength {
		d := index[t[i]]
		if d == none {
			return false
		}
		sum += (i + 1) * int(d)
	}
	return t[bodyLength] == Alphabet[sum%base]
}

// Minutes is the time in t, in minutes since Epoch; −1 when t does not begin
// with four digits. It does not ask whether t is valid.
func Minutes(t string) int64 {
	if len(t) < timeLength {
		return -1
	}
	var m int64
	for i := range timeLength {
		d := index[t[i]]
		if d == none {
			return -1
		}
		m = m*base + int64(d)
	}
	return m
}

// Time is the minute in which t says it was made; the zero time when Minutes
// is −1.
func Time(t string) time.Time {
	m := Minutes(t)
	if m < 0 {
		return time.Time{}
	}
	return Epoch.Add(time.Duration(m) * time.Minute)
}

// Cut takes a valid token off the end of a fragment (without its '#'), where
// it stands after a dot: "comments.TOKEN" gives "comments" and the token. A
// fragment that ends in anything else comes back whole.
func Cut(fragment string) (rest, token string) {
	dot := strings.LastIndexByte(fragment, '.')
	if dot < 0 || !Valid(fragment[dot+1:]) {
		return fragment, ""
	}
	return fragment[:dot], fragment[dot+1:]
}

func minutesOf(at time.Time) int64 {
	if at.Before(Epoch) {
		return 0
	}
	return min((at.Unix()-Epoch.Unix())/60, lastMinute)
}

func putMinutes(t *[Length]byte, m int64) {
	for i := timeLength - 1; i >= 0; i-- {
		t[i] = Alphabet[m%base]
		m /= base
	}
}

// check is the check character of the ten digits t begins with: the sum of
// place × value, places counted from 1, modulo 62.
func check(t []byte) byte {
	sum := 0
	for i := range bodyLength {
		sum += (i + 1) * int(index[t[i]])
	}
	return Alphabet[sum%base]
}
