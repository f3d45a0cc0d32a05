package main

import (
	"reflect"
	"testing"

	trimtab "trimtab.dev/sdk"
)

func job(status object) object {
	containers := []object{{"name": "main", "image": "busybox:1"}}
	return object{
		"apiVersion": "example.dev/v1", "kind": "IndexedJob", "metadata": object{"name": "sum"},
		"spec":   object{"completions": 4, "parallelism": 2, "template": object{"spec": object{"containers": containers}}},
		"status": status,
	}
}

func observed(name, phase string) object {
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": name}, "status": object{"phase": phase}}
}

// names are those of the pods that an answer has.
func names(answer *trimtab.Answer) []string {
	names := []string{}
	for _, pod := range answer.Children {
		names = append(names, trimtab.Text(pod, "metadata", "name"))
	}
	return names
}

func TestWhatIsDoneIsKeptUntilItIsRecorded(t *testing.T) {
	for _, one := range []struct {
		name   string
		status object
		pods   []object
		runs   []string
		done   []int64
	}{
		{"new", nil, nil, []string{"sum-0", "sum-1"}, []int64{}},
		{
			"one is done", nil, []object{observed("sum-0", "Succeeded"), observed("sum-1", "Running")},
			[]string{"sum-0", "sum-1", "sum-2"}, []int64{0},
		},
		{
			"it is recorded", object{"completedIndexes": []int{0}}, []object{observed("sum-0", "Succeeded")},
			[]string{"sum-1", "sum-2"}, []int64{0},
		},
		{"its pod is gone", object{"completedIndexes": []int{0, 1, 2}}, nil, []string{"sum-3"}, []int64{0, 1, 2}},
		{"one has failed", nil, []object{observed("sum-0", "Failed")}, []string{"sum-1"}, []int64{}},
		{"all are done", object{"completedIndexes": []int{0, 1, 2, 3}}, nil, []string{}, []int64{0, 1, 2, 3}},
	} {
		answer, err := indexedJob.Try(trimtab.Given{Object: job(one.status), Children: one.pods})
		if err != nil {
			t.Fatalf("%s: %v", one.name, err)
		}
		status := answer.Status.(object)
		if !reflect.DeepEqual(names(answer), one.runs) || !reflect.DeepEqual(status["completedIndexes"], one.done) {
			t.Errorf("%s: found %v, %v", one.name, names(answer), status)
		}
		if status["complete"] != (len(one.done) == 4) {
			t.Errorf("%s: found %v", one.name, status)
		}
	}
}

func TestEachPodIsToldItsIndex(t *testing.T) {
	answer, err := indexedJob.Try(trimtab.Given{Object: job(nil)})
	if err != nil {
		t.Fatal(err)
	}
	for index, pod := range answer.Children {
		container := trimtab.Field(pod, "spec", "containers").([]object)[0]
		expected := []any{object{"name": "JOB_INDEX", "value": []string{"0", "1"}[index]}}
		if !reflect.DeepEqual(container["env"], expected) {
			t.Errorf("found %v", container)
		}
	}
}
