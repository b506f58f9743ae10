package bench

import (
	"encoding/json"
	"fmt"
	"os"
)

// WriteJSON writes results to a file.
func WriteJSON(path string, results any) error {
	text, err := json.MarshalIndent(results, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return nil
}

// ReadJSON reads results from a file.
func ReadJSON(path string, results any) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, results)
	}
	if err != nil {
		return fmt.Errorf("reading results: %w", err)
	}
	return nil
}
