package trimtab

import "time"

// Given is what a run under test observes.
type Given struct {
	Object Object
	// Children are the observed ones.
	Children []Object
	// Objects are what look-ups find; in any namespace where they name none.
	Objects []Object
	Config  Object
	// Now is the start of 2000 where it is zero.
	Now        time.Time
	Finalizing bool
}

// Try runs a composite on what is given, natively, for `go test`.
func (c *Composite) Try(given Given) (*Answer, error) { return c.plugin().try(given) }

// Try does the same with a decorator.
func (d *Decorator) Try(given Given) (*Answer, error) { return d.plugin().try(given) }

func (p *plugin) try(given Given) (*Answer, error) {
	object, err := encode(given.Object)
	if err != nil {
		return nil, err
	}
	config := "{}"
	if given.Config != nil {
		if config, err = encode(given.Config); err != nil {
			return nil, err
		}
	}
	children := make(map[string][]string)
	for _, kind := range p.children {
		children[kind] = nil
	}
	for _, child := range given.Children {
		text, err := encode(child)
		if err != nil {
			return nil, err
		}
		kind := Text(child, "apiVersion") + "/" + Text(child, "kind")
		children[kind] = append(children[kind], text)
	}
	now := given.Now
	if now.IsZero() {
		now = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	done, err := p.run(request{
		cluster: "test", now: now.Format(time.RFC3339), config: config, object: object,
		children: children, finalizing: given.Finalizing,
	}, standIn(given.Objects))
	if err != nil {
		return nil, failure(err)
	}
	return done.answer, nil
}

// standIn answers look-ups in a test.
type standIn []Object

func (standIn) log(Level, string) {}

func (s standIn) get(kind, namespace, name string) (string, bool, error) {
	for _, object := range s {
		in := Text(object, "metadata", "namespace")
		if Text(object, "apiVersion")+"/"+Text(object, "kind") == kind && Text(object, "metadata", "name") == name &&
			(in == "" || in == namespace) {
			text, err := encode(object)
			return text, true, err
		}
	}
	return "", false, nil
}

func (standIn) list(string, string, string, uint32) ([]string, error) {
	return nil, &Failure{Message: "Select is answered by the host alone"}
}
