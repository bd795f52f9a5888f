package grype_test

import (
	"testing"

	"portcullis/scanner-client/formats/formatstest"
	"portcullis/scanner-client/formats/grype"
)

func TestReportsAreReadAsTheGoldenFilesSay(t *testing.T) { formatstest.Golden(t, grype.Read) }

func TestADamagedReportIsNeverAShorterOne(t *testing.T) { formatstest.Refuses(t, grype.Read) }

func FuzzRead(f *testing.F) { formatstest.Fuzz(f, grype.Read) }
