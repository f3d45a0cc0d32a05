package main

import (
	"testing"

	trimtab "trimtab.dev/sdk"
)

func TestTheDeploymentHasTheReplicasThatAreAskedFor(t *testing.T) {
	answer, err := plugin.Try(trimtab.Given{Object: object{
		"apiVersion": "example.dev/v1",
		"kind":       "{{Kind}}",
		"metadata":   object{"name": "a", "namespace": "default"},
		"spec":       object{"image": "nginx", "replicas": 3},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if found := trimtab.Int(answer.Children[0], 0, "spec", "replicas"); found != 3 {
		t.Errorf("found %d replicas", found)
	}
	if trimtab.Bool(answer.Status, "ready") {
		t.Error("it is ready without a pod")
	}
}
