package hit

const (
	places = 4           // decimal places kept: ten-thousandths
	maxSum = 1e9*1e4 - 1 // the largest value below 1e9
)

// money reads a number 0 ≤ v < 1e9 into ten-thousandths.
func (r *reader) money(field string, to *int64) error {
	raw, err := r.number(field)
	if raw == "" || err != nil {
		return err
	}
	v, ok := tenThousandths(raw)
	if !ok {
		return bad(field, "not from 0 to under 1000000000")
	}
	*to = v
	return nil
}

// tenThousandths is a JSON number in ten-thousandths, exactly as it is
// written: through a float64, 0.0001 × 10⁴ would not always be 1. Digits beyond
// the fourth place round half up, so that what JavaScript makes of 0.1 + 0.2 is
// 0.3. False below 0 or from 1e9 on.
func tenThousandths(number string) (int64, bool) {
	digits, point, negative := digits(number)
	if len(digits) == 0 {
		return 0, true // also −0
	}
	if negative || point > 9 {
		return 0, false
	}
	var v int64
	for i := range max(0, point+places) {
		v *= 10
		if i < len(digits) {
			v += int64(digits[i] - '0')
		}
	}
	if next := point + places; next >= 0 && next < len(digits) && digits[next] >= '5' {
		v++
	}
	return min(v, maxSum), true
}
