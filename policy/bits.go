package policy

import "math/bits"

// bitset is a set of findings, by their place in an index. All sets of one index have the same length.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (s bitset) add(i int)    { s[i/64] |= 1 << (i % 64) }
func (s bitset) remove(i int) { s[i/64] &^= 1 << (i % 64) }

func (s bitset) or(other bitset) {
	for i, word := range other {
		s[i] |= word
	}
}

func (s bitset) and(other bitset) {
	for i, word := range other {
		s[i] &= word
	}
}

func (s bitset) without(other bitset) {
	for i, word := range other {
		s[i] &^= word
	}
}

func (s bitset) empty() bool {
	for _, word := range s {
		if word != 0 {
			return false
		}
	}
	return true
}

func (s bitset) count() int {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// all yields the members in ascending order.
func (s bitset) all(yield func(int) bool) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(i*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}
