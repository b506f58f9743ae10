package rig

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// FetchProfile takes a profile, such as "profile?seconds=5" or "allocs", of the provider that serves its profiles at an
// address, and keeps it in a file.
func FetchProfile(address, what, file string) error {
	client := http.Client{Timeout: 5 * time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + address + "/debug/pprof/" + what)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider answers %s", resp.Status)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
