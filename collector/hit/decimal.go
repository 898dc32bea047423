package hit

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
)

// huge is an exponent beyond the digits of any body: nothing, or far too much.
const huge = 1 << 20

// digits takes a JSON number apart: its digits without zeros at either end, and
// how many of them stand before the decimal point. Zero has none, and no sign.
func digits(number string) (digits []byte, point int, negative bool) {
	mantissa, exponent := number, 0
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa = number[:i]
		var err error
		if exponent, err = strconv.Atoi(number[i+1:]); err != nil || exponent > huge || exponent < -huge {
			exponent = huge
			if number[i+1] == '-' {
				exponent = -huge
			}
		}
	}
	mantissa, negative = strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	point = len(whole) + exponent
	digits = append(append(make([]byte, 0, 32), whole...), fraction...)
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
		point--
	}
	digits = bytes.TrimRight(digits, "0")
	if len(digits) == 0 {
		return nil, 0, false
	}
	return digits, point, negative
}

// An integer is a JSON number cut to its whole part. What no int64 holds is the
// nearest one.
type integer struct {
	n     int64
	exact bool // nothing was cut off
	half  bool // what was cut off is a half or more
	below bool // less than 0, be it by a fraction
}

// truncate reads a number. Most are written as integers and cost no more than
// ParseInt; 12.7, 5.0 and 1e3 are taken apart by their digits, because a
// float64 would round some of them before we do.
func truncate(number string) integer {
	n, err := strconv.ParseInt(number, 10, 64)
	if !errors.Is(err, strconv.ErrSyntax) {
		return integer{n: n, exact: true, below: n < 0}
	}
	digits, point, negative := digits(number)
	i := integer{exact: len(digits) <= point || len(digits) == 0, below: negative}
	if point > 18 {
		i.n, i.exact = math.MaxInt64, true // beyond every limit, whatever follows
	} else {
		for place := range max(0, point) {
			i.n *= 10
			if place < len(digits) {
				i.n += int64(digits[place] - '0')
			}
		}
		i.half = point >= 0 && point < len(digits) && digits[point] >= '5'
	}
	if negative {
		i.n = -i.n
	}
	return i
}

// whole reads an integer from low to high into to, also one written 5.0 or 1e3.
func (r *reader) whole(field string, to *int64, low, high int64) error {
	raw, err := r.number(field)
	if raw == "" || err != nil {
		return err
	}
	i := truncate(raw)
	if !i.exact {
		return bad(field, "not a whole number")
	}
	if i.n < low || i.n > high {
		return outside(field, low, high)
	}
	*to = i.n
	return nil
}

// rounded reads a number from 0 to high into to, to the nearest integer, half
// up: performance.now() gives fractions of milliseconds. The limits hold for
// the number as it was sent.
func (r *reader) rounded(field string, to *int64, high int64) error {
	raw, err := r.number(field)
	if raw == "" || err != nil {
		return err
	}
	i := truncate(raw)
	if i.below || i.n > high || i.n == high && !i.exact {
		return outside(field, 0, high)
	}
	*to = i.n
	if i.half {
		*to++
	}
	return nil
}

// natural is rounded for the unsigned fields.
func (r *reader) natural(field string, to *uint32, high int64) error {
	n := int64(*to)
	if err := r.rounded(field, &n, high); err != nil {
		return err
	}
	*to = uint32(n)
	return nil
}

// capped is natural with all that lies above the limit taken as the limit.
func (r *reader) capped(field string, to *uint32, limit int64) error {
	n := int64(*to)
	if err := r.rounded(field, &n, math.MaxInt64); err != nil {
		return err
	}
	*to = uint32(min(n, limit))
	return nil
}
