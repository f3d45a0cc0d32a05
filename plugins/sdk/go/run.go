package trimtab

import (
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"
)

// placesMax is how many places of a panic are told.
const placesMax = 20

// request and response are the contract's records, with the texts in them.
type request struct {
	cluster, instanceID, now, config, object string
	children                                 map[string][]string
	finalizing                               bool
}

type response struct {
	children []string
	status   *string
	answer   *Answer
}

// run is one call. A panic becomes a failure that says where: as a trap it would
// leave a hundred lines of which the host keeps the last.
func (p *plugin) run(request request, host host) (done *response, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			done, err = nil, fmt.Errorf("panicked: %v%s", cause, places())
		}
	}()
	run, err := request.read(host)
	if err != nil {
		return nil, err
	}
	answer, err := p.reconcile(run)
	if err != nil {
		return nil, err
	}
	if answer == nil {
		return nil, fmt.Errorf(
			"Reconcile of %s/%s returned neither an answer nor an error",
			Text(run.Object, "apiVersion"), Text(run.Object, "kind"),
		)
	}
	return answer.write()
}

func (q request) read(host host) (*Run, error) {
	object, err := decode(q.object)
	if err != nil {
		return nil, fmt.Errorf("the object: %w", err)
	}
	config, err := decode(q.config)
	if err != nil {
		return nil, fmt.Errorf("the config: %w", err)
	}
	now, err := time.Parse(time.RFC3339, q.now)
	if err != nil {
		return nil, err
	}
	return &Run{
		Object: object, Config: config, Now: now, Cluster: q.cluster, InstanceID: q.instanceID,
		Finalizing: q.finalizing, host: host, children: q.children,
	}, nil
}

func (a *Answer) write() (*response, error) {
	done := &response{answer: a}
	for at, child := range a.Children {
		text, err := encode(child)
		if err != nil {
			return nil, fmt.Errorf("child %d: %w", at, err)
		}
		done.children = append(done.children, text)
	}
	if a.Status != nil {
		text, err := encode(a.Status)
		if err != nil {
			return nil, fmt.Errorf("the status: %w", err)
		}
		done.status = &text
	}
	return done, nil
}

// places are where the plugin's own code was, the innermost first. Called by the
// deferred function that recovers.
func places() string {
	counters := make([]uintptr, 64)
	frames := runtime.CallersFrames(counters[:runtime.Callers(2, counters)])
	var places strings.Builder
	for found := 0; found < placesMax; {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") && !strings.HasPrefix(frame.Function, "trimtab.dev/sdk.") {
			fmt.Fprintf(&places, "\n    at %s (%s:%d)", frame.Function, path.Base(frame.File), frame.Line)
			found++
		}
		if !more {
			break
		}
	}
	return places.String()
}
