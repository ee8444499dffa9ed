package badgerdb

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// logger hands Badger's messages on. What it calls information is of use only
// to those who debug it.
type logger struct {
	log *slog.Logger
}

func (l logger) Errorf(format string, args ...any)   { l.print(slog.LevelError, format, args) }
func (l logger) Warningf(format string, args ...any) { l.print(slog.LevelWarn, format, args) }
func (l logger) Infof(format string, args ...any)    { l.print(slog.LevelDebug, format, args) }

// Debugf drops messages: there are several for every commit.
func (l logger) Debugf(string, ...any) {}

func (l logger) print(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "badger: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
