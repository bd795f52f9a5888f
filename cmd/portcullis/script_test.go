package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"portcullis/internal/centralapp"
)

// The scripts in testdata run this very program. Rewrite what they compare with by
//
//	UPDATE_SCRIPTS=1 go test ./cmd/portcullis -run Scripts
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"portcullis": main})
}

// central runs one of its own for a script: ADDRESS, CA (its certificate), FINGERPRINT and PASSWORD (the
// admin's first) are set.
func central(t *testing.T, env *testscript.Env) error {
	file := filepath.Join(env.WorkDir, "central.yaml")
	data := filepath.Join(env.WorkDir, "central")
	text := "listen: 127.0.0.1:0\nmetrics: {address: \"\"}\ndata: " + data + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	config, err := centralapp.ReadConfig(file, "")
	if err != nil {
		return err
	}
	log := logrus.New()
	log.SetOutput(t.Output())
	app, err := centralapp.New(context.Background(), config, centralapp.Options{Version: "test", Log: log, FirstPassword: func(_, password string) {
		env.Setenv("PASSWORD", password)
	}})
	if err != nil {
		return err
	}
	app.Start()
	env.Defer(func() { require.NoError(t, app.Stop()) })
	env.Setenv("ADDRESS", "https://"+app.Addr().String())
	env.Setenv("CA", filepath.Join(data, "ca.crt"))
	return nil
}

func TestScriptsAgainstARealCentral(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true, WorkdirRoot: t.TempDir(), UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return central(t, env)
		},
		Cmds: commands,
	})
}
