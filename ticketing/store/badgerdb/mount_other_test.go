//go:build !linux

package badgerdb

import "testing"

func readOnlyDir(t *testing.T) string {
	t.Skip("a read-only file system is only made on Linux")
	return ""
}
