package osvscanner_test

import (
	"testing"

	"portcullis/scanner-client/formats/formatstest"
	"portcullis/scanner-client/formats/osvscanner"
)

func TestReportsAreReadAsTheGoldenFilesSay(t *testing.T) { formatstest.Golden(t, osvscanner.Read) }

func TestADamagedReportIsNeverAShorterOne(t *testing.T) { formatstest.Refuses(t, osvscanner.Read) }

func FuzzRead(f *testing.F) { formatstest.Fuzz(f, osvscanner.Read) }
