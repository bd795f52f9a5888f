package lab

import (
	"archive/zip"
	"fmt"
	"os"
	"path/filepath"
)

// WriteAdvisories makes an OSV database in a folder, as OSV publishes it: of each ecosystem, the documents by
// their file name.
func WriteAdvisories(folder string, ecosystems map[string]map[string]string) error {
	for ecosystem, documents := range ecosystems {
		dir := filepath.Join(folder, "osv-scalibr", ecosystem)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("advisories: %w", err)
		}
		if err := writeZip(filepath.Join(dir, "all.zip"), documents); err != nil {
			return fmt.Errorf("advisories: %w", err)
		}
	}
	return nil
}

func writeZip(path string, documents map[string]string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	for name, text := range documents {
		w, err := archive.Create(name)
		if err != nil {
			return err
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
	}
	return archive.Close()
}
