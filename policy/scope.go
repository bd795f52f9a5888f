package policy

// scope is where a rule applies.
type scope struct {
	images     imageScope
	namespaces nameScope
	clusters   nameScope
}

func compileScope(s *Scope) scope {
	c := scope{namespaces: compileNames(s.Namespaces), clusters: compileNames(s.Clusters)}
	c.images.all = s.Images.All
	c.images.exclude = compilePatterns(s.Images.Exclude)
	c.images.ids = map[string]bool{}
	for _, p := range compilePatterns(s.Images.Select) {
		if p.id != "" {
			c.images.ids[p.id] = true
		} else {
			c.images.patterns = append(c.images.patterns, p)
		}
	}
	return c
}

func compilePatterns(texts []string) []pattern {
	var patterns []pattern
	for _, text := range texts {
		p, _ := parsePattern(text)
		patterns = append(patterns, p)
	}
	return patterns
}

func (s *scope) covers(c *Container, image *named) bool {
	return s.namespaces.covers(c.Namespace) && s.clusters.covers(c.Cluster) && s.images.covers(image)
}

type imageScope struct {
	all      bool
	ids      map[string]bool
	patterns []pattern
	exclude  []pattern
	// inverted makes the rule apply to what is not selected.
	inverted bool
}

func (s *imageScope) covers(image *named) bool { return s.selects(image) != s.inverted }

func (s *imageScope) selects(image *named) bool {
	return (s.all || s.ids[image.id] || anyMatches(s.patterns, image)) && !anyMatches(s.exclude, image)
}

func anyMatches(patterns []pattern, image *named) bool {
	for i := range patterns {
		if patterns[i].matches(image) {
			return true
		}
	}
	return false
}

type nameScope struct {
	selected []*glob // nil: every name
	excluded []*glob
}

func compileNames(s *NameScope) nameScope {
	if s == nil {
		return nameScope{}
	}
	return nameScope{compileGlobs(s.Select), compileGlobs(s.Exclude)}
}

func compileGlobs(texts []string) []*glob {
	var globs []*glob
	for _, text := range texts {
		globs = append(globs, compileGlob(text, 0))
	}
	return globs
}

func (s *nameScope) covers(name string) bool {
	return (s.selected == nil || anyGlob(s.selected, name)) && !anyGlob(s.excluded, name)
}

func anyGlob(globs []*glob, name string) bool {
	for _, g := range globs {
		if g.match(name) {
			return true
		}
	}
	return false
}
