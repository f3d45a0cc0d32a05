package trimtab

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var thing = Given{Object: Object{"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": Object{"name": "a"}}}

func composite(reconcile func(*Run) (*Answer, error)) *Composite {
	return &Composite{For: "example.dev/v1/Thing", Children: []string{"v1/ConfigMap"}, Reconcile: reconcile}
}

// told is the failure that a run ends in.
func told(t *testing.T, reconcile func(*Run) (*Answer, error)) *Failure {
	t.Helper()
	_, err := composite(reconcile).Try(thing)
	var failure *Failure
	if !errors.As(err, &failure) {
		t.Fatalf("found %v", err)
	}
	return failure
}

func TestTheDescriptionIsDerivedFromTheFields(t *testing.T) {
	made := &Composite{
		For: "example.dev/v1/Thing", Selector: "a=b", Children: []string{"batch/v1/Job"},
		Updates: map[string]string{"batch/v1/Job": "recreate"}, Reads: []string{"v1/Secret"}, Resync: time.Minute,
	}
	found, err := made.plugin().describe()
	expected := `{"children":[{"apiVersion":"batch/v1","kind":"Job","update":"recreate"}],"finalizes":false,` +
		`"objects":[{"apiVersion":"example.dev/v1","kind":"Thing","labelSelector":"a=b"}],` +
		`"reads":[{"apiVersion":"v1","kind":"Secret"}],"resyncSeconds":60,"role":"composite"}`
	if err != nil || found != expected {
		t.Errorf("found %s, %v", found, err)
	}
	_, err = (&Composite{For: "Thing"}).plugin().describe()
	if err == nil || !strings.Contains(err.Error(), `"Thing" is no kind; expected one like`) {
		t.Errorf("found %v", err)
	}
}

func TestADecoratorNamesItsKindsAndAnswersWithLabels(t *testing.T) {
	web := "web"
	made := &Decorator{
		For: []Decorated{{Kind: "v1/Namespace", LabelSelector: "team"}, {Kind: "v1/Service", AnnotationSelector: "team=web"}},
		Reconcile: func(*Run) (*Answer, error) {
			return &Answer{Labels: map[string]*string{"team": &web, "old": nil}}, nil
		},
	}
	found, err := made.plugin().describe()
	expected := `{"children":[],"finalizes":false,"objects":[` +
		`{"apiVersion":"v1","kind":"Namespace","labelSelector":"team"},` +
		`{"annotationSelector":"team=web","apiVersion":"v1","kind":"Service"}],"reads":[],"role":"decorator"}`
	if err != nil || found != expected {
		t.Errorf("found %s, %v", found, err)
	}
	answer, err := made.Try(thing)
	if err != nil || *answer.Labels["team"] != "web" || answer.Labels["old"] != nil {
		t.Errorf("found %v, %v", answer, err)
	}
}

func TestAPanicIsARetryWithItsPlace(t *testing.T) {
	// The innermost place is in this package, which is not told; a plugin's is.
	failure := told(t, func(*Run) (*Answer, error) { panic("no way") })
	if failure.Outcome != Retry || !strings.HasPrefix(failure.Message, "panicked: no way\n    at testing.tRunner (testing.go:") {
		t.Errorf("found %q", failure.Message)
	}
}

func TestAnAnswerThatIsNoneIsToldSo(t *testing.T) {
	failure := told(t, func(*Run) (*Answer, error) { return nil, nil })
	if !strings.Contains(failure.Message, "returned neither an answer nor an error") {
		t.Errorf("found %q", failure.Message)
	}
	failure = told(t, func(*Run) (*Answer, error) { return &Answer{Status: make(chan int)}, nil })
	if !strings.Contains(failure.Message, "the status: json: unsupported type: chan int") {
		t.Errorf("found %q", failure.Message)
	}
}

func TestAnUndeclaredKindIsToldSo(t *testing.T) {
	failure := told(t, func(run *Run) (*Answer, error) {
		_, err := run.Children("v1/Pod")
		return nil, err
	})
	if !strings.Contains(failure.Message, "v1/Pod is not declared as a child") {
		t.Errorf("found %q", failure.Message)
	}
}

func TestNumbersComeBackAsTheyWere(t *testing.T) {
	object, err := decode(`{"large":9007199254740993,"part":1e-7}`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := encode(object)
	if err != nil || text != `{"large":9007199254740993,"part":1e-7}` {
		t.Errorf("found %s, %v", text, err)
	}
	if Int(object, 0, "large") != 9007199254740993 || Int(object, 7, "part") != 7 {
		t.Errorf("found %v", object)
	}
	own := Object{"a": 1, "b": int64(2), "c": int32(3), "d": 4.5}
	if Int(own, 0, "a")+Int(own, 0, "b")+Int(own, 0, "c") != 6 || Int(own, 7, "d") != 7 {
		t.Errorf("found %v", own)
	}
}
