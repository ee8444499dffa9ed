package dns

import (
	"context"
	"time"
)

// Within is context.WithTimeout for work whose caller may have set a deadline
// that is no later: ctx itself will do then.
func Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}
