package turn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestATurnIsWaitedForInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock := New()
		lock.Lock()
		time.AfterFunc(time.Hour, lock.Unlock)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := lock.LockContext(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		lock.Lock()
		if took := time.Since(began); took != time.Hour {
			t.Errorf("it came after %s", took)
		}
		lock.Unlock()
		if err := lock.LockContext(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestGivingBackWhatNobodyHasIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("nothing was said")
		}
	}()
	New().Unlock()
}
