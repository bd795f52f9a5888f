package secrets

// dictionary finds which of many words stand in a text, in one pass and whatever their case
// (Aho-Corasick). To look for one word after the other takes ten times as long.
type dictionary struct {
	class   [256]uint8 // letters in both cases are one, and so are all bytes that are in no word
	classes int
	next    []uint16 // the state after each class, state by state
	found   []ruleSet
}

// ruleSet are numbers of rules, up to 128.
type ruleSet [2]uint64

func (s *ruleSet) add(rule int)     { s[rule/64] |= 1 << (rule % 64) }
func (s ruleSet) has(rule int) bool { return s[rule/64]&(1<<(rule%64)) != 0 }
func (s ruleSet) or(other ruleSet) ruleSet {
	return ruleSet{s[0] | other[0], s[1] | other[1]}
}

// newDictionary makes a dictionary of the words of each rule, which are in lower case.
func newDictionary(words [][]string) *dictionary {
	d := &dictionary{classes: 1}
	for _, list := range words {
		for _, word := range list {
			d.classify(word)
		}
	}
	d.grow()
	for rule, list := range words {
		for _, word := range list {
			d.insert(word, rule)
		}
	}
	d.link()
	return d
}

func (d *dictionary) classify(word string) {
	for i := range len(word) {
		b := word[i]
		if d.class[b] != 0 {
			continue
		}
		d.class[b] = uint8(d.classes) //nolint:gosec // there are fewer classes than bytes
		if 'a' <= b && b <= 'z' {
			d.class[b-'a'+'A'] = d.class[b]
		}
		d.classes++
	}
}

func (d *dictionary) grow() uint16 {
	d.next = append(d.next, make([]uint16, d.classes)...)
	d.found = append(d.found, ruleSet{})
	return uint16(len(d.found) - 1) //nolint:gosec // a state for each letter of a hundred words
}

func (d *dictionary) insert(word string, rule int) {
	state := uint16(0)
	for i := range len(word) {
		at := int(state)*d.classes + int(d.class[word[i]])
		if d.next[at] == 0 {
			made := d.grow()
			d.next[at] = made
		}
		state = d.next[at]
	}
	d.found[state].add(rule)
}

// link sends every state that has no way on for a class to where the longest end of what was read, which
// is also the beginning of a word, has one.
func (d *dictionary) link() {
	fallback := make([]uint16, len(d.found))
	var queue []uint16
	for class := range d.classes {
		if state := d.next[class]; state != 0 {
			queue = append(queue, state)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		d.found[state] = d.found[state].or(d.found[fallback[state]])
		for class := range d.classes {
			elsewhere := d.next[int(fallback[state])*d.classes+class]
			at := int(state)*d.classes + class
			if d.next[at] == 0 {
				d.next[at] = elsewhere
				continue
			}
			fallback[d.next[at]] = elsewhere
			queue = append(queue, d.next[at])
		}
	}
}

// search returns the rules of which a word stands in the text.
func (d *dictionary) search(text []byte) ruleSet {
	var found ruleSet
	state := 0
	for _, b := range text {
		state = int(d.next[state*d.classes+int(d.class[b])])
		if s := &d.found[state]; s[0]|s[1] != 0 {
			found = found.or(*s)
		}
	}
	return found
}
