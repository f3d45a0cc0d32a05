package trimtab

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

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
func (c *Composite) run(request request, host host) (done *response, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			done, err = nil, fmt.Errorf("panicked: %v\n%s", cause, frames(debug.Stack()))
		}
	}()
	run, err := request.read(host)
	if err != nil {
		return nil, err
	}
	answer, err := c.Reconcile(run)
	if err != nil {
		return nil, err
	}
	if answer == nil {
		return nil, fmt.Errorf("Reconcile of %s returned neither an answer nor an error", c.For)
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

// frames are the places of a stack that are the plugin's own, the innermost first.
func frames(stack []byte) string {
	var places []string
	for _, line := range strings.Split(string(stack), "\n") {
		place, is := strings.CutPrefix(line, "\t")
		if is && !strings.Contains(place, "/runtime/") && !strings.Contains(place, "/sdk/go/") {
			place, _, _ = strings.Cut(place, " +0x")
			places = append(places, "    at "+place)
		}
	}
	return strings.Join(places[:min(len(places), 20)], "\n")
}
