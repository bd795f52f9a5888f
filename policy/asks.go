package policy

import (
	"cmp"
	"slices"
)

// sortAsks returns the asks in the order of the catalogue, the most dangerous first.
func sortAsks(asks []Ask) []Ask {
	list := slices.Clone(asks)
	slices.SortFunc(list, CompareAsks)
	return list
}

// CompareAsks orders asks as the catalogue does, the most dangerous first, then by detail.
func CompareAsks(a, b Ask) int {
	return cmp.Or(
		cmp.Compare(catalogued(a), catalogued(b)),
		cmp.Compare(a.Parameter, b.Parameter),
		cmp.Compare(a.Detail, b.Detail),
	)
}

// catalogued returns where an ask's parameter stands in the catalogue; what does not stand there comes last.
func catalogued(a Ask) int {
	if i, known := parameterIndex[a.Parameter]; known {
		return i
	}
	return len(parameters)
}

// broughtBy returns the parameter that brings a capability along, "" when it was asked for itself.
func broughtBy(a Ask) string {
	if p, known := LookupParameter(a.Parameter); known && p.Capability {
		return a.Detail
	}
	return ""
}
