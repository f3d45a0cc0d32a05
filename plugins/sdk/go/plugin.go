package trimtab

import (
	"fmt"
	"strings"
	"time"
)

// Composite is a plugin that owns its object's life and status.
type Composite struct {
	// For is what it reconciles: "example.dev/v1/Site".
	For string
	// Selector is which of them, as kubectl -l takes it.
	Selector string
	// Children are the kinds that answers may contain: "apps/v1/Deployment".
	Children []string
	// Updates says for a kind of child how one that differs is made equal:
	// "in-place", which needs no saying, "recreate", "on-delete", "rolling-in-place"
	// or "rolling-recreate".
	Updates map[string]string
	// Reads are the kinds that look-ups may name.
	Reads []string
	// Finalizes is whether it is asked before an object goes.
	Finalizes bool
	// Resync is how often every object is looked at, if at all.
	Resync time.Duration
	// Reconcile goes from what is observed to what should be. It must depend on
	// nothing else.
	Reconcile func(*Run) (*Answer, error)
}

// Decorator is a plugin that adds children, labels and annotations to objects that
// someone else owns. Its fields are those of a Composite, but that it may name
// several kinds, each with a selection of its own.
type Decorator struct {
	For       []Decorated
	Children  []string
	Updates   map[string]string
	Reads     []string
	Finalizes bool
	Resync    time.Duration
	Reconcile func(*Run) (*Answer, error)
}

// Decorated is a kind, and which objects of it: those that match both selectors, as
// kubectl -l takes them.
type Decorated struct {
	Kind, LabelSelector, AnnotationSelector string
}

// Plugin is a Composite or a Decorator.
type Plugin interface {
	plugin() *plugin
}

var served *plugin

// Serve makes a Composite or a Decorator the plugin of this module. Call it in an
// init function; main stays empty, and is never called.
func Serve(plugin Plugin) { served = plugin.plugin() }

// plugin is what all plugins have.
type plugin struct {
	role      string
	objects   []Decorated
	children  []string
	updates   map[string]string
	reads     []string
	finalizes bool
	resync    time.Duration
	reconcile func(*Run) (*Answer, error)
}

func (c *Composite) plugin() *plugin {
	objects := []Decorated{{Kind: c.For, LabelSelector: c.Selector}}
	return &plugin{"composite", objects, c.Children, c.Updates, c.Reads, c.Finalizes, c.Resync, c.Reconcile}
}

func (d *Decorator) plugin() *plugin {
	return &plugin{"decorator", d.For, d.Children, d.Updates, d.Reads, d.Finalizes, d.Resync, d.Reconcile}
}

// describe is what the plugin says of itself, see description.schema.json of the
// contract.
func (p *plugin) describe() (string, error) {
	objects, err := kindsOf(p.objects, func(of Decorated) string { return of.Kind })
	if err != nil {
		return "", err
	}
	for at, of := range p.objects {
		if of.LabelSelector != "" {
			objects[at]["labelSelector"] = of.LabelSelector
		}
		if of.AnnotationSelector != "" {
			objects[at]["annotationSelector"] = of.AnnotationSelector
		}
	}
	itself := func(kind string) string { return kind }
	children, err := kindsOf(p.children, itself)
	if err != nil {
		return "", err
	}
	for at, kind := range p.children {
		if update := p.updates[kind]; update != "" {
			children[at]["update"] = update
		}
	}
	reads, err := kindsOf(p.reads, itself)
	if err != nil {
		return "", err
	}
	description := Object{
		"role": p.role, "objects": objects, "children": children, "reads": reads, "finalizes": p.finalizes,
	}
	if p.resync > 0 {
		description["resyncSeconds"] = int64(p.resync.Seconds())
	}
	return encode(description)
}

func kindsOf[T any](all []T, kind func(T) string) ([]Object, error) {
	kinds := make([]Object, 0, len(all))
	for _, one := range all {
		apiVersion, name := splitKind(kind(one))
		if apiVersion == "" || name == "" {
			return nil, fmt.Errorf("%q is no kind; expected one like \"v1/Secret\" or \"apps/v1/Deployment\"", kind(one))
		}
		kinds = append(kinds, Object{"apiVersion": apiVersion, "kind": name})
	}
	return kinds, nil
}

func splitKind(text string) (apiVersion, kind string) {
	at := strings.LastIndexByte(text, '/')
	return text[:max(at, 0)], text[at+1:]
}
