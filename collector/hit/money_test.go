package hit

import (
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

func TestMoneyIsExact(t *testing.T) {
	for _, c := range []struct {
		number string
		want   int64
		ok     bool
	}{
		{"0", 0, true}, {"-0", 0, true}, {"0.0", 0, true}, {"-0.0e9", 0, true},
		{"1", 10000, true}, {"12.5", 125000, true}, {"0.0001", 1, true}, {"0.1", 1000, true},
		{"1.1", 11000, true}, {"4.35", 43500, true}, {"1.005", 10050, true}, {"1234567.8901", 12345678901, true},
		{"0.30000000000000004", 3000, true}, {"0.00005", 1, true}, {"0.00004", 0, true}, {"0.000005", 0, true},
		{"1.99995", 20000, true}, {"99.99994999", 999999, true},
		{"1e2", 1000000, true}, {"1E+2", 1000000, true}, {"15e-1", 15000, true}, {"0.00001e5", 10000, true},
		{"1e-400", 0, true}, {"1e-99999999999999999999", 0, true}, {"0e99999999999999999999", 0, true},
		{"100000000e1", 0, false}, {"999999999.9999", 9999999999999, true}, {"999999999.99999", 9999999999999, true},
		{"1000000000", 0, false}, {"1e9", 0, false}, {"0.1e10", 0, false}, {"1e400", 0, false}, {"1e99999999999999999999", 0, false},
		{"-1", 0, false}, {"-0.0001", 0, false}, {"-1e-400", 0, false},
		{"0000", 0, true},
	} {
		got, ok := tenThousandths(c.number)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %d, %v, want %d, %v", c.number, got, ok, c.want, c.ok)
		}
	}
}

// What shops send, in any way of writing it, comes out as the exact arithmetic
// of big fractions has it.
func TestMoneyIsWhatBigFractionsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		got, ok := tenThousandths(s)
		want, wantOK := bigTenThousandths(s)
		if ok != wantOK || ok && got != want {
			t.Fatalf("%s: %d, %v, want %d, %v", s, got, ok, want, wantOK)
		}
	})
}

// bigTenThousandths is the slow way: a fraction of big integers.
func bigTenThousandths(s string) (int64, bool) {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		// A big power of ten would fill the memory: such a number is 0 or too large.
		exp, err := strconv.Atoi(s[i+1:])
		zero := strings.Trim(s[:i], "-0.") == ""
		switch low := strings.HasPrefix(s[i+1:], "-"); {
		case err == nil && exp >= -1000 && exp <= 1000:
		case zero:
			return 0, true
		case low:
			return 0, s[0] != '-'
		default:
			return 0, false
		}
	}
	v, ok := new(big.Rat).SetString(s)
	if !ok || v.Sign() < 0 || v.Cmp(big.NewRat(1e9, 1)) >= 0 {
		return 0, false
	}
	v.Mul(v, big.NewRat(1e4, 1)).Add(v, big.NewRat(1, 2))
	return min(new(big.Int).Quo(v.Num(), v.Denom()).Int64(), maxSum), true
}

func isNumber(s string) bool {
	v := jsontext.Value(s)
	return v.IsValid() && v.Kind() == '0' && strings.TrimSpace(s) == s
}
