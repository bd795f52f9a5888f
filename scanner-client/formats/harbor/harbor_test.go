package harbor_test

import (
	"testing"

	"portcullis/scanner-client/formats/formatstest"
	"portcullis/scanner-client/formats/harbor"
)

func TestReportsAreReadAsTheGoldenFilesSay(t *testing.T) { formatstest.Golden(t, harbor.Read) }

func TestADamagedReportIsNeverAShorterOne(t *testing.T) { formatstest.Refuses(t, harbor.Read) }

func FuzzRead(f *testing.F) { formatstest.Fuzz(f, harbor.Read) }
