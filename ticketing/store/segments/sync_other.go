//go:build !linux

package segments

import "os"

// syncData puts a file's bytes and its length on stable storage.
func syncData(f *os.File) error { return f.Sync() }
