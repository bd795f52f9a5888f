package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"portcullis/e2e/lab"
)

// stage is the node on which the scenes play.
type stage struct {
	journal     *lab.Journal
	registry    *lab.Registry
	containerd  *lab.Containerd
	clamd       *lab.Clamd
	portcullisd *lab.Portcullisd
	cri         *lab.CRI // through portcullisd

	images   map[string]image
	policies string // in force
}

type image struct{ id, reference string }

// setUp starts every part and puts the images where the node finds them.
func setUp(containerdName string) (*stage, error) {
	began := time.Now()
	flavours := lab.Containerds()
	i := slices.IndexFunc(flavours, func(f lab.Flavour) bool { return f.Name == containerdName })
	if i < 0 {
		return nil, fmt.Errorf("no %s here; choose 1.6 or 2.4", containerdName)
	}
	s := &stage{images: map[string]image{}, policies: blocking}
	var err error
	if s.journal, err = lab.StartJournal(); err != nil {
		return nil, err
	}
	if s.registry, err = lab.StartRegistry(); err != nil {
		return nil, err
	}
	if err := s.makeImages(); err != nil {
		return nil, err
	}
	if s.containerd, err = lab.StartContainerd("containerd", flavours[i], s.images["sandbox"].reference); err != nil {
		return nil, err
	}
	if s.clamd, err = lab.StartClamd("clamd", map[string]string{"Eicar-Test-Signature": eicar}); err != nil {
		return nil, err
	}
	if err := s.startPortcullisd(); err != nil {
		return nil, err
	}
	say("Started in %d ms, in namespaces of their own: %s, runc, an image registry, journald, clamd, and portcullisd,",
		time.Since(began).Milliseconds(), containerdName)
	say("which listens where the kubelet connects and asks one question of every container: may it start?")
	if err := s.pullImages(); err != nil {
		return nil, err
	}
	return s, s.scanImages()
}

// makeImages fills the registry.
func (s *stage) makeImages() error {
	images, err := lab.NewImages()
	if err != nil {
		return err
	}
	contents, err := contents()
	if err != nil {
		return err
	}
	for name, content := range contents {
		made, err := images.Make(name, content)
		if err != nil {
			return err
		}
		id, err := made.ConfigName()
		if err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		reference, err := s.registry.Push("demo/"+name+":v1", made)
		if err != nil {
			return err
		}
		s.images[name] = image{id: id.String(), reference: reference}
	}
	return nil
}

func (s *stage) startPortcullisd() error {
	var err error
	if s.portcullisd, err = lab.NewPortcullisd("demo-node", s.containerd.Socket, lab.PortcullisdOptions{}); err != nil {
		return err
	}
	if err := s.portcullisd.WritePolicies("policies.yaml", s.policies); err != nil {
		return err
	}
	if err := s.portcullisd.Start(); err != nil {
		return err
	}
	s.cri, err = lab.Dial(s.portcullisd.Socket)
	return err
}

// pullImages has the runtime fetch them, through portcullisd like all else.
func (s *stage) pullImages() error {
	for _, name := range s.scanned() {
		if _, err := s.cri.Pull(context.Background(), s.images[name].reference); err != nil {
			return err
		}
	}
	return nil
}

// scanned are the images that containers run.
func (s *stage) scanned() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.images)), func(name string) bool { return name == "sandbox" })
}

// scanImages scans what the runtime holds, into the folder where portcullisd finds the verdicts.
func (s *stage) scanImages() error {
	began := time.Now()
	database, err := lab.Dir("advisories")
	if err != nil {
		return err
	}
	if err := lab.WriteAdvisories(database, advisories); err != nil {
		return err
	}
	scanner := lab.Scanner{Clamd: s.clamd, Advisories: database, Runtime: s.containerd.Socket}
	for _, name := range s.scanned() {
		if err := scanner.Scan(s.images[name].reference, s.portcullisd.Reports); err != nil {
			return err
		}
	}
	say("portcullis scan looked into %d images in %d ms: packages and an OSV database, secrets, clamd.",
		len(s.scanned()), time.Since(began).Milliseconds())
	return nil
}

// tearDown ends the pods and the daemons in good order; the lab would end them all the same.
func (s *stage) tearDown(ctx context.Context) error {
	direct, err := lab.Dial(s.containerd.Socket)
	if err != nil {
		return err
	}
	return errors.Join(
		s.cri.Close(), direct.RemovePods(ctx), direct.Close(), s.containerd.Stop(), s.clamd.Stop(), s.registry.Close(), s.journal.Stop(),
	)
}
