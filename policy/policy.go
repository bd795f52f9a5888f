// Package policy answers: may this image start, with these privileges, under these rules?
//
// It turns YAML documents into validated policies and exemptions (Parse), those into one immutable
// Bundle of lookups (Compile), and a container with what is known of its image into a Decision that
// explains itself (Bundle.Decide). It is pure: no files, no clock, no goroutines; whoever calls it
// brings the bytes and the time.
package policy
