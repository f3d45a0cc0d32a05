package main

import (
	"errors"
	"testing"

	trimtab "trimtab.dev/sdk"
)

func given(spec object) trimtab.Given {
	metadata := object{"name": "a", "namespace": "default", "generation": 3}
	page := object{"host": "a.example.dev", "text": "hello", "replicas": 2}
	for key, value := range spec {
		page[key] = value
	}
	return trimtab.Given{
		Object: object{"apiVersion": "example.dev/v1", "kind": "Page", "metadata": metadata, "spec": page},
	}
}

func web(ready int) object {
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": object{"name": "a", "namespace": "default"},
		"status": object{"readyReplicas": ready},
	}
}

func answer(t *testing.T, given trimtab.Given) *trimtab.Answer {
	t.Helper()
	answer, err := page.Try(given)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestAPageBecomesThreeChildren(t *testing.T) {
	children := answer(t, given(nil)).Children
	if len(children) != 3 || trimtab.Text(children[0], "data", "index.html") != "hello" {
		t.Errorf("found %v", children)
	}
}

func TestItIsReadyWhenAllItsReplicasAre(t *testing.T) {
	for ready, expected := range []bool{false, false, true} {
		page := given(nil)
		page.Children = []object{web(ready)}
		answer := answer(t, page)
		if found := trimtab.Bool(answer.Status, "ready"); found != expected || (len(answer.Events) == 1) != expected {
			t.Errorf("%d replicas: ready is %v, events are %v", ready, found, answer.Events)
		}
	}
}

func TestItWaitsForItsSecret(t *testing.T) {
	page := given(object{"tls": "cert"})
	_, err := pageOf(page)
	var failure *trimtab.Failure
	if !errors.As(err, &failure) || failure.Outcome != trimtab.Waiting || failure.Message != "waiting for the secret cert" {
		t.Errorf("found %v", err)
	}
	page.Objects = []object{{"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "cert"}}}
	if url := trimtab.Text(answer(t, page).Status, "url"); url != "https://a.example.dev/" {
		t.Errorf("found %s", url)
	}
}

func TestAPageWithoutAHostIsNotTriedAgain(t *testing.T) {
	_, err := pageOf(given(object{"host": ""}))
	var failure *trimtab.Failure
	if !errors.As(err, &failure) || failure.Outcome != trimtab.Terminal {
		t.Errorf("found %v", err)
	}
}

func pageOf(given trimtab.Given) (*trimtab.Answer, error) { return page.Try(given) }
