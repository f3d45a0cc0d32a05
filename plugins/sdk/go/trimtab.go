// Package trimtab is what a Trimtab plugin in Go is written with: a function from
// what is observed to what should be. Objects are maps, as in unstructured
// clients: the typed ones of k8s.io/api make a module five times as large.
package trimtab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Object is a Kubernetes object or a part of one. Numbers in it are json.Number.
type Object = map[string]any

// Answer is what should be.
type Answer struct {
	// Children that are observed and not here are deleted.
	Children []Object
	// Status stays as it is where there is none. Keep times out of it.
	Status any
	// Labels to set on the object, or with nil to remove.
	Labels, Annotations map[string]*string
	Events              []Event
	// RequeueAfter is when to look again, even if nothing changes.
	RequeueAfter time.Duration
	// Finalized says while finalizing that nothing is left to do.
	Finalized bool
}

// Event is told to those who look at the object.
type Event struct {
	Warning         bool
	Reason, Message string
}

// Failure is a run without an answer. Any other error is one to retry.
type Failure struct {
	Outcome    Outcome
	Message    string
	RetryAfter time.Duration
}

// Outcome is what the host does after a failure.
type Outcome uint8

const (
	// Retry runs again with growing delays.
	Retry Outcome = iota
	// Waiting runs again when a look-up changes.
	Waiting
	// Terminal runs again when the object changes.
	Terminal
)

func (f *Failure) Error() string { return f.Message }

// WaitFor is the error of a run that needs what is not there.
func WaitFor(what string) error {
	return &Failure{Outcome: Waiting, Message: "waiting for " + what}
}

// Refuse is the error of a run whose object asks for what cannot be.
func Refuse(message string) error {
	return &Failure{Outcome: Terminal, Message: message}
}

// Run is what a run observes.
type Run struct {
	Object Object
	// Config is what the policy gives this plugin, empty without one.
	Config Object
	// Now is the time of this run. There is no other clock.
	Now time.Time
	// InstanceID is the instance that serves the object; empty: the default one.
	InstanceID, Cluster string
	// Finalizing is whether the object is being deleted.
	Finalizing bool

	host     host
	children map[string][]string
}

// host is who answers a run's questions: the real one, or a test's.
type host interface {
	log(level Level, message string)
	get(kind, namespace, name string) (text string, found bool, err error)
	list(kind, namespace, selector string, limit uint32) ([]string, error)
}

// Level is how loud a line in the log is.
type Level uint8

// The levels, from what is for the plugin's author to what has failed.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Log writes a line into the host's log, beside the object's name.
func (r *Run) Log(level Level, format string, args ...any) {
	r.host.log(level, fmt.Sprintf(format, args...))
}

// Get looks up an object in the object's own namespace; nil where there is none.
func (r *Run) Get(kind, name string) (Object, error) {
	return r.GetIn(kind, Text(r.Object, "metadata", "namespace"), name)
}

// GetIn looks up an object in a namespace; "" for kinds without namespaces.
func (r *Run) GetIn(kind, namespace, name string) (Object, error) {
	text, found, err := r.host.get(kind, namespace, name)
	if err != nil || !found {
		return nil, err
	}
	return decode(text)
}

// Select looks up the objects of a kind that a label selector matches; all
// namespaces where none is named.
func (r *Run) Select(kind, namespace, selector string, limit uint32) ([]Object, error) {
	texts, err := r.host.list(kind, namespace, selector, limit)
	if err != nil {
		return nil, err
	}
	return decodeAll(texts)
}

// Children gives the observed children of a declared kind, by namespace and name.
func (r *Run) Children(kind string) ([]Object, error) {
	texts, declared := r.children[kind]
	if !declared {
		return nil, fmt.Errorf("%s is not declared as a child, so none are observed", kind)
	}
	return decodeAll(texts)
}

// Child gives the observed child of that name; nil where there is none.
func (r *Run) Child(kind, name string) (Object, error) {
	children, err := r.Children(kind)
	for _, child := range children {
		if Text(child, "metadata", "name") == name {
			return child, nil
		}
	}
	return nil, err
}

// Field follows keys into an object; nil where one is not there.
func Field(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(Object)
		value = object[key]
	}
	return value
}

// Text is the string at a path, or "".
func Text(value any, keys ...string) string {
	text, _ := Field(value, keys...).(string)
	return text
}

// Int is the whole number at a path, read or written by the plugin itself; or
// what is given for none.
func Int(value any, otherwise int64, keys ...string) int64 {
	switch number := Field(value, keys...).(type) {
	case json.Number:
		if whole, err := number.Int64(); err == nil {
			return whole
		}
	case int:
		return int64(number)
	case int32:
		return int64(number)
	case int64:
		return number
	}
	return otherwise
}

// Bool is the truth at a path, or false.
func Bool(value any, keys ...string) bool {
	truth, _ := Field(value, keys...).(bool)
	return truth
}

func decode(text string) (Object, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var object Object
	err := decoder.Decode(&object)
	return object, err
}

func decodeAll(texts []string) ([]Object, error) {
	objects := make([]Object, 0, len(texts))
	for _, text := range texts {
		object, err := decode(text)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func encode(value any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(out.String(), "\n"), err
}

// failure is the contract's form of an error.
func failure(err error) *Failure {
	var meant *Failure
	if errors.As(err, &meant) {
		return meant
	}
	return &Failure{Outcome: Retry, Message: err.Error()}
}
