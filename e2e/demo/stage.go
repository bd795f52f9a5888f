package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"portcullis/e2e/lab"
)

// stage is central and the node on which the scenes play.
type stage struct {
	journal     *lab.Journal
	registry    *lab.Registry
	containerd  *lab.Containerd
	clamd       *lab.Clamd
	central     *lab.FirstCentral
	portcullisd *lab.Portcullisd
	cri         *lab.CRI // through portcullisd
	operator    *operator

	images    map[string]image
	observing bool // policy "no criticals" only watches
}

type image struct{ id, reference string }

// setUp starts every part, and has the images scanned and the policies applied.
func setUp(ctx context.Context, containerdName string) (*stage, error) {
	flavours := lab.Containerds()
	i := slices.IndexFunc(flavours, func(f lab.Flavour) bool { return f.Name == containerdName })
	if i < 0 {
		return nil, fmt.Errorf("no %s here; choose 1.6 or 2.4", containerdName)
	}
	s := &stage{images: map[string]image{}}
	if err := s.startMachine(flavours[i]); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{s.startCentral, s.joinNode, s.scanImages, s.applyFirst} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// startMachine starts what is there before Portcullis is.
func (s *stage) startMachine(flavour lab.Flavour) error {
	began := time.Now()
	var err error
	if s.journal, err = lab.StartJournal(); err != nil {
		return err
	}
	if s.registry, err = lab.StartRegistry(); err != nil {
		return err
	}
	if err := s.makeImages(); err != nil {
		return err
	}
	if s.containerd, err = lab.StartContainerd("containerd", flavour, s.images["sandbox"].reference); err != nil {
		return err
	}
	if s.clamd, err = lab.StartClamd("clamd", map[string]string{"Eicar-Test-Signature": eicar}); err != nil {
		return err
	}
	say("A machine of its own, in namespaces, started in %d ms: %s, runc, an image registry, journald, clamd.",
		time.Since(began).Milliseconds(), flavour.Name)
	return nil
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

// adminPassword is what the first admin chooses.
const adminPassword = "correct horse battery"

// startCentral does what docs/central.md says of a first start.
func (s *stage) startCentral(context.Context) error {
	say("\n1. Central, started with no configuration: it keeps policies, verdicts and events for all nodes")
	say("  # portcullis-central")
	var err error
	if s.central, err = lab.StartFirstCentral(); err != nil {
		return err
	}
	say("  The first admin is \"admin\" with the one-time password %s", s.central.OneTimePassword())
	if s.operator, err = newOperator(); err != nil {
		return err
	}
	passwords := s.central.OneTimePassword() + "\n" + adminPassword + "\n"
	_, err = s.operator.do(passwords, "login", s.central.URL, "--ca", s.central.Authority)
	return err
}

// nodeName is the node's.
const nodeName = "demo-node"

// joinNode puts portcullisd before the runtime, as a node of central.
func (s *stage) joinNode(ctx context.Context) error {
	say("\n2. A node joins with a one-time token. portcullisd stands between kubelet and containerd, and asks one")
	say("   question of every container: may it start?")
	token, err := s.operator.do("", "nodes", "join-token", "create", "--description", "demo")
	if err != nil {
		return err
	}
	options := lab.PortcullisdOptions{FoldInterval: time.Second}
	if s.portcullisd, err = lab.NewPortcullisd(nodeName, s.containerd.Socket, options); err != nil {
		return err
	}
	if err := configureCentral(s.portcullisd.Config, s.central.URL); err != nil {
		return err
	}
	say("  # portcullisd join --central %s --token-file token", s.central.URL)
	join := exec.CommandContext(ctx, s.portcullisd.Path, "join", "--config", s.portcullisd.Config, "--central", s.central.URL, "--token-file", "-")
	join.Stdin = strings.NewReader(token)
	output, err := join.CombinedOutput()
	if err != nil {
		return fmt.Errorf("joining central: %w: %s", err, output)
	}
	first, _, _ := strings.Cut(string(output), "\n")
	say("  %s", first)
	say("  # portcullisd")
	if err := s.portcullisd.Start(); err != nil {
		return err
	}
	if s.cri, err = lab.Dial(s.portcullisd.Socket); err != nil {
		return err
	}
	return s.metricExceeds(ctx, connected, 0)
}

// configureCentral adds central to the node's configuration.
func configureCentral(path, url string) error {
	config, err := os.ReadFile(path)
	if err == nil {
		config = fmt.Appendf(config, "central: {address: %q}\n", url)
		err = os.WriteFile(path, config, 0o600) //nolint:gosec // G703: the lab's own
	}
	if err != nil {
		return fmt.Errorf("configuring portcullisd: %w", err)
	}
	return nil
}

// scanImages has the node pull the images, scans them, and uploads what was found.
func (s *stage) scanImages(ctx context.Context) error {
	say("\n3. Images are scanned, central gets the reports, and policies")
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(s.images)), func(name string) bool { return name == "sandbox" })
	database, err := lab.Dir("advisories")
	if err != nil {
		return err
	}
	if err := lab.WriteAdvisories(database, advisories); err != nil {
		return err
	}
	began := time.Now()
	reports := filepath.Join(s.operator.Dir, "reports")
	if err := os.Mkdir(reports, 0o700); err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	scanner := lab.Scanner{Clamd: s.clamd, Advisories: database, Runtime: s.containerd.Socket}
	for _, name := range names {
		reference := s.images[name].reference
		if _, err := s.cri.Pull(ctx, reference); err != nil {
			return err
		}
		if err := scanner.Scan(reference, reports); err != nil {
			return err
		}
	}
	say("  portcullis scan looked into %d images in %d ms: packages and an OSV database, secrets, clamd.",
		len(names), time.Since(began).Milliseconds())
	return s.uploadReports(ctx, reports, len(names))
}

// uploadReports waits until the node knows what they say.
func (s *stage) uploadReports(ctx context.Context, folder string, images int) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	say("  $ portcullis upload-report reports/*.json")
	began := time.Now()
	if _, err := s.operator.ask("", append([]string{"upload-report"}, files...)...); err != nil {
		return err
	}
	if err := s.metricExceeds(ctx, verdictsKnown, float64(images-1)); err != nil {
		return fmt.Errorf("the reports had no effect: %w", err)
	}
	say("  uploaded, and known on the node, after %d ms", time.Since(began).Milliseconds())
	_, err = s.operator.do("", "get", "images")
	return err
}

// applyFirst looks before it leaps.
func (s *stage) applyFirst(ctx context.Context) error {
	if _, err := s.operator.do("", "preview", "-f", "policies/criticals.yaml"); err != nil {
		return err
	}
	return s.apply(ctx)
}

// tearDown ends the pods and the daemons in good order; the lab would end them all the same.
func (s *stage) tearDown(ctx context.Context) error {
	direct, err := lab.Dial(s.containerd.Socket)
	if err != nil {
		return err
	}
	return errors.Join(
		s.portcullisd.Stop(), s.central.Stop(), s.cri.Close(), direct.RemovePods(ctx), direct.Close(),
		s.containerd.Stop(), s.clamd.Stop(), s.registry.Close(), s.journal.Stop(),
	)
}
