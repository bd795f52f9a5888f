package cyclonedx_test

import (
	"testing"

	"portcullis/scanner-client/formats/cyclonedx"
	"portcullis/scanner-client/formats/formatstest"
)

func TestReportsAreReadAsTheGoldenFilesSay(t *testing.T) { formatstest.Golden(t, cyclonedx.Read) }

func TestADamagedReportIsNeverAShorterOne(t *testing.T) { formatstest.Refuses(t, cyclonedx.Read) }

func FuzzRead(f *testing.F) { formatstest.Fuzz(f, cyclonedx.Read) }
